/** Agents among themselves: mutual, by the host's certificate, whatever the address. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TLSSocket, connect, createServer } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { ms } from '../../../src/base/units.ts';
import { Authority } from '../../../src/trust/authority.ts';
import { makeCertificateRequest } from '../../../src/trust/certificate-request.ts';
import type { Identity } from '../../../src/trust/identity.ts';
import { type Peer, agentTls, serverTls, socketPeer } from '../../../src/trust/tls.ts';

const NOW = ms(Date.now());
const authority = await Authority.create('lab', NOW);
const strangers = await Authority.create('lab', NOW);

async function agent(host: string, of = authority): Promise<Identity> {
  const { key, request } = await makeCertificateRequest();
  return { ca: of.certificate, certificate: await of.issueAgent(request, host, NOW), key };
}

/** What each side learns of the other; an error if they do not come together. */
async function meet(t: TestContext, server: Identity, client: Identity, wanted: string): Promise<Peer | undefined> {
  const listener = createServer(serverTls(server));
  const seen = new Promise<Peer | undefined>((resolve, reject) => {
    listener.once('secureConnection', (socket: TLSSocket) => {
      resolve(socketPeer(socket, NOW));
      socket.end('x');
    });
    listener.once('tlsClientError', reject);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  // The address of a listening TCP socket.
  const { port } = listener.address() as AddressInfo;
  const socket = connect({ host: '127.0.0.1', port, ...agentTls(client, wanted) });
  t.after(() => {
    socket.destroy();
    listener.close();
  });
  const heard = new Promise<void>((resolve, reject) => void socket.once('data', () => resolve()).once('error', reject));
  const [peer] = await Promise.all([seen, heard]);
  return peer;
}

test('two agents of one cluster meet, each sure of the other', async (t) => {
  assert.deepEqual(await meet(t, await agent('host-b'), await agent('host-a'), 'host-b'), { role: 'agent', host: 'host-a' });
});

test('another agent at the address, a server there, a foreign agent on either side: refused', async (t) => {
  const a = await agent('host-a');
  await assert.rejects(meet(t, await agent('host-c'), a, 'host-b'), { code: 'TRUST_FOREIGN_CERTIFICATE' });
  await assert.rejects(
    meet(t, await authority.issueServer('host-b', ['host-b', '127.0.0.1'], NOW), a, 'host-b'), { code: 'TRUST_FOREIGN_CERTIFICATE' },
  );
  await assert.rejects(meet(t, await agent('host-b', strangers), a, 'host-b'));
  await assert.rejects(meet(t, await agent('host-b'), { ...(await agent('host-a', strangers)), ca: authority.certificate }, 'host-b'));
});
