/** The server's program: the real store, certificates and sockets under a control plane, until it is told to end. */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Clock } from '../base/clock.ts';
import { systemClock } from '../native/system-clock.ts';
import { formatError } from '../base/error.ts';
import { toldToEnd } from '../native/told-to-end.ts';
import { SqliteStore } from '../store/sqlite-store.ts';
import { Authority } from '../trust/authority.ts';
import { type Identity, readAuthorityFiles, readIdentity, writeAuthorityFiles, writeIdentity } from '../trust/identity.ts';
import { LiveIdentity, keepRenewed } from '../trust/renewal.ts';
import { TrustError } from '../trust/trust-error.ts';
import { alreadyInitialized } from './errors.ts';
import { startHttp } from './http-server.ts';
import { openControlPlane } from './plane.ts';

/** An empty host is every address. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface InitOptions {
  readonly stateDir: string;
  /** Of the cluster, in its CA's certificate. */
  readonly name?: string;
  /** Names and addresses under which the server is reached: they go into its certificate. All of this machine's, without. */
  readonly listen: readonly ListenAddress[];
}

export interface ServerOptions {
  readonly stateDir: string;
  readonly runDir: string;
  /** Without one only the unix socket in `runDir` is open. */
  readonly listen?: ListenAddress;
  /** Ends it, like SIGTERM and SIGINT; those are only listened to without. */
  readonly signal?: AbortSignal;
}

const serverDir = (stateDir: string): string => join(stateDir, 'server');
const authorityDir = (stateDir: string): string => join(serverDir(stateDir), 'authority');
const identityDir = (stateDir: string): string => join(serverDir(stateDir), 'identity');
/** A first administrator's: to be copied to where she works. */
export const adminDir = (stateDir: string): string => join(stateDir, 'admin');

/** Makes the cluster's CA, the server's certificate and a first administrator's. Throws ApiError CONTROL_ALREADY_INITIALIZED. */
export async function runInit({ stateDir, name = hostname(), listen }: InitOptions, clock: Clock = systemClock): Promise<void> {
  if (await hasAuthority(stateDir)) throw alreadyInitialized(stateDir);
  const now = clock.now();
  const authority = await Authority.create(name, now);
  const named = listen.map(({ host }) => host).filter((host) => host !== '' && host !== '::' && host !== '0.0.0.0');
  const addresses = named.length > 0 ? named : ownAddresses();
  await writeIdentity(identityDir(stateDir), await authority.issueServer(hostname(), [...new Set([...addresses, 'localhost', '127.0.0.1', '::1'])], now));
  await writeIdentity(adminDir(stateDir), await authority.issueAdmin('admin', now));
  // Last: what a crash leaves is a whole cluster or none.
  await writeAuthorityFiles(authorityDir(stateDir), { certificate: authority.certificate, key: await authority.exportKey() });
}

/** Resolves when it was told to end; VMs and agents run on. Fails, before anything is open, with TrustError, StoreError or ApiError. */
export async function runServer({ stateDir, runDir, listen, signal }: ServerOptions): Promise<void> {
  const log = pino({ name: 'godwit-server' }, pino.destination({ dest: 2, sync: true }));
  const told = toldToEnd(signal);
  try {
    const files = await readAuthorityFiles(authorityDir(stateDir));
    const authority = await Authority.load(files.certificate, files.key);
    const live = new LiveIdentity(await readIdentity(identityDir(stateDir)));
    mkdirSync(runDir, { recursive: true, mode: 0o700 });
    const store = SqliteStore.open(join(serverDir(stateDir), 'store.db'), { clock: systemClock });
    try {
      const plane = await openControlPlane(store, { clock: systemClock, log, random: (length) => randomBytes(length), caCertificate: authority.certificate });
      try {
        const http = await startHttp(plane, { socketPath: join(runDir, 'godwit.sock'), authority, log, ...(listen ? { tls: { ...listen, identity: live.current } } : {}) });
        live.onRenewed((renewed) => {
          http.useIdentity(renewed);
          log.info('The server\'s certificate was renewed');
        });
        const renewing = new AbortController();
        const renewed = keepRenewed({
          identity: live, clock: systemClock, signal: renewing.signal,
          renew: (old) => renewServer(stateDir, authority, old, systemClock),
          onFailure: (error) => log.error({ error: formatError(error) }, 'The server\'s certificate could not be renewed; it is tried again'),
        });
        log.info({ stateDir, socket: join(runDir, 'godwit.sock'), port: http.port }, 'The server begins');
        await told.end;
        log.info('The server ends; agents and VMs run on');
        renewing.abort();
        await renewed;
        await http.close();
      } finally {
        await plane.close();
      }
    } finally {
      await store.close();
    }
  } catch (error) {
    log.error({ error: formatError(error) }, 'The server cannot run');
    throw error;
  } finally {
    told.stop();
  }
}

/** The same key in a new certificate: no crash leaves the server without either. */
async function renewServer(stateDir: string, authority: Authority, old: Identity, clock: Clock): Promise<Identity> {
  const renewed = await authority.renewServer(old, clock.now());
  await writeIdentity(identityDir(stateDir), renewed);
  return renewed;
}

async function hasAuthority(stateDir: string): Promise<boolean> {
  try {
    await readAuthorityFiles(authorityDir(stateDir));
    return true;
  } catch (error) {
    if (error instanceof TrustError && error.code === 'TRUST_NO_IDENTITY') return false;
    throw error;
  }
}

const ownAddresses = (): string[] =>
  [hostname(), ...Object.values(networkInterfaces()).flatMap((list) => list ?? []).map(({ address }) => address).filter((address) => !address.startsWith('fe80:'))];
