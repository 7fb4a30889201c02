/** Join tokens: text to parts and back, what is kept of them, and which CA they belong to. */
import assert from 'node:assert/strict';
import { X509Certificate, createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import { Authority } from '../../../src/trust/authority.ts';
import { caHash, checkCa, formatJoinToken, hashSecret, makeJoinToken, parseJoinToken, secretMatches } from '../../../src/trust/join-token.ts';

const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 });
const hash = bytes.map((b) => Buffer.from(b).toString('base64url'));

test('a token comes back as it was made', () => {
  fc.assert(fc.property(bytes, hash, (random, ca) => {
    const parts = makeJoinToken((length) => random.subarray(0, length), ca);
    const text = formatJoinToken(parts);
    assert.match(text, /^gwt1\.[0-9a-f]{16}\.[\w-]{43}\.[\w-]{43}$/);
    assert.deepEqual(parseJoinToken(` ${text}\n`), parts);
    // A character less or more is no token, wherever it is missing.
    assert.throws(() => parseJoinToken(text.slice(0, -1)), { code: 'TRUST_TOKEN_MALFORMED' });
    assert.throws(() => parseJoinToken(`${text}A`), { code: 'TRUST_TOKEN_MALFORMED' });
  }));
});

test('any other text is malformed, and the error does not repeat it', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom('g', 'w', 't', '1', '.', 'A', '\n') })), (text) => {
    assert.throws(
      () => parseJoinToken(text),
      (error: Error & { code?: string }) => error.code === 'TRUST_TOKEN_MALFORMED' && (text.length < 8 || !error.message.includes(text)),
    );
  }));
});

test('a secret matches its own hash only', () => {
  const secret = Buffer.alloc(32, 7).toString('base64url');
  assert.equal(hashSecret(secret), createHash('sha256').update(secret).digest('base64url'));
  assert.equal(secretMatches(secret, hashSecret(secret)), true);
  assert.equal(secretMatches(`${secret.slice(0, -1)}A`, hashSecret(secret)), false);
  assert.equal(secretMatches(secret, ''), false);
  assert.equal(secretMatches(secret, `${hashSecret(secret)}A`), false);
});

test('a token is of one CA', async () => {
  const [ours, theirs] = [await Authority.create('lab', ms(0)), await Authority.create('lab', ms(0))];
  const token = makeJoinToken((n) => Buffer.alloc(n, 1), caHash(ours.certificate));
  assert.equal(
    token.caHash, Buffer.from(new X509Certificate(ours.certificate).fingerprint256.replaceAll(':', ''), 'hex').toString('base64url'),
  );
  checkCa(token, ours.certificate);
  assert.throws(() => checkCa(token, theirs.certificate), { code: 'TRUST_CA_MISMATCH' });
});
