/**
 * Who a program is: a directory with ca.pem, cert.pem and key.pem. cert.pem is written last and removed first, so that what a crash
 * leaves is a whole identity or none.
 */
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TrustError } from './trust-error.ts';

/** All PEM; the key PKCS #8. */
export interface Identity {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** Throws TrustError: `TRUST_NO_IDENTITY` (none there), `TRUST_IDENTITY_BROKEN` (its parts do not belong together). */
export async function readIdentity(directory: string): Promise<Identity> {
  const [ca, certificate, key] = await Promise.all(['ca.pem', 'cert.pem', 'key.pem'].map((name) => readPart(directory, name)));
  if (ca === undefined || certificate === undefined || key === undefined) {
    throw new TrustError(
      'TRUST_NO_IDENTITY',
      `There is no whole identity in ${directory}: a host gets one by \`godwit agent join\`, a server by \`godwit init\``,
    );
  }
  const identity = { ca, certificate, key };
  let whole: boolean;
  try {
    whole = isWhole(identity);
  } catch (cause) {
    throw broken(directory, cause);
  }
  if (!whole) throw broken(directory);
  return identity;
}

/** Whether its parts belong together. Throws what node:crypto throws for what is no certificate or key. */
export function isWhole({ ca, certificate, key }: Identity): boolean {
  const x509 = new X509Certificate(certificate);
  return x509.checkPrivateKey(createPrivateKey(key)) && x509.verify(new X509Certificate(ca).publicKey);
}

/** On the disk when it resolves. */
export async function writeIdentity(directory: string, identity: Identity): Promise<void> {
  await makeDirectory(directory);
  const old = await readPart(directory, 'key.pem');
  // A renewed certificate of the same key simply takes the old one's place.
  if (old !== undefined && old !== identity.key) {
    await rm(join(directory, 'cert.pem'), { force: true });
    await syncDirectory(directory);
  }
  await writeDurably(join(directory, 'key.pem'), identity.key, 0o600);
  await writeDurably(join(directory, 'ca.pem'), identity.ca, 0o644);
  await writeDurably(join(directory, 'cert.pem'), identity.certificate, 0o644);
}

export interface AuthorityFiles {
  readonly certificate: string;
  readonly key: string;
}

/** The CA's own directory: ca.pem and ca-key.pem. Throws TrustError `TRUST_NO_IDENTITY`. */
export async function readAuthorityFiles(directory: string): Promise<AuthorityFiles> {
  const [certificate, key] = await Promise.all([readPart(directory, 'ca.pem'), readPart(directory, 'ca-key.pem')]);
  if (certificate === undefined || key === undefined) {
    throw new TrustError('TRUST_NO_IDENTITY', `There is no cluster authority in ${directory}: \`godwit init\` makes one`);
  }
  return { certificate, key };
}

/** On the disk when it resolves. */
export async function writeAuthorityFiles(directory: string, { certificate, key }: AuthorityFiles): Promise<void> {
  await makeDirectory(directory);
  await writeDurably(join(directory, 'ca-key.pem'), key, 0o600);
  await writeDurably(join(directory, 'ca.pem'), certificate, 0o644);
}

const broken = (directory: string, cause?: unknown): TrustError =>
  new TrustError(
    'TRUST_IDENTITY_BROKEN', `The certificate, key and CA in ${directory} do not belong together: remove them and join anew`, { cause },
  );

async function readPart(directory: string, name: string): Promise<string | undefined> {
  try {
    return await readFile(join(directory, name), 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function makeDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await syncDirectory(dirname(directory));
}

/** Temporary file, fsync, rename, fsync of the directory: the old content or the new one, whatever happens. */
async function writeDurably(path: string, content: string, mode: number): Promise<void> {
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
