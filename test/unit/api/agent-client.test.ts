/** The agents' way to the server: joining by a token, reports, what is wanted across a restart, renewal. */
import assert from 'node:assert/strict';
import { createServer } from 'node:tls';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import { X509Certificate } from 'node:crypto';
import { AgentClient } from '../../../src/api/agent-client.ts';
import type { AgentReport } from '../../../src/api/agent-protocol.ts';
import { Authority } from '../../../src/trust/authority.ts';
import { makeCertificateRequest } from '../../../src/trust/certificate-request.ts';
import { join } from '../../../src/trust/join.ts';
import { caHash, formatJoinToken, makeJoinToken } from '../../../src/trust/join-token.ts';
import { secureContext } from '../../../src/trust/tls.ts';
import { agentIdentity, now, startFixture } from '../control/http-fixture.ts';

const token = (authority: Authority, fill: number) => makeJoinToken((n) => Buffer.alloc(n, fill), caHash(authority.certificate));

const REPORT: AgentReport = {
  instance: 'i1', sequence: 1, moves: [], vms: [],
  host: { agent: { version: '0', instance: 'i1', startedAt: 1, cpuTime: 1, residentMemory: 1 }, qemu: '10', kernel: '6', cpu: 'x', cpus: 2, accelerators: [], memory: 1, freeMemory: 1, bridges: {}, missingFeatures: [] },
};

test('a host joins, reports, and is told what is wanted, also after the server was away', { timeout: 30_000 }, async (t) => {
  const { plane, url, authority, stop, restart } = await startFixture(t);
  const parts = token(authority, 1);
  plane.addToken(parts.id, parts.secret);
  const identity = await join(url, formatJoinToken(parts), 'host-a', { address: '10.0.0.1' });
  assert.equal(identity.ca, authority.certificate);
  assert.deepEqual((await plane.get('Host', 'host-a')).spec, { address: '10.0.0.1' });
  await assert.rejects(join(url, formatJoinToken(parts), 'host-b', { address: '10.0.0.2' }), { code: 'CONTROL_TOKEN_INVALID' });

  const lost: string[] = [];
  const client = new AgentClient(url, identity, { onLost: (e) => void lost.push(e.code) });
  t.after(() => client.close());
  assert.deepEqual(await client.report(REPORT), { acknowledged: [] });
  assert.deepEqual(plane.reports, [{ host: 'host-a', report: REPORT }]);

  const stopper = new AbortController();
  t.after(() => stopper.abort());
  // The server is away at first.
  await stop();
  const wanted = client.wanted(stopper.signal);
  const first = wanted.next();
  await assert.rejects(client.report(REPORT), { code: 'API_UNREACHABLE' });
  await restart();
  assert.equal((await first).value?.vms[0]?.name, 'on-host-a');
  plane.wantedOf = () => ({ vms: [], moves: [] });
  plane.changed();
  assert.deepEqual((await wanted.next()).value, { vms: [], moves: [] });
  await restart();
  assert.deepEqual((await wanted.next()).value, { vms: [], moves: [] });
  assert.ok(lost.includes('API_UNREACHABLE'));

  const { request } = await makeCertificateRequest(identity.key);
  const renewed = new X509Certificate(await client.renew(request));
  assert.equal(renewed.subject, 'OU=agent\nCN=host-a');
  assert.notEqual(renewed.serialNumber, new X509Certificate(identity.certificate).serialNumber);
  const ended = wanted.next();
  stopper.abort();
  assert.equal((await ended).done, true);
});

test('a server of another cluster is told nothing: not a byte after the handshake', { timeout: 10_000 }, async (t) => {
  const [ours, theirs] = [await Authority.create('lab', now()), await Authority.create('lab', now())];
  let bytes = 0;
  const listener = createServer({ ...secureContext(await theirs.issueServer('s', ['127.0.0.1'], now())) }, (socket) => {
    socket.on('data', (data) => (bytes += data.length)).on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  t.after(() => listener.close());
  await once(listener, 'listening');
  const over = new Promise((resolve) => listener.once('connection', (socket: Socket) => socket.once('close', resolve)));
  // The address of a listening TCP socket.
  const url = `https://127.0.0.1:${(listener.address() as AddressInfo).port}`;
  await assert.rejects(join(url, formatJoinToken(token(ours, 2)), 'host-a', { address: '10.0.0.1' }), { code: 'TRUST_CA_MISMATCH' });
  await assert.rejects(join(url, 'gwt1.garbage', 'host-a', { address: '10.0.0.1' }), { code: 'TRUST_TOKEN_MALFORMED' });
  await over;
  assert.equal(bytes, 0);
});

test('our CA shown by somebody who has no key of ours proves nothing', { timeout: 10_000 }, async (t) => {
  const [ours, theirs] = [await Authority.create('lab', now()), await Authority.create('lab', now())];
  // Their certificate with our CA appended: both have the same name, and the chain seems to lead there.
  const fake = { ...(await theirs.issueServer('s', ['127.0.0.1'], now())), ca: ours.certificate };
  let bytes = 0;
  const listener = createServer({ ...secureContext(fake) }, (socket) => void socket.on('data', (data) => (bytes += data.length)).on('error', () => undefined)).listen(0, '127.0.0.1');
  t.after(() => listener.close());
  await once(listener, 'listening');
  const url = `https://127.0.0.1:${(listener.address() as AddressInfo).port}`;
  await assert.rejects(
    join(url, formatJoinToken(token(ours, 3)), 'host-a', { address: '10.0.0.1' }),
    (e: Error & { code?: string }) => e.code === 'API_UNTRUSTED_SERVER' || e.code === 'TRUST_CA_MISMATCH',
  );
  assert.equal(bytes, 0);
});

test('what is wanted is not waited for when the server refuses this agent', { timeout: 10_000 }, async (t) => {
  const { url, authority } = await startFixture(t);
  const foreign = { ...(await agentIdentity(await Authority.create('x', now()), 'host-a')), ca: authority.certificate };
  const client = new AgentClient(url, foreign);
  t.after(() => client.close());
  await assert.rejects(client.wanted(new AbortController().signal).next(), { code: 'TRUST_FOREIGN_CERTIFICATE' });
  await assert.rejects(client.report(REPORT), { code: 'TRUST_FOREIGN_CERTIFICATE' });
});

test('another certificate from one request to the next: what goes by the old one is ended, and comes back by the new', { timeout: 30_000 }, async (t) => {
  const { plane, url, authority } = await startFixture(t);
  const client = new AgentClient(url, await agentIdentity(authority, 'host-a'));
  const stopper = new AbortController();
  const wanted = client.wanted(stopper.signal);
  t.after(async () => {
    stopper.abort();
    await wanted.return();
    client.close();
  });
  assert.equal((await wanted.next()).value?.vms[0]?.name, 'on-host-a');
  await client.report(REPORT);
  // A renewed one names the same host; another name shows which is used.
  client.useIdentity(await agentIdentity(authority, 'host-b'));
  await client.report(REPORT);
  assert.deepEqual(plane.reports.map(({ host }) => host), ['host-a', 'host-b']);
  assert.equal((await wanted.next()).value?.vms[0]?.name, 'on-host-b');
});
