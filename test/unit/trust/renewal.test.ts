/** When a certificate is renewed, who is told, and what a server's new one has of its old one. */
import assert from 'node:assert/strict';
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadMembership, renewMembership } from '../../../src/agent/membership.ts';
import type { Clock } from '../../../src/base/clock.ts';
import { type Milliseconds, ms } from '../../../src/base/units.ts';
import { Authority } from '../../../src/trust/authority.ts';
import { makeCertificateRequest } from '../../../src/trust/certificate-request.ts';
import { type Identity, isWhole, readIdentity, writeIdentity } from '../../../src/trust/identity.ts';
import { LiveIdentity, keepRenewed } from '../../../src/trust/renewal.ts';

const NOW = ms(Date.UTC(2026, 10, 22));
const DAY = 86_400_000;
const authority = await Authority.create('lab', NOW);

/** Sleeps by setting the time; ends the loop after `days`. */
function passing(days: number): { clock: Clock; signal: AbortSignal; day: () => number } {
  let now: number = NOW;
  const over = new AbortController();
  const clock: Clock = {
    now: () => ms(now), monotonic: () => ms(now - NOW),
    sleep: async (duration: Milliseconds) => {
      now += duration;
      if (now >= NOW + days * DAY) over.abort();
    },
  };
  return { clock, signal: over.signal, day: () => (now - NOW) / DAY };
}

test('renewed in the last third of its life, and told on; a failure is tried again every hour', async () => {
  const { clock, signal, day } = passing(600);
  const live = new LiveIdentity(await authority.issueServer('srv', ['10.0.0.1'], NOW));
  const renewed: number[] = [];
  const failed: number[] = [];
  const told: Identity[] = [];
  live.onRenewed((identity) => told.push(identity));
  await keepRenewed({
    identity: live, clock, signal,
    renew: async (old) => {
      if (failed.length < 3) throw new Error('away');
      renewed.push(day());
      return authority.renewServer(old, clock.now());
    },
    onFailure: () => failed.push(day()),
  });
  assert.equal(failed.length, 3);
  assert.deepEqual(failed.map((at) => Math.round(at * 24)), [244 * 24, 244 * 24 + 1, 244 * 24 + 2]);
  assert.deepEqual(renewed.map(Math.floor), [244, 488]);
  assert.equal(told.length, 2);
  assert.equal(live.current, told[1]);
});

test('a server\'s new certificate: the same key, name and addresses, another year', async () => {
  const old = await authority.issueServer('srv', ['10.0.0.1', 'srv.example', '2001:db8::1'], NOW);
  const later = ms(NOW + 300 * DAY);
  const renewed = await authority.renewServer(old, later);
  const [before, after] = [new X509Certificate(old.certificate), new X509Certificate(renewed.certificate)];
  assert.equal(after.subject, before.subject);
  assert.equal(after.subjectAltName, before.subjectAltName);
  assert.deepEqual(after.keyUsage, before.keyUsage);
  assert.ok(after.checkPrivateKey(createPrivateKey(old.key)));
  assert.equal(after.validToDate.getTime(), later + 365 * DAY);
  assert.ok(isWhole(renewed));
});

test('an agent\'s: the same key, on the disk; one for another key is not taken', async (t) => {
  const stateDir = mkdtempSync(join(tmpdir(), 'gwa-renew-'));
  t.after(() => rmSync(stateDir, { recursive: true }));
  const directory = join(stateDir, 'agent', 'identity');
  const { key, request } = await makeCertificateRequest();
  const identity: Identity = { ca: authority.certificate, key, certificate: await authority.issueAgent(request, 'h1', NOW) };
  await writeIdentity(directory, identity);
  const later = ms(NOW + 300 * DAY);
  const renewed = await renewMembership(stateDir, identity, (asked) => authority.issueAgent(asked, 'h1', later));
  assert.deepEqual(await readIdentity(directory), renewed);
  assert.equal(renewed.key, key);
  assert.equal(new X509Certificate(renewed.certificate).validToDate.getTime(), later + 365 * DAY);
  const other = await makeCertificateRequest();
  await assert.rejects(renewMembership(stateDir, renewed, () => authority.issueAgent(other.request, 'h1', later)), { code: 'TRUST_FOREIGN_CERTIFICATE' });
  assert.deepEqual(await readIdentity(directory), renewed);
  await assert.rejects(loadMembership(stateDir, later), { code: 'AGENT_NOT_JOINED' });
});
