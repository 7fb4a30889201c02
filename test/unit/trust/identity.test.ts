/** Identity directories: modes, wholeness, what a crash between the files leaves. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ms } from '../../../src/base/units.ts';
import { Authority } from '../../../src/trust/authority.ts';
import { readAuthorityFiles, readIdentity, writeAuthorityFiles, writeIdentity } from '../../../src/trust/identity.ts';

const NOW = ms(Date.now());
const authority = await Authority.create('lab', NOW);

function directory(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'gwt-identity-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'agent', 'identity');
}

test('an identity comes back as written; the key and the directory are for its owner alone', async (t) => {
  const path = directory(t);
  const identity = await authority.issueAdmin('ann', NOW);
  await writeIdentity(path, identity);
  assert.deepEqual(await readIdentity(path), identity);
  assert.equal(statSync(join(path, 'key.pem')).mode & 0o777, 0o600);
  assert.equal(statSync(path).mode & 0o777, 0o700);
  assert.deepEqual(readdirSync(path).sort(), ['ca.pem', 'cert.pem', 'key.pem']);
  const other = await authority.issueAdmin('bea', NOW);
  await writeIdentity(path, other);
  assert.deepEqual(await readIdentity(path), other);
  assert.equal(statSync(join(path, 'key.pem')).mode & 0o777, 0o600);
});

test('no identity, a part of one, and parts that do not belong together are told apart', async (t) => {
  const path = directory(t);
  await assert.rejects(readIdentity(path), { code: 'TRUST_NO_IDENTITY' });
  const identity = await authority.issueAdmin('ann', NOW);
  await writeIdentity(path, identity);
  const broken = async (name: string, content: string): Promise<void> => {
    const good = readFileSync(join(path, name));
    writeFileSync(join(path, name), content);
    await assert.rejects(readIdentity(path), { code: 'TRUST_IDENTITY_BROKEN' }, name);
    writeFileSync(join(path, name), good);
  };
  const other = await (await Authority.create('lab', NOW)).issueAdmin('ann', NOW);
  await broken('key.pem', other.key);
  await broken('ca.pem', other.ca);
  await broken('cert.pem', other.certificate);
  await broken('cert.pem', 'garbage');
  await broken('key.pem', identity.key.slice(0, 100));
  assert.deepEqual(await readIdentity(path), identity);
  rmSync(join(path, 'cert.pem'));
  await assert.rejects(readIdentity(path), { code: 'TRUST_NO_IDENTITY' });
});

test('the CA\'s files', async (t) => {
  const path = directory(t);
  await assert.rejects(readAuthorityFiles(path), { code: 'TRUST_NO_IDENTITY' });
  const files = { certificate: authority.certificate, key: await authority.exportKey() };
  await writeAuthorityFiles(path, files);
  assert.deepEqual(await readAuthorityFiles(path), files);
  assert.equal(statSync(join(path, 'ca-key.pem')).mode & 0o777, 0o600);
});
