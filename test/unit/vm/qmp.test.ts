import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ms } from '../../../src/base/units.ts';
import { QmpClosed, QmpProtocolError, QmpTimeout } from '../../../src/vm/qmp-errors.ts';
import { noAnswer, QmpMemory, type QmpMemoryOptions } from '../../../src/vm/qmp-memory.ts';
import { QmpClient } from '../../../src/vm/qmp.ts';

async function connected(options?: QmpMemoryOptions): Promise<{ server: QmpMemory; qmp: QmpClient }> {
  const server = new QmpMemory(options);
  return { server, qmp: await QmpClient.open(server.transport) };
}

test('an older QEMU without out-of-band is negotiated with as it wants', async () => {
  const server = new QmpMemory({ capabilities: [] });
  let enabled: unknown;
  server.on('qmp_capabilities', (args) => {
    enabled = args['enable'];
    return noAnswer;
  });
  const opening = QmpClient.open(server.transport, { timeout: ms(5) });
  await assert.rejects(opening, QmpTimeout);
  assert.equal(enabled, undefined);
  const { qmp } = await connected({ capabilities: [] });
  assert.equal(qmp.outOfBand, false);
});

test('no greeting in time', async () => {
  let closed = (): void => undefined;
  const silent = { open: (_data: unknown, end: () => void) => (closed = end), write: () => undefined, close: () => closed() };
  await assert.rejects(QmpClient.open(silent, { timeout: ms(5) }), QmpTimeout);
});

test('a connection that ends before the greeting', async () => {
  const cause = new Error('ECONNRESET');
  const transport = { open: (_data: unknown, end: (cause: Error) => void) => end(cause), write: () => undefined, close: () => undefined };
  await assert.rejects(QmpClient.open(transport), (error) => error instanceof QmpClosed && error.cause === cause);
});

test('an answer that comes after its timeout harms nobody', async () => {
  const { server, qmp } = await connected();
  server.on('query-block', () => noAnswer);
  await assert.rejects(qmp.execute('query-block', {}, { timeout: ms(5) }), QmpTimeout);
  // qmp_capabilities was command 1.
  server.send({ return: [], id: 2 });
  assert.deepEqual(await qmp.execute('query-status'), { status: 'running', running: true });
});

test('answers out of order find their commands', async () => {
  const { server, qmp } = await connected();
  server.on('query-version', () => noAnswer);
  server.on('human-monitor-command', () => noAnswer);
  const version = qmp.execute('query-version');
  const monitor = qmp.execute('human-monitor-command', { 'command-line': 'info version' });
  server.send({ return: '10.0.2', id: 3 });
  assert.equal(await monitor, '10.0.2');
  server.send({ return: { package: 'x' }, id: 2 });
  assert.deepEqual(await version, { package: 'x' });
});

test('QEMU dies: all that is pending fails, and says why', async () => {
  const { server, qmp } = await connected();
  server.on('migrate', () => noAnswer);
  const cause = new Error('ECONNRESET');
  const pending = Promise.allSettled([
    qmp.execute('migrate', { uri: 'unix:x' }),
    qmp.waitFor('MIGRATION', { since: qmp.mark(), timeout: ms(5000) }),
  ]);
  server.close(cause);
  for (const result of await pending) {
    assert.ok(result.status === 'rejected' && result.reason instanceof QmpClosed);
    assert.equal(result.reason.cause, cause);
  }
  assert.equal(await qmp.closed, cause);
});

test('an event that came before QEMU died is found after it', async () => {
  const { server, qmp } = await connected();
  const mark = qmp.mark();
  server.emit('MIGRATION', { status: 'failed' });
  server.close();
  await qmp.closed;
  const event = await qmp.waitFor('MIGRATION', { since: mark, timeout: ms(5000) });
  assert.equal(event.data.status, 'failed');
});

test('every mark sees all that came after it, also with the event already there', async () => {
  const { server, qmp } = await connected();
  const marks = [qmp.mark()];
  for (let pass = 1; pass <= 3; pass++) {
    server.emit('MIGRATION_PASS', { pass });
    await qmp.execute('query-status');
    marks.push(qmp.mark());
  }
  const next = marks.map((since) => qmp.waitFor('MIGRATION_PASS', { since, timeout: ms(5000) }));
  server.emit('MIGRATION_PASS', { pass: 4 });
  assert.deepEqual((await Promise.all(next)).map((event) => event.data.pass), [1, 2, 3, 4]);
});

test('the time of an event is exact to the microsecond', async () => {
  const { server, qmp } = await connected();
  const mark = qmp.mark();
  server.emit('STOP', {}, 1795354117615.727);
  const stop = await qmp.waitFor('STOP', { since: mark, timeout: ms(5000) });
  assert.equal(Math.round(stop.at * 1000), 1795354117615727);
});

test('a mark taken in a listener is behind the event that the listener hears', async () => {
  const { server, qmp } = await connected();
  const next = new Promise<number>((resolve, reject) => {
    const remove = qmp.on('STOP', () => {
      remove();
      qmp.waitFor('STOP', { since: qmp.mark(), timeout: ms(5000) }).then((event) => resolve(event.at), reject);
    });
  });
  server.emit('STOP', {}, 1000);
  server.emit('STOP', {}, 2000);
  assert.equal(await next, 2000);
});

test('a predicate that throws fails its waiter and no one else', async () => {
  const { server, qmp } = await connected();
  const since = qmp.mark();
  const bad = qmp.waitFor('STOP', {
    since,
    timeout: ms(5000),
    predicate: () => {
      throw new RangeError('bad');
    },
  });
  const good = qmp.waitFor('STOP', { since, timeout: ms(5000) });
  server.emit('STOP', {});
  await assert.rejects(bad, RangeError);
  await good;
});

const nonsense: readonly [string, object][] = [
  ['an answer to a command never sent', { return: {}, id: 99 }],
  ['an error without an id', { error: { class: 'GenericError', desc: 'JSON parse error' } }],
  ['a second greeting', { QMP: { version: { qemu: { major: 1, minor: 0, micro: 0 } }, capabilities: [] } }],
  ['an object that is no message', { hello: 'world' }],
];
for (const [what, message] of nonsense) {
  test(`${what} ends the connection, and says so to all that is pending`, async () => {
    const { server, qmp } = await connected();
    server.on('query-block', () => noAnswer);
    const pending = assert.rejects(qmp.execute('query-block'), QmpProtocolError);
    server.send(message);
    await pending;
    assert.ok((await qmp.closed) instanceof QmpProtocolError);
  });
}
