/** Garbage at every door of a real cluster: the API's socket and port, the agents' channel, the port between agents, QMP. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { type Server, type Socket, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';
import { type TLSSocket, connect as connectTls } from 'node:tls';
import { ms } from '../../src/base/units.ts';
import type { LabCluster } from '../../src/lab/cluster.ts';
import type { LabHost } from '../../src/lab/topology.ts';
import { Authority } from '../../src/trust/authority.ts';
import { makeCertificateRequest } from '../../src/trust/certificate-request.ts';
import { type Identity, readAuthorityFiles, readIdentity } from '../../src/trust/identity.ts';
import { LONG, agentFiles, onlyQemu, sharedCluster } from './cluster-fixture.ts';
import { changesNothing, runTiny, runsOn, stillWorks } from './bad-input-fixture.ts';
import { native } from './move-fixture.ts';

const DAY = 86_400_000;

/** Bytes that are no request of any protocol spoken here, or only the beginning of one. */
const GARBAGE: readonly (readonly [string, Uint8Array])[] = [
  ['random bytes', randomBytes(100_000)],
  ['half a line', Buffer.from('GET /v1/vms HT')],
  ['a line without end', Buffer.alloc(20 * 2 ** 20, 'x')],
  ['half a body', Buffer.from('POST /v1/apply HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n[{"kind":')],
  ['JSON of the wrong shape', Buffer.from('{"hello":1,"move":{},"token":[]}\n{"kind":"request","id":1,"method":"abort"}\n')],
  ['zeros', Buffer.alloc(100_000)],
];

const hold: Socket[] = [];
after(() => hold.forEach((socket) => socket.destroy()));

/** Writes, and leaves it at that: the connection is held open as long as the other side bears it. */
async function throwAt(open: () => Socket, bytes: Uint8Array): Promise<void> {
  const socket = open();
  hold.push(socket);
  socket.on('error', () => undefined).resume();
  await new Promise<void>((resolve) => {
    socket.on('close', resolve);
    socket.write(bytes, () => resolve());
  });
}

interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly detail: string;
}

async function answerOf(response: IncomingMessage): Promise<Answer> {
  // Problem details, or a list.
  const body = JSON.parse(await text(response)) as { readonly code?: string; readonly detail?: string };
  return { status: response.statusCode ?? 0, code: body.code, detail: body.detail ?? '' };
}

/** `at`: the way to the server. */
function asks(at: string, identity: Partial<Identity> & Pick<Identity, 'ca'>, method: string, path: string, body?: string): Promise<Answer> {
  const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) };
  return new Promise((resolve, reject) => {
    const out = httpsRequest({ createConnection: () => tls(at, identity, true), method, path, headers });
    out.on('error', reject);
    out.on('response', (response: IncomingMessage) => void answerOf(response).then(resolve, reject));
    out.end(body);
  });
}

const overSocket = (cluster: LabCluster, method: string, path: string, body: string): Promise<Answer> => new Promise((resolve, reject) => {
  const out = httpRequest({ socketPath: cluster.socket, agent: false, method, path, headers: { 'content-type': 'application/json' } });
  out.on('error', reject).on('response', (response: IncomingMessage) => void answerOf(response).then(resolve, reject));
  out.end(body);
});

describe('garbage and strangers', { timeout: 300_000 }, () => {
  let [server, peer] = ['', ''];
  const shared = sharedCluster(async (cluster) => {
    const [h1, h2] = cluster.lab.hosts;
    assert.ok(h1 && h2 && cluster.lab.server);
    server = await relay(cluster, h1, String(cluster.lab.server.address), 7443);
    peer = await relay(cluster, h1, String(h2.address), 7444);
    await runTiny(cluster, 'web-1', 'h1');
  });
  const identityOf = (cluster: LabCluster, host: string): Promise<Identity> => readIdentity(join(agentFiles(cluster, host), 'identity'));
  const authorityOf = async (cluster: LabCluster): Promise<Authority> => {
    const { certificate, key } = await readAuthorityFiles(join(cluster.stateDir('server'), 'server/authority'));
    return Authority.load(certificate, key);
  };
  const agentOf = async (authority: Authority, host: string, at = Date.now()): Promise<Identity> => {
    const { key, request } = await makeCertificateRequest();
    return { ca: authority.certificate, certificate: await authority.issueAgent(request, host, ms(at)), key };
  };

  test('bytes at the socket, at the port, and inside TLS; 200 connections that say next to nothing', async () => {
    const cluster = shared();
    const identity = await identityOf(cluster, 'h1');
    await changesNothing(cluster, async () => {
      for (const [, bytes] of GARBAGE) {
        await throwAt(() => connect(cluster.socket), bytes);
        await throwAt(() => connect(server), bytes);
        await throwAt(() => tls(server, identity), bytes);
      }
      for (let i = 0; i < 200; i++) await throwAt(i % 2 ? () => connect(server) : () => connect(cluster.socket), Buffer.from(i % 4 < 2 ? 'G' : '\x16'));
    });
    await stillWorks(cluster, 'web-1');
  });

  test('valid JSON that is none of the API: a code, and never the server\'s own failure', async () => {
    const cluster = shared();
    const identity = await identityOf(cluster, 'h1');
    const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
    const values = ['null', '3', '"x"', '[]', '{}', '[null]', '[{"kind":3,"name":{}}]', '{"instance":1}', `{"vm":${deep},"to":"h1"}`, deep, '{"vm":"web-1","to":"h2","dryRun":"yes"}', '{"ttl":1e999}'];
    await changesNothing(cluster, async () => {
      for (const value of values) {
        for (const path of ['/v1/apply', '/v1/migrations', '/v1/tokens']) {
          if (path === '/v1/apply' && value === '[]') continue; // nothing to apply is nothing wrong
          const { status, code } = await overSocket(cluster, 'POST', path, value);
          assert.ok(status === 400 && code !== undefined, `${path} ${value.slice(0, 60)}: ${status} ${code}`);
        }
        const { status, code } = await asks(server, identity, 'POST', '/agent/v1/report', value);
        assert.ok(status === 400 && code !== undefined, `report ${value.slice(0, 60)}: ${status} ${code}`);
      }
    });
  });

  test('certificates: none, a foreign CA\'s, an expired one, another role\'s, another host\'s', async () => {
    const cluster = shared();
    const authority = await authorityOf(cluster);
    const { ca } = await identityOf(cluster, 'h1');
    const foreign = await Authority.create('elsewhere', ms(Date.now()));
    const expired = await agentOf(authority, 'h1', Date.now() - 400 * DAY);
    const rows: readonly (readonly [string, Partial<Identity> & Pick<Identity, 'ca'>, string, number, string, RegExp])[] = [
      ['none', { ca }, '/v1/vms', 401, 'API_UNAUTHENTICATED', /client certificate.*socket as root/],
      ['foreign', { ...(await agentOf(foreign, 'h1')), ca }, '/agent/v1/wanted', 403, 'TRUST_FOREIGN_CERTIFICATE', /not one of this cluster's.*join this cluster/],
      ['foreign admin', { ...(await foreign.issueAdmin('root', ms(Date.now()))), ca }, '/v1/vms', 403, 'TRUST_FOREIGN_CERTIFICATE', /not one of this cluster's/],
      ['expired', { ...expired, ca }, '/agent/v1/wanted', 403, 'TRUST_CERTIFICATE_EXPIRED', /ended on \d{4}-.*is the clock right/],
      ['an agent as administrator', await agentOf(authority, 'h1'), '/v1/vms', 403, 'API_FORBIDDEN', /ask as an administrator/],
      ['an administrator as agent', await authority.issueAdmin('ann', ms(Date.now())), '/agent/v1/wanted', 403, 'API_FORBIDDEN', /Only agents/],
      ['a host that never joined', await agentOf(authority, 'h9'), '/agent/v1/wanted', 403, 'CONTROL_HOST_UNKNOWN', /join it again with a new token/],
    ];
    await changesNothing(cluster, async () => {
      for (const [what, identity, path, status, code, says] of rows) {
        const answer = await asks(server, identity, 'GET', path);
        assert.deepEqual([answer.status, answer.code], [status, code], `${what}: ${answer.detail}`);
        assert.match(answer.detail, says, what);
      }
    });
  });

  test('the port between agents: garbage, strangers, agents without a move; nobody is answered, and it is in the log', async () => {
    const cluster = shared();
    const authority = await authorityOf(cluster);
    const foreign = await Authority.create('elsewhere', ms(Date.now()));
    const own = await identityOf(cluster, 'h1');
    const hello = Buffer.from(`{"hello":1,"move":"abcdef","token":"${'A'.repeat(43)}"}\n`);
    await changesNothing(cluster, async () => {
      for (const [, bytes] of GARBAGE) {
        await throwAt(() => connect(peer), bytes);
        await throwAt(() => tls(peer, own), bytes);
      }
      for (const identity of [{ ca: own.ca }, await agentOf(foreign, 'h1'), await agentOf(authority, 'h1', Date.now() - 400 * DAY), await authority.issueAdmin('ann', ms(Date.now())), own, await agentOf(authority, 'h9')]) {
        assert.doesNotMatch(await dialogue(tls(peer, { ...identity, ca: own.ca }), hello), /result|"event"|journal|committed|aborted/);
      }
      await throwAt(() => tls(peer, own), Buffer.from('{"hello":99,"move":"abcdef","token":""}\n'));
    });
    for (const words of [/MOVE_NO_SUCH_MOVE/, /MOVE_PEER_MESSAGE/, /upgrade the older one/, /no agent of this cluster was turned away/]) {
      await cluster.until(`the log of h2 has ${words}`, async () => words.test(logOf(cluster, 'h2')), LONG);
    }
    await stillWorks(cluster, 'web-1');
  });

  test('what answers at a VM\'s QMP socket is not QEMU: told of that VM alone, and mended when the socket is', async () => {
    const cluster = shared();
    const { host, pid } = onlyQemu(cluster, { name: 'web-1' });
    const other = 'web-2';
    await runTiny(cluster, other, host);
    const path = join(cluster.runDir(host), 'vms/web-1/qmp');
    assert.ok(existsSync(path), 'the socket is where the test looks for it');
    await cluster.end(`agent ${host}`);
    renameSync(path, `${path}.true`);
    let quack: Server | undefined;
    try {
      for (const words of ['\xff\xfe\x00garbage\n', '{"QMP":{}}\n', '{"return":[],"id":1}\n{"event":3}\n']) {
        quack = createServer((socket) => void socket.on('error', () => undefined).write(Buffer.from(words, 'latin1')));
        await once(quack.listen(path), 'listening');
        cluster.startAgent(host);
        await cluster.until(`the other VM is looked after; ${JSON.stringify(words)}`, async () => (await cluster.api.get('Host', host)).status?.state === 'ready' && /QMP_.*A VM is in trouble/.test(logOf(cluster, host)), LONG);
        await cluster.end(`agent ${host}`);
        await close(quack);
        rmSync(path, { force: true });
      }
    } finally {
      if (quack) await close(quack);
      rmSync(path, { force: true });
      renameSync(`${path}.true`, path);
    }
    cluster.startAgent(host);
    for (const name of ['web-1', other]) await runsOn(cluster, name, host);
    assert.equal(onlyQemu(cluster, { name: 'web-1' }).pid, pid);
    await stillWorks(cluster, other);
  });
});

/** Since this agent began. */
const logOf = (cluster: LabCluster, host: string): string => readFileSync(cluster.log(host), 'utf8').split('The agent begins').at(-1) ?? '';

async function close(server: Server): Promise<void> {
  if (!server.listening) return;
  server.close();
  await once(server, 'close');
}

/** Of a relay. */
function tls(path: string, { ca, certificate, key }: Partial<Identity> & Pick<Identity, 'ca'>, rejectUnauthorized = false): TLSSocket {
  return connectTls({ path, ca, rejectUnauthorized, ...(certificate === undefined ? {} : { cert: certificate, key: key ?? '' }) });
}

const relays: ChildProcess[] = [];
after(() => relays.forEach((relay) => relay.kill('SIGKILL')));

/** A unix socket that leads out of the host's namespace to that port: a socket of ours would connect out of the one it is told of too late. */
async function relay(cluster: LabCluster, at: LabHost, host: string, port: number): Promise<string> {
  const path = join(cluster.lab.directory, `relay-${port}`);
  const child = native.inNetns(at.host.netns, () => spawn(process.execPath, [join(import.meta.dirname, 'bad-input-relay.ts'), path, host, String(port)], { stdio: ['ignore', 'pipe', 'inherit'] }));
  relays.push(child);
  await once(child.stdout, 'data');
  return path;
}

/** All that comes back until the other side closes. */
function dialogue(socket: Socket, bytes: Uint8Array): Promise<string> {
  hold.push(socket);
  return new Promise((resolve) => {
    let got = '';
    socket.on('data', (chunk: Buffer) => (got += chunk.toString('latin1'))).on('error', () => undefined).on('close', () => resolve(got));
    socket.write(bytes);
  });
}
