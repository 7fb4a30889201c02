/** HttpClient against a real server: the same words and errors as the control plane's own, over both ways in. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { ApiError, type WatchEvent } from '../../../src/api/api.ts';
import { HttpClient } from '../../../src/api/client.ts';
import { Connection } from '../../../src/api/http-connection.ts';
import { eventStream } from '../../../src/api/http-stream.ts';
import { Authority } from '../../../src/trust/authority.ts';
import { agentIdentity, now, startFixture, until } from '../control/http-fixture.ts';

const closing = (t: { after(f: () => void): void }, client: HttpClient): HttpClient => {
  t.after(() => client.close());
  return client;
};

test('every call, by the socket and by certificate', { timeout: 20_000 }, async (t) => {
  const { plane, socketPath, url, authority } = await startFixture(t);
  const clients = [new HttpClient({ socketPath }), new HttpClient({ url, identity: await authority.issueAdmin('ann', now()) })];
  for (const client of clients) {
    closing(t, client);
    plane.calls.length = 0;
    plane.put('Vm', 'web-1', { cpus: 1, memory: '1GiB' });
    assert.deepEqual(await client.apply([{ kind: 'Vm', name: 'x' }], { dryRun: true }), [{ kind: 'Vm', name: 'x', change: 'created' }]);
    assert.equal((await client.get('Vm', 'web-1')).name, 'web-1');
    assert.equal((await client.list('Vm', { labels: { 'a/b': 'c=d&é' }, last: 3 })).length, 1);
    await client.start('web-1');
    await client.stop('web-1', { force: true });
    const migration = await client.migrate({ vm: 'web-1', to: 'host-b' });
    assert.equal((await client.cancel(migration.name)).name, 'web-1-1');
    assert.equal((await client.createToken(60_000)).expiresAt, 60_000);
    await client.remove('Vm', 'web-1');
    assert.deepEqual(plane.calls, ['apply 1 true', 'list Vm {"labels":{"a/b":"c=d&é"},"last":3}', 'start web-1', 'stop web-1 true']);
    await assert.rejects(client.get('Vm', 'web-1'), (e) => e instanceof ApiError && e.code === 'CONTROL_NOT_FOUND' && e.status === 404);
    await assert.rejects(client.apply([{ kind: 'Vm', name: 'a' }, { kind: 'Vm', name: 'b', typo: 1 }]), (e) => {
      assert.ok(e instanceof ApiError);
      assert.deepEqual(e.faults, [{ document: 1, path: '/typo', message: 'is no key' }]);
      return true;
    });
  }
});

test('what cannot be reached, or is not this cluster\'s server, is told apart', { timeout: 20_000 }, async (t) => {
  const { directory, url, authority, port } = await startFixture(t);
  const admin = await authority.issueAdmin('ann', now());
  const fails = async (client: HttpClient, code: string, words: RegExp): Promise<void> => {
    await assert.rejects(closing(t, client).list('Vm'), (e) => {
      assert.ok(e instanceof ApiError, String(e));
      assert.deepEqual([e.status, e.code], [0, code], e.message);
      assert.match(e.message, words);
      return true;
    });
  };
  const missing = join(directory, 'none.sock');
  await fails(new HttpClient({ socketPath: missing }), 'API_UNREACHABLE', new RegExp(missing));
  await fails(new HttpClient({ url: 'https://127.0.0.1:1', identity: admin }), 'API_UNREACHABLE', /https:\/\/127\.0\.0\.1:1\b.*systemctl/);
  const stranger = await Authority.create('test', now());
  await fails(new HttpClient({ url, identity: { ...admin, ca: stranger.certificate } }), 'API_UNTRUSTED_SERVER', /did not prove/);
  // By a name that its certificate does not have.
  await fails(new HttpClient({ url: `https://127.0.0.2:${port}`, identity: admin }), 'API_UNREACHABLE', /127\.0\.0\.2/);
  assert.throws(() => new HttpClient({ url: 'http://x', identity: admin }), { code: 'API_ADDRESS' });
  assert.throws(() => new HttpClient({ url: 'host:7443', identity: admin }), { code: 'API_ADDRESS' });

  const other = createServer((_, response) => void response.end('<html>')).listen(0, '127.0.0.1');
  const path = join(directory, 'other.sock');
  const web = createServer((_, response) => void response.writeHead(502).end('<html>')).listen(path);
  const silent = createTcpServer((socket) => void socket.end('220 smtp\r\n')).listen(join(directory, 'smtp.sock'));
  t.after(() => {
    for (const server of [other, web, silent]) server.close();
  });
  await Promise.all([other, web, silent].map((server) => once(server, 'listening')));
  // The address of a listening TCP socket.
  await fails(
    new HttpClient({ url: `https://127.0.0.1:${(other.address() as AddressInfo).port}`, identity: admin }),
    'API_PROTOCOL',
    /no Godwit server/,
  );
  await fails(new HttpClient({ socketPath: path }), 'API_PROTOCOL', /status 502/);
  await fails(new HttpClient({ socketPath: join(directory, 'smtp.sock') }), 'API_PROTOCOL', /no Godwit server/);
});

test('an agent of the cluster cannot pass for its server', { timeout: 20_000 }, async (t) => {
  const { authority } = await startFixture(t);
  const { createServer: createTls } = await import('node:https');
  const { serverTls } = await import('../../../src/trust/tls.ts');
  const listener = createTls(serverTls(await agentIdentity(authority, 'localhost'), { strangers: true }), (_, response) => void response.end('{"items":[]}')).listen(0, '127.0.0.1');
  t.after(() => listener.close());
  await once(listener, 'listening');
  const client = new HttpClient(
    { url: `https://localhost:${(listener.address() as AddressInfo).port}`, identity: await authority.issueAdmin('ann', now()) },
  );
  await assert.rejects(closing(t, client).list('Vm'), { code: 'API_UNTRUSTED_SERVER' });
});

const words = (event: WatchEvent<'Vm'>): string => `${event.kind} ${event.kind === 'put' ? event.resource.name : event.kind === 'delete' ? event.name : ''}`.trim();

test('a watch outlives its server: it goes on by revision, or finds what changed meanwhile', { timeout: 30_000 }, async (t) => {
  const { plane, socketPath, restart, stop } = await startFixture(t);
  const lost: string[] = [];
  const client = closing(t, new HttpClient({ socketPath }, { onLost: (e) => void lost.push(e.code) }));
  const stopper = new AbortController();
  t.after(() => stopper.abort());
  plane.put('Vm', 'a');
  plane.put('Vm', 'b');
  const watch = client.watch('Vm', stopper.signal)[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const { value } = await watch.next();
    return value ? words(value) : 'end';
  };
  assert.deepEqual([await next(), await next(), await next()], ['put a', 'put b', 'synced']);
  plane.put('Vm', 'c');
  assert.equal(await next(), 'put c');

  await stop();
  plane.delete('Vm', 'a');
  plane.put('Vm', 'd');
  await restart();
  assert.deepEqual([await next(), await next()], ['delete a', 'put d']);
  assert.equal(plane.calls.at(-1), 'watch Vm 2');

  await stop();
  plane.delete('Vm', 'b');
  plane.put('Vm', 'c', { changed: true });
  plane.forgetHistory();
  await restart();
  assert.deepEqual([await next(), await next()].sort(), ['delete b', 'put c']);
  assert.ok(lost.length >= 2 && lost.every((code) => code === 'API_UNREACHABLE'), lost.join());

  const ended = next();
  stopper.abort();
  assert.equal(await ended, 'end');
  await until(t, () => plane.open === 0);
});

test('a watch that is refused, or whose server was never there, fails at once', { timeout: 10_000 }, async (t) => {
  const { url, authority, directory } = await startFixture(t);
  const first = (client: HttpClient) => closing(t, client).watch('Vm', new AbortController().signal).next();
  await assert.rejects(first(new HttpClient({ socketPath: join(directory, 'none') })), { code: 'API_UNREACHABLE' });
  await assert.rejects(first(new HttpClient({ url, identity: await agentIdentity(authority, 'host-a') })), { code: 'API_FORBIDDEN' });
});

test('a kept connection closed instead of an answer: a GET is asked again, what changes something is not', { timeout: 10_000 }, async (t) => {
  const { directory } = await startFixture(t);
  const socketPath = join(directory, 'closing.sock');
  const asked: string[] = [];
  // Answers the first request of a connection, and closes it at the second.
  const answered = new WeakSet<object>();
  const server = createServer((request, response) => {
    asked.push(`${request.method}`);
    if (answered.has(request.socket)) request.socket.destroy();
    else response.end('{"items":[]}');
    answered.add(request.socket);
  }).listen(socketPath);
  await once(server, 'listening');
  const client = closing(t, new HttpClient({ socketPath }));
  t.after(() => void server.close());
  await client.list('Vm');
  await client.list('Vm');
  assert.deepEqual(asked, ['GET', 'GET', 'GET']);
  await assert.rejects(client.start('web-1'), { code: 'API_UNREACHABLE' });
  assert.deepEqual(asked.slice(3), ['POST']);
});

test('a server that has gone silent is lost', { timeout: 10_000 }, async (t) => {
  const { directory } = await startFixture(t);
  const socketPath = join(directory, 'silent.sock');
  let connections = 0;
  const server = createServer((_, response) => void response.writeHead(200).write(`data: ${++connections}\n\n`)).listen(socketPath);
  await once(server, 'listening');
  const connection = new Connection({ socketPath });
  const stopper = new AbortController();
  t.after(() => {
    stopper.abort();
    connection.close();
    server.close();
    server.closeAllConnections();
  });
  const lost: string[] = [];
  const onLost = (error: ApiError): void => void lost.push(error.code);
  const got: string[] = [];
  for await (const event of eventStream({ connection, path: '/', signal: stopper.signal, patient: true, onLost, silence: 50 })) {
    if (event.kind === 'event') got.push(event.data);
    if (got.length === 3) break;
  }
  assert.deepEqual(got, ['1', '2', '3']);
  assert.deepEqual(lost, ['API_UNREACHABLE', 'API_UNREACHABLE']);
});
