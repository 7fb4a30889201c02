/** The agent's program: the real kernel, disk and server under an AgentProcess, until it is told to end. */
import { mkdirSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { pino } from 'pino';
import { systemClock } from '../native/system-clock.ts';
import { formatError } from '../base/error.ts';
import { AgentClient } from '../api/agent-client.ts';
import { markTraffic } from '../host/dscp.ts';
import { Host } from '../host/host.ts';
import { TUNNEL_PORT } from '../host/tunnel.ts';
import { hostDefaults } from '../model/host.ts';
import { kernelNative } from '../native/kernel.ts';
import { toldToEnd } from '../native/told-to-end.ts';
import { parseIpAddress } from '../wire/ip-address.ts';
import { LiveIdentity, keepRenewed } from '../trust/renewal.ts';
import { AddressWatch } from './address-watch.ts';
import { AgentProcess } from './agent-process.ts';
import { Consoles } from './consoles.ts';
import { kernelDisk } from '../host/disk.ts';
import { KernelHypervisor } from '../move/hypervisor-kernel.ts';
import { Journal } from '../move/journal.ts';
import { answerHistory, keepMonitor } from './keep-monitor.ts';
import { keepRouters } from './keep-routers.ts';
import { lockStateDirectory } from './lock.ts';
import { kernelEars } from './neighbour-ears.ts';
import type { Log } from '../base/log.ts';
import { agentDir, loadMembership, renewMembership } from './membership.ts';
import { MIGRATION_PORTS } from '../move/move-destination.ts';
import type { MonitorKeeper } from './monitor-keeper.ts';
import { Mover } from './mover.ts';
import { NetworkKeeper } from './network-keeper.ts';
import { withPeers } from './peer-service.ts';
import { TlsDialer } from '../move/peer-tls.ts';
import { SelfMeasure } from './self-measure.ts';

export { type JoinOptions, runJoin } from './membership.ts';

export interface AgentOptions {
  /** Outlives a boot of the host. */
  readonly stateDir: string;
  /** QEMUs' sockets and logs. */
  readonly runDir: string;
  /** Virtual routers' tracking and notify scripts (script.ts). */
  readonly scripts: string;
  /** BFD sessions' keys (session-keys.ts). */
  readonly keys: string;
  /** Where its monitor serves /metrics; nowhere without. */
  readonly metrics?: { readonly address: string; readonly port: number };
  /** Ends it, like SIGTERM and SIGINT; those are only listened to without. */
  readonly signal?: AbortSignal;
}

/**
 * Resolves when it was told to end: its QEMUs run on, and the next agent adopts them. Fails, before it has touched anything, with
 * AgentAlreadyRuns, AgentNotJoined, TrustError, DiskFailed. Afterwards a server that is away or refuses it does not end it.
 */
export async function runAgent({ stateDir, runDir, scripts, keys, metrics, signal }: AgentOptions): Promise<void> {
  const log = pino({ name: 'godwit-agent' }, pino.destination({ dest: 2, sync: true }));
  const unlock = lockStateDirectory(stateDir);
  const measure = new SelfMeasure();
  const native = kernelNative();
  const netns = native.openNetns();
  const told = toldToEnd(signal);
  try {
    const { name, server, identity, expired, address, peerPort = hostDefaults.peerPort } = await loadMembership(stateDir, systemClock.now());
    mkdirSync(runDir, { recursive: true, mode: 0o700 });
    const host = new Host(name, native, netns);
    let consoles: Consoles | undefined;
    let monitor: MonitorKeeper | undefined;
    const client = new AgentClient(server, identity, {
      onConsole: (order) => void consoles?.open(order),
      onHistory: (order) => void (monitor && answerHistory(order, monitor, client, log)),
    });
    const live = new LiveIdentity(identity);
    live.onRenewed((renewed) => {
      client.useIdentity(renewed);
      log.info('The certificate of this host was renewed');
    });
    const renewing = new AbortController();
    let renewed: Promise<void> | undefined;
    log.info({ host: name, server, stateDir, runDir }, 'The agent begins');
    if (expired) log.error({ error: formatError(expired) }, 'The server will refuse this agent until it has joined anew; VMs run on');
    try {
      await mark(host, server, peerPort, log);
      const disk = kernelDisk(agentDir(stateDir));
      const agent = new AgentProcess({
        hypervisor: new KernelHypervisor(host), disk, runDir: resolve(runDir), server: client,
        clock: systemClock, log, measure: () => measure.read(),
        networks: new NetworkKeeper({ host, address: parseIpAddress(address), clock: systemClock, log }),
        clear: ({ runDirectory }) => rmSync(runDirectory, { recursive: true, force: true }),
        addresses: (parts) => new AddressWatch({ ...parts, ears: kernelEars(host, log), guards: host.guards, random: Math.random }),
        routers: ({ changed }) => keepRouters({ host, disk, runDir: resolve(runDir), scripts, keys, log, changed }),
        monitor: (parts) => (monitor = keepMonitor(parts, { runDir: resolve(runDir), stateDir: resolve(stateDir), metrics })),
        moves: (parts) => {
          const mover = new Mover({ ...parts, disk, journal: new Journal(disk, 'moves.journal'), dialer: new TlsDialer(() => live.current), address: parseIpAddress(address) });
          return withPeers(mover, { host, identity: live, address, port: peerPort, log });
        },
      });
      consoles = new Consoles({ server: client, runDirectory: (vm) => agent.keeper.guest(vm)?.place.runDirectory, log });
      renewed = keepRenewed({
        identity: live, clock: systemClock, signal: renewing.signal,
        renew: (old) => renewMembership(stateDir, old, (request) => client.renew(request)),
        onFailure: (error) => log.error({ error: formatError(error) }, 'The certificate of this host could not be renewed; it is tried again'),
      });
      await told.end;
      log.info({ host: name }, 'The agent ends; its QEMUs run on');
      await agent.close();
    } finally {
      consoles?.close();
      renewing.abort();
      client.close();
      await renewed;
      host.close();
    }
  } catch (error) {
    log.error({ error: formatError(error) }, 'The agent cannot run');
    throw error;
  } finally {
    told.stop();
    measure.close();
    netns.close();
    unlock();
  }
}

/** Marked or not, everything works: in a congested network better marked. */
async function mark(host: Host, server: string, peer: number, log: Log): Promise<void> {
  const { first, count } = MIGRATION_PORTS;
  const api = Number(URL.parse(server)?.port || 443);
  try {
    await markTraffic(host, { tunnel: TUNNEL_PORT, migration: { first, last: first + count - 1 }, api: [api], peer });
  } catch (error) {
    log.warn({ error: formatError(error) }, 'What this host sends for moves and heartbeats could not be marked (DSCP)');
  }
}
