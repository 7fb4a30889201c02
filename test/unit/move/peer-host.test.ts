import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DestinationEnd } from '../../../src/move/ends.ts';
import { PeerHost } from '../../../src/move/peer-host.ts';
import { PeerNetwork } from '../../../src/move/peer-memory.ts';
import { PeerSide } from '../../../src/move/peer-destination.ts';
import type { ReceivedFrame } from '../../../src/native/native.ts';

const frames = (count: number, byte: number): ReceivedFrame[] =>
  Array.from({ length: count }, () => ({ frame: Uint8Array.of(byte), vnetHeader: new Uint8Array(), packetType: 0, timestamp: 0 }));

test('held frames that nobody fetched go with their move', async (t) => {
  const unused = (): never => assert.fail('not used here');
  let held = frames(400, 1);
  let finished = 0;
  let taken = (): void => undefined;
  const takeHeld = async (): Promise<ReceivedFrame[]> => {
    taken();
    return held.splice(0);
  };
  // The cast: of an end only these are asked for here.
  const end = { uri: 'x', listen: () => () => undefined, takeHeld, finish: async () => undefined } as unknown as DestinationEnd;
  const host = new PeerHost({
    expected: async () => undefined, facts: unused, prepare: unused, settle: unused, end: () => end, note: (_move, text) => assert.fail(text),
    probes: { pathMtu: unused, listen: unused, sendFrames: unused, gateway: unused }, finished: () => void finished++,
  });
  const net = new PeerNetwork();
  t.after(net.listen('host-b', (connection) => host.accept(connection)));
  t.after(() => host.close());
  const source = (): { end: DestinationEnd; close: () => void } => {
    const vm = { name: 'web-1', spec: { cpus: 1, memory: '1MiB' }, networks: {}, placement: { host: 'host-a', epoch: 1, start: 1 } };
    const side = new PeerSide({ dialer: net.dialer('host-a'), peer: { host: 'host-b', address: '10.0.0.2', port: 1 }, move: 'abc120', token: 't', vm });
    t.after(() => side.close());
    return { end: side.prepared(), close: () => side.close() };
  };

  const all = await source().end.takeHeld(0);
  assert.equal(all.length, 400, 'in portions');
  held = frames(400, 2);
  // Gone in the middle: the rest has been taken out of the tap, and is left here.
  const first = source();
  taken = first.close;
  await assert.rejects(first.end.takeHeld(0), { code: 'MOVE_PEER_LOST' });
  await source().end.finish();
  assert.equal(finished, 1);
  held = frames(1, 3);
  assert.deepEqual((await source().end.takeHeld(0)).map(({ frame }) => frame[0]), [3]);
});

test('closed: over when what was just being done has been done, and silence means nothing any more', async (t) => {
  const unused = (): never => assert.fail('not used here');
  const aborting = Promise.withResolvers<'aborted'>();
  const done: string[] = [];
  // The cast: of an end only these are asked for here.
  const end = {
    abort: () => (done.push('abort'), aborting.promise), finish: async () => void done.push('finish'),
  } as unknown as DestinationEnd;
  const host = new PeerHost({
    expected: unused, facts: unused, prepare: unused, settle: unused, end: () => end, note: () => undefined,
    probes: { pathMtu: unused, listen: unused, sendFrames: unused, gateway: unused }, finished: () => void done.push('finished'),
  });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  host.expectSource('abc120');
  t.mock.timers.tick(60_000);
  host.expectSource('abc130');
  let closed = false;
  const closing = host.close().then(() => (closed = true));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([done, closed], [['abort'], false]);
  aborting.resolve('aborted');
  await closing;
  assert.deepEqual(done, ['abort', 'finish', 'finished']);
  host.expectSource('abc140');
  t.mock.timers.tick(60_000);
  assert.deepEqual(done, ['abort', 'finish', 'finished']);
});
