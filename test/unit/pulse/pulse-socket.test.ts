/** Both ends of the pulse's socket, and what goes through it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeCommand } from '../../../src/pulse/pulse-command.ts';
import { connectPulse } from '../../../src/pulse/pulse-client.ts';
import { PulseAlreadyRuns, PulseLineInvalid, PulseUnreachable } from '../../../src/pulse/errors.ts';
import { lockRunDirectory } from '../../../src/pulse/lock.ts';
import type { PulseCommand, PulseMessage } from '../../../src/pulse/pulse-protocol.ts';
import { type PulseServer, servePulse } from '../../../src/pulse/pulse-server.ts';
import { Untold } from '../../../src/pulse/untold.ts';
import { plan } from './memory-pulses.ts';
import { detector, session } from './memory-sessions.ts';

interface Served {
  readonly socketPath: string;
  readonly server: PulseServer;
  readonly commands: PulseCommand[];
  readonly faults: Error[];
  /** Resolves when the next command has come. */
  next(): Promise<PulseCommand>;
}

const hello: PulseMessage = { kind: 'hello', pulse: 'p1', pid: 1, version: 'test' };

async function served(test: (served: Served) => Promise<void>, greeting: readonly PulseMessage[] = [hello]): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'godwit-pulse-'));
  const socketPath = join(directory, 'pulse.sock');
  const commands: PulseCommand[] = [];
  const faults: Error[] = [];
  let come = Promise.withResolvers<PulseCommand>();
  const onCommand = (command: PulseCommand): void => {
    commands.push(command);
    come.resolve(command);
    come = Promise.withResolvers();
  };
  const server = await servePulse({ socketPath, greeting: () => greeting, onCommand, onFault: (error) => void faults.push(error) });
  try {
    await test({ socketPath, server, commands, faults, next: () => come.promise });
  } finally {
    server.close();
    rmSync(directory, { recursive: true });
  }
}

test('a client is greeted first, hears what is told, and its commands arrive as they were sent', () => served(async ({ socketPath, server, next }) => {
  assert.equal(statSync(socketPath).mode & 0o777, 0o600);
  const client = await connectPulse(socketPath);
  assert.equal(client.hello.pulse, 'p1');
  const heard = Promise.withResolvers<PulseMessage>();
  const all: PulseMessage[] = [];
  client.onMessage((message) => {
    all.push(message);
    if (message.kind === 'refused') heard.resolve(message);
  });
  server.tell({ kind: 'refused', router: 'r1', reason: 'no' });
  await heard.promise;
  assert.deepEqual(all.map(({ kind }) => kind), ['hello', 'refused']);
  for (const command of [{ kind: 'routers', routers: [plan('r1', { track: [{ kind: 'interface', interface: 'up0', weight: -5 }] })] }, { kind: 'tracks', up: { a: true } }, { kind: 'seen', sequence: 3 }, { kind: 'end', reason: 'x' }] as const) {
    const arrived = next();
    client.send(command);
    assert.deepEqual(await arrived, command);
  }
  client.close();
  await client.closed;
}));

test('a second connection does not disturb the first; a line that is none ends its own connection alone', () => served(async ({ socketPath, faults, next }) => {
  const one = await connectPulse(socketPath);
  for (const line of ['{"kind":"rule the world"}\n', 'no json\n', '{"kind":"routers","routers":{}}\n']) {
    const stranger = connect(socketPath);
    const closed = new Promise((resolve) => void stranger.once('close', resolve));
    stranger.on('error', () => undefined).resume().write(line);
    await closed;
  }
  assert.equal(faults.length, 3);
  assert.ok(faults.every((fault) => fault instanceof PulseLineInvalid));
  assert.match(faults[2]?.message ?? '', /routers without a list/);
  const arrived = next();
  one.send({ kind: 'seen', sequence: 1 });
  assert.deepEqual(await arrived, { kind: 'seen', sequence: 1 });
  one.close();
}));

test('a client believes no message that is not as agreed, and passes over kinds that it does not know', () => served(async ({ socketPath, server }) => {
  const client = await connectPulse(socketPath);
  const newer: unknown = { kind: 'weather' };
  const wrong: unknown = { kind: 'status', routers: { r1: { state: 'confused' } } };
  const all: PulseMessage[] = [];
  client.onMessage((message) => void all.push(message));
  // As a pulse of another version might.
  server.tell(newer as PulseMessage);
  server.tell({ kind: 'refused', router: 'r1', reason: 'no' });
  server.tell(wrong as PulseMessage);
  await client.closed;
  assert.deepEqual(all.map(({ kind }) => kind), ['hello', 'refused']);
}));

test('where nobody answers, or says something else first, there is no pulse', async () => {
  await assert.rejects(connectPulse(join(tmpdir(), 'godwit-none.sock')), PulseUnreachable);
  await served(({ socketPath }) => assert.rejects(connectPulse(socketPath), PulseUnreachable), [{ kind: 'refused', router: 'r', reason: '' }]);
});

const sessions = { kind: 'sessions', sessions: [session('s', '192.0.2.2', { echo: 50, watches: { host: 'h', path: 'main' } })], keys: { k: 'AA==' }, detector } as const;

test('a plan of a session that cannot be read is no matter of the others', () => {
  assert.deepEqual(decodeCommand(sessions), sessions);
  const [good] = sessions.sessions;
  for (const [bad, words] of [
    [{ ...good, name: 'two', way: { hops: 'single' } }, /way is {"hops":"single"}/], [{ ...good, name: 'two', multiplier: 0 }, /multiplier is 0/],
    [{ ...good, name: 'two', authentication: { type: 'md5', keys: [] } }, /authentication is/],
  ] as const) {
    const { unread, ...rest } = decodeCommand({ ...sessions, sessions: [bad, good] });
    assert.deepEqual(rest, sessions);
    assert.equal(unread?.[0]?.name, 'two');
    assert.match(unread?.[0]?.reason ?? '', words);
  }
  for (const change of [{ sessions: 1 }, { keys: { k: 1 } }, { detector: {} }, { detector: { ...detector, falseAlarmsPerDay: 0 } }]) {
    assert.throws(() => decodeCommand({ ...sessions, ...change }), PulseLineInvalid);
  }
});

test('any value is a command or PulseLineInvalid', () => {
  const near = fc.oneof(
    fc.jsonValue(),
    fc.record({
      kind: fc.constantFrom('routers', 'sessions', 'tracks', 'seen', 'end'), routers: fc.jsonValue(), up: fc.jsonValue(), sequence: fc.jsonValue(), reason: fc.jsonValue(),
      sessions: fc.jsonValue(), keys: fc.jsonValue(), detector: fc.jsonValue(),
    }, { requiredKeys: ['kind'] }),
    fc.tuple(fc.constantFrom(...Object.keys(session('s', ''))), fc.jsonValue()).map(([key, value]) => ({ ...sessions, sessions: [{ ...session('s', ''), [key]: value }] })),
    fc.tuple(fc.constantFrom(...Object.keys(plan('r'))), fc.jsonValue()).map(([key, value]) => ({ kind: 'routers', routers: [{ ...plan('r'), [key]: value }] })),
  );
  fc.assert(fc.property(near, (value) => {
    try {
      decodeCommand(value);
    } catch (error) {
      assert.ok(error instanceof PulseLineInvalid, String(error));
    }
  }));
});

test('one pulse per run directory', () => {
  const directory = mkdtempSync(join(tmpdir(), 'godwit-pulse-'));
  const unlock = lockRunDirectory(directory);
  assert.throws(() => lockRunDirectory(directory), PulseAlreadyRuns);
  unlock();
  lockRunDirectory(directory)();
  rmSync(directory, { recursive: true });
});

test('the newest thousand transitions wait until they are seen', () => {
  const untold = new Untold();
  const transition = { pulse: 'p', router: 'r', at: 0, from: 'backup', to: 'active', rule: '', priority: 1, adverts: [], lateness: { now: 0, worst: 0 }, link: 'up', down: [] } as const;
  for (let i = 0; i < 1200; i++) untold.add(transition);
  assert.deepEqual([untold.all().length, untold.all()[0]?.sequence], [1000, 201]);
  untold.seen(1199);
  assert.deepEqual(untold.all().map(({ sequence }) => sequence), [1200]);
});
