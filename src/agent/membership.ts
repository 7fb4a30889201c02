/** To which cluster this host belongs, and as what: `agent/agent.json` beside the identity that its server gave it. */
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { type Milliseconds, ms } from '../base/units.ts';
import { Name } from '../model/resource.ts';
import { makeCertificateRequest } from '../trust/certificate-request.ts';
import { type Identity, isWhole, readIdentity, writeIdentity } from '../trust/identity.ts';
import { join as joinCluster } from '../trust/join.ts';
import { peerRole } from '../trust/tls.ts';
import { TrustError } from '../trust/trust-error.ts';
import { AgentAlreadyJoined, AgentNotJoined } from './errors.ts';
import { type Disk, kernelDisk } from '../host/disk.ts';

const AgentJson = Type.Object({ name: Name, server: Type.String(), address: Type.String(), peerPort: Type.Optional(Type.Integer({ minimum: 1, maximum: 65535 })) });
/** `server`: its URL. */
export type Membership = Static<typeof AgentJson>;
const check = Compile(AgentJson);

const FILE = 'agent.json';

export interface JoinOptions {
  /** Of the server, like `https://10.0.0.1:7443`. */
  readonly url: string;
  readonly token: string;
  /** Of this host. */
  readonly name: string;
  /** Of this host on the network that carries migrations. */
  readonly address: string;
  readonly stateDir: string;
  readonly peerPort?: number;
}

/**
 * Makes this host one of the cluster's. The identity is written first, agent.json last: what a crash leaves is a host that has joined,
 * or one that has to join anew with another token. Throws AgentAlreadyJoined, TrustError, ApiError, DiskFull, DiskFailed.
 */
export async function runJoin({ url, token, name, address, stateDir, peerPort }: JoinOptions): Promise<void> {
  const disk = kernelDisk(agentDir(stateDir));
  const before = readMembership(disk);
  if (before) throw new AgentAlreadyJoined(stateDir, before.server);
  const identity = await joinCluster(url, token, name, { address, ...(peerPort === undefined ? {} : { peerPort }) });
  await writeIdentity(identityDir(stateDir), identity);
  const membership: Membership = { name, server: url, address, ...(peerPort === undefined ? {} : { peerPort }) };
  disk.write(FILE, new TextEncoder().encode(`${JSON.stringify(membership, undefined, 2)}\n`));
}

export interface Loaded extends Membership {
  readonly identity: Identity;
  /** Its certificate is of no use any more. The agent still looks after what runs; only the server and its peers refuse it. */
  readonly expired?: TrustError;
}

/** Throws AgentNotJoined, TrustError: there is no identity, or it is not this host's. */
export async function loadMembership(stateDir: string, now: Milliseconds): Promise<Loaded> {
  const membership = readMembership(kernelDisk(agentDir(stateDir)));
  if (!membership) throw new AgentNotJoined(stateDir);
  const identity = await readIdentity(identityDir(stateDir));
  const certificate = new X509Certificate(identity.certificate);
  const peer = peerRole(certificate, ms(0));
  if (peer.role !== 'agent' || peer.host !== membership.name) {
    const whose = `The certificate in ${identityDir(stateDir)} is not that of host ${membership.name}`;
    throw new TrustError('TRUST_FOREIGN_CERTIFICATE', `${whose}: join this host anew`);
  }
  return { ...membership, identity, ...expiry(certificate, now) };
}

/** The certificate anew, for the same key, on the disk when it resolves. `ask` gives the server's answer to a request. */
export async function renewMembership(stateDir: string, { ca, key }: Identity, ask: (request: string) => Promise<string>): Promise<Identity> {
  const { request } = await makeCertificateRequest(key);
  const renewed = { ca, key, certificate: await ask(request) };
  if (!isWhole(renewed)) {
    throw new TrustError('TRUST_FOREIGN_CERTIFICATE', 'The certificate that the server gave is not for this host\'s key: are both of one version?');
  }
  await writeIdentity(identityDir(stateDir), renewed);
  return renewed;
}

function expiry(certificate: X509Certificate, now: Milliseconds): { expired?: TrustError } {
  try {
    peerRole(certificate, now);
    return {};
  } catch (error) {
    if (error instanceof TrustError) return { expired: error };
    throw error;
  }
}

/** Holds everything of the agent's that outlives a boot. */
export const agentDir = (stateDir: string): string => join(stateDir, 'agent');
const identityDir = (stateDir: string): string => join(agentDir(stateDir), 'identity');

function readMembership(disk: Disk): Membership | undefined {
  const data = disk.read(FILE);
  if (!data) return undefined;
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(data));
    return check.Check(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
