/** Who may do what: by socket, by certificate, by none; foreign and expired ones; joining. */
import assert from 'node:assert/strict';
import { connect } from 'node:tls';
import { test } from 'node:test';
import { X509Certificate } from 'node:crypto';
import { ms } from '../../../src/base/units.ts';
import { JoinLimit } from '../../../src/control/http-join-limit.ts';
import { Authority } from '../../../src/trust/authority.ts';
import { makeCertificateRequest } from '../../../src/trust/certificate-request.ts';
import { agentIdentity, ask, now, startFixture } from './http-fixture.ts';
import { routerStatus, transition } from './router-parts.ts';

const YEAR = 365 * 86_400_000;
const REPORT = {
  instance: 'i1', sequence: 1, vms: [], moves: [],
  host: { agent: { version: '0', instance: 'i1', startedAt: 1, cpuTime: 1, residentMemory: 1 }, qemu: '10', kernel: '6', cpu: 'x', cpus: 2, accelerators: ['tcg'], memory: 1, freeMemory: 1, bridges: { br0: { mtu: 1500 } }, missingFeatures: [] },
};

test('an administrator may do all of hers, an agent only its own, a stranger only join and see that the server lives', async (t) => {
  const { authority, port, plane, socketPath } = await startFixture(t);
  plane.put('Host', 'host-a');
  const stranger = { port, ca: authority.certificate };
  const agent = { port, ...(await agentIdentity(authority, 'host-a')) };
  const admin = { port, ...(await authority.issueAdmin('ann', now())) };
  const server = { port, ...(await authority.issueServer('other', ['127.0.0.1'], now())) };
  const report = JSON.stringify(REPORT);
  const rows: readonly (readonly [object, string, string, string | undefined, number, string | undefined])[] = [
    [stranger, 'GET', '/healthz', undefined, 200, undefined],
    [stranger, 'GET', '/v1/hosts', undefined, 401, 'API_UNAUTHENTICATED'],
    [stranger, 'GET', '/v1/hosts?watch=true', undefined, 401, 'API_UNAUTHENTICATED'],
    [stranger, 'GET', '/openapi.json', undefined, 401, 'API_UNAUTHENTICATED'],
    [stranger, 'GET', '/v1/nothing', undefined, 401, 'API_UNAUTHENTICATED'],
    [stranger, 'POST', '/agent/v1/report', report, 401, 'API_UNAUTHENTICATED'],
    [stranger, 'GET', '/agent/v1/wanted', undefined, 401, 'API_UNAUTHENTICATED'],
    [stranger, 'POST', '/v1/apply', '[]', 401, 'API_UNAUTHENTICATED'],
    [stranger, 'POST', '/agent/v1/renew', '{"request":""}', 401, 'API_UNAUTHENTICATED'],
    [server, 'GET', '/v1/hosts', undefined, 401, 'API_UNAUTHENTICATED'],
    [agent, 'POST', '/agent/v1/report', report, 200, undefined],
    [agent, 'GET', '/v1/hosts', undefined, 403, 'API_FORBIDDEN'],
    [agent, 'GET', '/v1/hosts/host-b', undefined, 403, 'API_FORBIDDEN'],
    [agent, 'POST', '/v1/tokens', '{"ttl":60000}', 403, 'API_FORBIDDEN'],
    [agent, 'GET', '/agent/v1/wanted?host=host-b', undefined, 400, 'API_INVALID'],
    [admin, 'GET', '/v1/hosts', undefined, 200, undefined],
    [admin, 'POST', '/v1/tokens', '{"ttl":60000}', 201, undefined],
    [admin, 'POST', '/agent/v1/report', report, 403, 'API_FORBIDDEN'],
    [{ socketPath }, 'GET', '/v1/hosts', undefined, 200, undefined],
    [{ socketPath }, 'POST', '/agent/v1/report', report, 403, 'API_FORBIDDEN'],
  ];
  for (const [who, method, path, body, status, code] of rows) {
    const answer = await ask(who as Parameters<typeof ask>[0], method, path, body);
    assert.deepEqual([answer.status, answer.json.code], [status, code], `${method} ${path}: ${answer.body}`);
  }
  // The host is the certificate's, whatever the report says besides.
  assert.equal(
    (await ask(agent, 'POST', '/agent/v1/report', JSON.stringify({ ...REPORT, name: 'host-b', host: { ...REPORT.host, name: 'host-b' } }))).status,
    200,
  );
  assert.deepEqual(plane.reports.map((r) => r.host), ['host-a', 'host-a']);
});

test('garbage from an agent is refused before the control plane sees it', async (t) => {
  const { authority, port, plane } = await startFixture(t);
  const agent = { port, ...(await agentIdentity(authority, 'host-a')) };
  const bad = [
    '[]', 'null', '{}', JSON.stringify({ ...REPORT, sequence: -1 }), JSON.stringify({ ...REPORT, sequence: '1' }), JSON.stringify({ ...REPORT, vms: [{ name: '../x' }] }),
    JSON.stringify({ ...REPORT, vms: [{ name: 'a', placement: { host: 'h', epoch: 1.5, start: 0 }, state: 'running' }] }),
    JSON.stringify({ ...REPORT, vms: [{ name: 'a', placement: { host: 'h', epoch: 1, start: 0 }, state: 'flying' }] }),
    JSON.stringify({ ...REPORT, moves: [{ migration: 'a-1', move: 'a1b2c0', role: 'source', phase: 'done', end: { kind: 'rolled-back' } }] }),
    JSON.stringify({ ...REPORT, moves: [{ migration: 'a-1', move: 'a1b2c0', role: 'source', phase: 'copy', progress: { fraction: 2 } }] }),
    JSON.stringify({ ...REPORT, routers: { 'g w': routerStatus({}) } }), JSON.stringify({ ...REPORT, routers: { gw: { ...routerStatus({}), state: 'master' } } }),
    JSON.stringify({ ...REPORT, routers: { gw: routerStatus({ counters: { ...routerStatus({}).counters, unsent: { EPERM: -1 } } }) } }),
    JSON.stringify({ ...REPORT, transitions: [{ ...transition(1), sequence: -1 }] }), JSON.stringify({ ...REPORT, transitions: [{ ...transition(1), to: 'unknown' }] }),
  ];
  for (const body of bad) assert.equal((await ask(agent, 'POST', '/agent/v1/report', body)).json.code, 'API_INVALID', body);
  assert.equal(plane.reports.length, 0);
  const good = { ...REPORT, moves: [{ migration: 'a-1', move: 'a1b2c0', role: 'source', phase: 'done', end: { kind: 'rolled-back', reason: 'why' }, receipt: { any: 1 } }] };
  assert.deepEqual((await ask(agent, 'POST', '/agent/v1/report', JSON.stringify(good))).json, { acknowledged: ['a-1'] });
  assert.deepEqual(plane.reports[0]?.report, good);
  const told = {
    ...REPORT, routers: { gw: routerStatus({ counters: { sent: 1, received: 0, dropped: {}, unsent: { peers: 2 }, transitions: 0 }, tracks: [{ what: 'script check' }, { what: 'interface eth1', up: false, weight: -20 }], active: { address: '10.0.0.2', priority: 1, interval: 100, checksum: 'rfc9568' } }) },
    transitions: [transition(6), transition(7, { adverts: [{ from: 'fe80::2', priority: 0, interval: 10, ago: 0.5 }] })],
  };
  assert.deepEqual((await ask(agent, 'POST', '/agent/v1/report', JSON.stringify(told))).json, { acknowledged: [], transitions: { pulse: 'p1', sequence: 7 } });
  assert.deepEqual(plane.reports[1]?.report, told);
});

test('a foreign certificate and an expired one are told what they are', async (t) => {
  const { authority, port, plane } = await startFixture(t);
  // Of the same name even, and with a CA of the same name.
  const foreign = await agentIdentity(await Authority.create('test', now()), 'host-a');
  const expired = await agentIdentity(authority, 'host-a', ms(now() - YEAR - 60_000));
  const early = await agentIdentity(authority, 'host-a', ms(now() + 3_600_000));
  const ca = authority.certificate;
  for (const path of ['/agent/v1/report', '/v1/apply', '/agent/v1/join']) {
    const as = async (identity: typeof foreign): Promise<readonly unknown[]> => {
      const { status, json } = await ask({ port, ...identity, ca }, 'POST', path, '[]');
      return [status, json.code];
    };
    assert.deepEqual(await as(foreign), [403, 'TRUST_FOREIGN_CERTIFICATE'], path);
    assert.deepEqual(await as(expired), [403, 'TRUST_CERTIFICATE_EXPIRED'], path);
    assert.deepEqual(await as(early), [403, 'TRUST_FOREIGN_CERTIFICATE'], path);
  }
  assert.equal(plane.reports.length, 0);
  // Made in this moment by a clock four minutes ahead: within the margin.
  const ahead = await agentIdentity(authority, 'host-a', ms(now() + 240_000));
  assert.equal((await ask({ port, ...ahead }, 'POST', '/agent/v1/report', JSON.stringify(REPORT))).status, 200);
});

test('TLS older than 1.3 is refused, and no session can be resumed', async (t) => {
  const { authority, port } = await startFixture(t);
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca: authority.certificate, maxVersion: 'TLSv1.2' });
    socket.once('error', () => resolve()).once('secureConnect', () => reject(new Error('TLS 1.2 was taken')));
  });
  const agent = await agentIdentity(authority, 'host-a');
  const open = (session?: Buffer): Promise<{ readonly reused: boolean; readonly session: Buffer | undefined }> =>
    new Promise((resolve, reject) => {
      let given: Buffer | undefined;
      let reused = false;
      const socket = connect(
        { host: '127.0.0.1', port, ca: agent.ca, cert: agent.certificate, key: agent.key, ...(session ? { session } : {}) },
      );
      socket.once('session', (s) => (given = s)).once('error', reject).on('data', () => undefined);
      socket.once('secureConnect', () => {
        reused = socket.isSessionReused();
        socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
      });
      socket.once('close', () => resolve({ reused, session: given }));
    });
  const { session } = await open();
  assert.equal((await open(session)).reused, false);
});

test('joining: a good token gets a certificate of its host once; used, unknown, or with a bad request, none', async (t) => {
  const { authority, port, plane } = await startFixture(t);
  const stranger = { port, ca: authority.certificate };
  const secret = 's'.repeat(43);
  plane.addToken('tok1', secret);
  const { request } = await makeCertificateRequest();
  const body = (more: object): string => JSON.stringify(
    { name: 'host-n', spec: { address: '10.0.0.9' }, tokenId: 'tok1', secret, request, ...more },
  );
  const tries: readonly (readonly [object, number, string])[] = [
    [{ secret: 'x'.repeat(43) }, 403, 'CONTROL_TOKEN_INVALID'],
    [{ tokenId: 'tok2' }, 403, 'CONTROL_TOKEN_INVALID'],
    [{ request: 'garbage' }, 400, 'TRUST_REQUEST_INVALID'],
    [{ name: 'Host N' }, 400, 'API_INVALID'],
    [{ role: 'admin' }, 400, 'API_INVALID'],
  ];
  for (const [more, status, code] of tries) {
    const answer = await ask(stranger, 'POST', '/agent/v1/join', body(more));
    assert.deepEqual([answer.status, answer.json.code], [status, code], answer.body);
  }
  // None of these has spent it.
  const { status, json } = await ask(stranger, 'POST', '/agent/v1/join', body({}));
  assert.equal(status, 201);
  assert.equal(json['ca'], authority.certificate);
  assert.equal(new X509Certificate(String(json['certificate'])).subject, 'OU=agent\nCN=host-n');
  const again = await ask(stranger, 'POST', '/agent/v1/join', body({ name: 'host-m' }));
  assert.deepEqual([again.status, again.json.code], [403, 'CONTROL_TOKEN_INVALID']);
  // Tries are counted.
  const codes: unknown[] = [];
  for (let i = 0; i < 6; i++) codes.push((await ask(stranger, 'POST', '/agent/v1/join', body({ name: 'host-m' }))).json.code);
  assert.equal(codes.at(-1), 'API_RATE_LIMITED');
});

test('the limit lets some through at once, then one every six seconds; each address has its own, an IPv6 /64 one together', () => {
  const limit = new JoinLimit();
  const many = (address: string, at: number): number => Array.from({ length: 50 }, () => limit.take(address, ms(at))).filter(Boolean).length;
  assert.equal(many('10.0.0.1', 0), 10);
  assert.equal(many('10.0.0.2', 0), 10);
  assert.equal(many('10.0.0.1', 5999), 0);
  assert.equal(many('10.0.0.1', 12_000), 2);
  assert.equal(many('10.0.0.1', 1e9), 10);
  assert.equal(many('2001:db8:0:1::1', 0) + many('2001:db8:0:1:ffff::2', 0) + many('2001:db8::1:0:0:0:3', 0), 10);
  assert.equal(many('2001:db8:0:2::1', 0), 10);
  assert.equal(many('::ffff:10.0.0.7', 0) + many('::ffff:10.0.0.8', 0), 20);
});

test('a renewed certificate: for the same host, of a year from now; not for a host that was removed', async (t) => {
  const { authority, port, plane } = await startFixture(t);
  plane.put('Host', 'host-a');
  const old = await agentIdentity(authority, 'host-a', ms(now() - 300 * 86_400_000));
  const { request } = await makeCertificateRequest(old.key);
  const renew = () => ask({ port, ...old }, 'POST', '/agent/v1/renew', JSON.stringify({ request }));
  const { json } = await renew();
  const renewed = new X509Certificate(String(json['certificate']));
  assert.equal(renewed.subject, 'OU=agent\nCN=host-a');
  assert.ok(renewed.validToDate.getTime() > now() + YEAR - 60_000);
  plane.delete('Host', 'host-a');
  assert.equal((await renew()).json.code, 'CONTROL_NOT_FOUND');
});
