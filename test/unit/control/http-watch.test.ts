/** Streams: order, ids, going on, slow readers, and that nothing is left of a closed one. */
import assert from 'node:assert/strict';
import { type IncomingMessage, request } from 'node:http';
import { test } from 'node:test';
import { type ServerSentEvent, SseParser, formatSse } from '../../../src/api/sse.ts';
import { startFixture, until } from './http-fixture.ts';

interface Reader {
  readonly response: IncomingMessage;
  next(): Promise<ServerSentEvent>;
  /** As it came. */
  text(): Promise<string>;
  close(): void;
}

function openStream(socketPath: string, path: string, after?: string): Promise<Reader> {
  return new Promise((resolve, reject) => {
    const out = request({ socketPath, path, agent: false, headers: after === undefined ? {} : { 'last-event-id': after } });
    out.on('error', reject);
    out.on('response', (response: IncomingMessage) => {
      const parser = new SseParser();
      const queue: ServerSentEvent[] = [];
      const chunks = response[Symbol.asyncIterator]();
      const next = async (): Promise<ServerSentEvent> => {
        for (;;) {
          const event = queue.shift();
          if (event) return event;
          const chunk = await chunks.next();
          if (chunk.done) throw new Error('the stream ended');
          queue.push(...parser.push(String(chunk.value)));
        }
      };
      const text = async (): Promise<string> => String((await chunks.next()).value);
      resolve({ response, next, text, close: () => void out.destroy() });
    });
    out.end();
  });
}

const words = ({ data, id }: ServerSentEvent): string => {
  // As the server writes them.
  const event = JSON.parse(data) as { kind: string; resource?: { name: string }; name?: string };
  return `${event.kind} ${event.resource?.name ?? event.name ?? ''}#${id ?? ''}`;
};

test('a watch: all there is without ids, synced, then changes with theirs', { timeout: 10_000 }, async (t) => {
  const { plane, socketPath } = await startFixture(t);
  plane.put('Vm', 'a');
  plane.put('Network', 'n');
  plane.put('Vm', 'b');
  const reader = await openStream(socketPath, '/v1/vms?watch=true');
  assert.equal(reader.response.headers['content-type'], 'text/event-stream');
  const got = [await reader.next(), await reader.next(), await reader.next()].map(words);
  plane.put('Vm', 'c');
  plane.delete('Vm', 'a');
  got.push(words(await reader.next()), words(await reader.next()));
  assert.deepEqual(got, ['put a#', 'put b#', 'synced #3', 'put c#4', 'delete a#5']);
  reader.close();
  await until(t, () => plane.open === 0);
});

test('Last-Event-ID: goes on, repeating that one revision; tells all anew when the history is gone', { timeout: 10_000 }, async (t) => {
  const { plane, socketPath } = await startFixture(t);
  for (const name of ['a', 'b', 'c']) plane.put('Vm', name);
  const on = await openStream(socketPath, '/v1/vms?watch=true', '2');
  assert.deepEqual([await on.next(), await on.next(), await on.next()].map(words), ['synced #1', 'put b#2', 'put c#3']);
  on.close();
  plane.forgetHistory();
  const anew = await openStream(socketPath, '/v1/vms?watch=true', '2');
  assert.deepEqual(
    [await anew.next(), await anew.next(), await anew.next(), await anew.next()].map(words), ['put a#', 'put b#', 'put c#', 'synced #3'],
  );
  anew.close();
  const bad = await openStream(socketPath, '/v1/vms?watch=true', 'yesterday');
  assert.equal(bad.response.statusCode, 400);
  bad.close();
  await until(t, () => plane.open === 0);
});

test('a reader that does not keep up is dropped past its backlog, and its watcher freed', { timeout: 30_000 }, async (t) => {
  const { plane, socketPath, log } = await startFixture(t);
  const slow = await openStream(socketPath, '/v1/events?watch=true');
  const fast = await openStream(socketPath, '/v1/events?watch=true');
  await slow.next();
  await fast.next();
  slow.response.pause();
  const big = { text: 'x'.repeat(100_000) };
  let sent = 0;
  // Every event goes to both; the fast one reads it before the next is made.
  while (plane.open === 2) {
    assert.ok(++sent < 200, 'nobody was dropped after 20 MB');
    plane.put('Event', `e${sent}`, big);
    await fast.next();
  }
  assert.ok(sent > 10, `dropped after ${sent} events`);
  assert.match(log.join(''), /did not keep up/);
  // The other is still served.
  plane.put('Event', 'last', {});
  assert.equal(words(await fast.next()), `put last#${sent + 1}`);
  fast.close();
  slow.close();
  await until(t, () => plane.open === 0);
});

test('a reader that takes its time over what there is already is waited for', { timeout: 30_000 }, async (t) => {
  const { plane, socketPath } = await startFixture(t);
  const spec = { text: 'x'.repeat(100_000) };
  for (let i = 0; i < 100; i++) plane.put('Event', `e${i}`, spec);
  const reader = await openStream(socketPath, '/v1/events?watch=true');
  reader.response.pause();
  await new Promise((resolve) => setTimeout(resolve, 100));
  for (let i = 0; i < 100; i++) assert.equal(words(await reader.next()), `put e${i}#`);
  assert.equal(words(await reader.next()), 'synced #100');
  reader.close();
  await until(t, () => plane.open === 0);
});

test('a quiet stream says every ten seconds that it is alive', { timeout: 10_000 }, async (t) => {
  const { plane, socketPath } = await startFixture(t);
  t.mock.timers.enable({ apis: ['setInterval'] });
  const reader = await openStream(socketPath, '/v1/vms?watch=true');
  await reader.next();
  for (let i = 0; i < 2; i++) {
    t.mock.timers.tick(10_000);
    assert.match(await reader.text(), /^: .*\n\n$/);
  }
  reader.close();
  await until(t, () => plane.open === 0);
});

test('the end of the server ends every stream at once', { timeout: 10_000 }, async (t) => {
  const { plane, socketPath, stop } = await startFixture(t);
  const reader = await openStream(socketPath, '/v1/vms?watch=true');
  await reader.next();
  const ended = new Promise((resolve) => reader.response.once('close', resolve));
  reader.response.on('error', () => undefined).resume();
  const before = performance.now();
  await stop();
  await ended;
  assert.ok(performance.now() - before < 1500, 'it waited for the grace to pass');
  assert.equal(plane.open, 0);
});

test('formatSse and the parser agree', () => {
  assert.deepEqual(new SseParser().push(formatSse('change', '{"a":1}', '7')), [{ event: 'change', data: '{"a":1}', id: '7' }]);
});
