/** Certificates as others read them: Node's own X509Certificate, and openssl where there is one. */
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { X509Certificate, generateKeyPairSync, createPrivateKey } from 'node:crypto';
import { test } from 'node:test';
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509';
import { ms } from '../../../src/base/units.ts';
import { Authority, renewalDue } from '../../../src/trust/authority.ts';
import { ALGORITHM, makeCertificateRequest, makeKeyPair } from '../../../src/trust/certificate-request.ts';
import { peerRole } from '../../../src/trust/tls.ts';

const NOW = ms(Date.UTC(2026, 10, 22));
const DAY = 86_400_000;
const authority = await Authority.create('lab', NOW);

test('the CA: P-256, ten years, may sign certificates and no further CA', () => {
  const ca = new X509Certificate(authority.certificate);
  assert.equal(ca.ca, true);
  assert.equal(ca.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  assert.equal(ca.validFromDate.getTime(), NOW - 5 * 60_000);
  assert.equal(ca.validToDate.getTime(), NOW + 3650 * DAY);
  assert.ok(ca.verify(ca.publicKey));
});

test('a server, an agent, an administrator: who, for how long, under which addresses', async () => {
  const server = await authority.issueServer('srv', ['10.0.0.1', 'srv.example', '2001:db8::1'], NOW);
  const x509 = new X509Certificate(server.certificate);
  assert.equal(x509.subjectAltName, 'IP Address:10.0.0.1, DNS:srv.example, IP Address:2001:DB8:0:0:0:0:0:1');
  assert.ok(x509.checkIP('10.0.0.1') && x509.checkHost('srv.example') && !x509.checkIP('10.0.0.2'));
  assert.ok(x509.checkPrivateKey(createPrivateKey(server.key)));
  assert.equal(x509.validToDate.getTime(), NOW + 365 * DAY);
  assert.equal(x509.validFromDate.getTime(), NOW - 5 * 60_000);
  assert.equal(x509.ca, false);
  assert.deepEqual(peerRole(x509, NOW), { role: 'server', name: 'srv' });

  const { request } = await makeCertificateRequest();
  const agent = new X509Certificate(await authority.issueAgent(request, 'host-a', NOW));
  assert.deepEqual(peerRole(agent, NOW), { role: 'agent', host: 'host-a' });
  assert.ok(agent.checkIssued(new X509Certificate(authority.certificate)));
  const admin = new X509Certificate((await authority.issueAdmin('ann', NOW)).certificate);
  assert.deepEqual(peerRole(admin, NOW), { role: 'admin', name: 'ann' });
  assert.notEqual(admin.serialNumber, agent.serialNumber);
});

test('a CA read back from its files signs as before', async () => {
  const again = await Authority.load(authority.certificate, await authority.exportKey());
  const { certificate } = await again.issueAdmin('ann', NOW);
  assert.ok(new X509Certificate(certificate).verify(new X509Certificate(authority.certificate).publicKey));
});

test('what a request claims is not signed: only its key', async () => {
  const keys = await makeKeyPair();
  const greedy = await Pkcs10CertificateRequestGenerator.create({ keys, name: 'OU=admin, CN=root', signingAlgorithm: ALGORITHM });
  const agent = new X509Certificate(await authority.issueAgent(greedy.toString('pem'), 'host-a', NOW));
  assert.equal(agent.subject, 'OU=agent\nCN=host-a');
  assert.equal(agent.subjectAltName, 'DNS:host-a');
});

test('a request that is none, of another curve, or not signed by its own key', async () => {
  const refused = (pem: string) => assert.rejects(authority.issueAgent(pem, 'host-a', NOW), { code: 'TRUST_REQUEST_INVALID' });
  await refused('');
  await refused('-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----');
  await refused(generateKeyPairSync('ed25519').publicKey.export({ format: 'pem', type: 'spki' }).toString());
  const algorithm = { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  await refused((await Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: algorithm })).toString('pem'));
  const { request } = await makeCertificateRequest();
  const der = Buffer.from(request.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  // A bit of the signature.
  der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
  await refused(`-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----`);
});

test('a certificate past its end has no role, and one is renewed in its last third', async () => {
  const { certificate } = await authority.issueAdmin('ann', NOW);
  const x509 = new X509Certificate(certificate);
  assert.throws(() => peerRole(x509, ms(NOW + 366 * DAY)), { code: 'TRUST_CERTIFICATE_EXPIRED' });
  assert.deepEqual([1, 200, 240, 246, 400].map((day) => renewalDue(certificate, ms(NOW + day * DAY))), [false, false, false, true, true]);
});

test('a role this cluster never gives is none: two roles, a CA, no name', async () => {
  const ca = new X509Certificate(authority.certificate);
  assert.throws(() => peerRole(ca, NOW), { code: 'TRUST_FOREIGN_CERTIFICATE' });
});
