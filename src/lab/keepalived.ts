/** keepalived in a lab's namespace, from a RouterPlan: the peer that most of our users come from. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { GodwitError } from '../base/error.ts';
import type { RouterPlan } from '../model/virtual-router.ts';
import type { LabRouter } from './vrrp-lab.ts';
import type { VrrpPeer } from './vrrp-peer.ts';

export interface KeepalivedOptions {
  /** As those run it who want it quick: SCHED_RR, with the rttime raised that would get it killed under load. */
  readonly realtime: boolean;
}

/** Of its JSON: counters of what it did not take. */
const REFUSALS = [
  'packet_len_err', 'advert_interval_err', 'ip_ttl_err', 'invalid_type_rcvd', 'addr_list_err', 'invalid_authtype', 'authtype_mismatch', 'auth_failure', 'vers_err', 'vrid_err', 'chk_err',
] as const;

export class Keepalived implements VrrpPeer {
  readonly program = 'keepalived';
  readonly #child: ChildProcess;
  readonly #directory: string;

  private constructor(child: ChildProcess, directory: string) {
    this.#child = child;
    this.#directory = directory;
  }

  /** Resolves when it runs; not when it is Active. */
  static async start(router: LabRouter, labDirectory: string, plans: readonly RouterPlan[], options: KeepalivedOptions = { realtime: true }): Promise<Keepalived> {
    const directory = join(labDirectory, `keepalived-${router.name}`);
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory);
    const file = (name: string): string => join(directory, name);
    writeFileSync(file('keepalived.conf'), configuration(router, plans, options));
    const args = ['-n', '-l', '-D', '-P', '-f', file('keepalived.conf'), '-p', file('pid'), '-r', file('vrrp.pid'), '-c', file('checkers.pid')];
    const { native, netns } = router.host;
    const child = native.inNetns(netns, () => spawn('keepalived', args, {
      stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, TMPDIR: directory },
    }));
    const log = createWriteStream(file('log'));
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    child.once('close', () => log.end());
    const started = new Promise<void>((resolve, reject) => {
      child.once('error', reject).once('exit', (code) => reject(new Error(`exit code ${code}`)));
      const seen = (text: Buffer): void => {
        if (String(text).includes('Entering BACKUP STATE') || String(text).includes('Entering MASTER STATE')) resolve();
      };
      child.stdout.on('data', seen);
      child.stderr.on('data', seen);
    });
    try {
      await started;
    } catch (error) {
      throw new GodwitError('LAB_PEER_ENDED', `keepalived did not start: ${tail(file('log'))}`, { cause: error });
    }
    child.removeAllListeners('exit');
    return new Keepalived(child, directory);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await exited;
  }

  /** The parent stands still while its child is killed, or it would start another; the child is killed first, or it would release. */
  kill(): void {
    const { pid } = this.#child;
    if (pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    process.kill(pid, 'SIGSTOP');
    for (const child of readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)) process.kill(Number(child), 'SIGKILL');
    process.kill(pid, 'SIGKILL');
  }

  async refused(): Promise<Readonly<Record<string, Readonly<Record<string, number>>>>> {
    return Object.fromEntries((await this.#json()).flatMap(({ data, stats }) => {
      const found = REFUSALS.map((reason) => [reason, stats[reason] ?? 0] as const).filter(([, count]) => count > 0);
      return found.length > 0 ? [[data.iname, Object.fromEntries(found)]] : [];
    }));
  }

  async taken(): Promise<Readonly<Record<string, number>>> {
    return Object.fromEntries((await this.#json()).map(({ data, stats }) => [data.iname, stats['advert_rcvd'] ?? 0]));
  }

  /** Its own state of everything. */
  async #json(): Promise<readonly KeepalivedInstance[]> {
    const path = join(this.#directory, 'keepalived.json');
    rmSync(path, { force: true });
    const vrrp = Number(readFileSync(join(this.#directory, 'vrrp.pid'), 'utf8'));
    process.kill(vrrp, JSON_SIGNAL);
    for (let tries = 0; tries < 500; tries++) {
      try {
        // The shape is keepalived 2.2's; what of it is used is read with care.
        if (statSync(path).size > 0) return JSON.parse(readFileSync(path, 'utf8')) as KeepalivedInstance[];
      } catch {
        // not there yet, or half written
      }
      await pause(10);
    }
    throw new GodwitError('LAB_PEER_ENDED', `keepalived wrote no ${path}: ${tail(join(this.#directory, 'log'))}`);
  }
}

/** `keepalived --signum=JSON`: SIGRTMIN + 2. */
const JSON_SIGNAL = 36;

interface KeepalivedInstance {
  readonly data: { readonly iname: string };
  readonly stats: Readonly<Record<string, number>>;
}

function configuration(router: LabRouter, plans: readonly RouterPlan[], { realtime }: KeepalivedOptions): string {
  const globals = ['router_id ' + router.name, 'script_user root'];
  if (realtime) globals.push('vrrp_rt_priority 50', 'vrrp_rlimit_rttime 1000000', 'vrrp_no_swap');
  return `global_defs {\n${globals.map((line) => `  ${line}\n`).join('')}}\n${plans.map((plan) => instance(router, plan)).join('')}`;
}

function instance(router: LabRouter, plan: RouterPlan): string {
  const lines = [
    `version ${plan.version}`, 'state BACKUP', `interface ${plan.device}`, `virtual_router_id ${plan.vrid}`, `priority ${plan.priority}`,
    `advert_int ${plan.interval / 1000}`,
  ];
  if (plan.virtualMac) lines.push(`use_vmac kv${plan.family}.${plan.vrid}`);
  if (!plan.preempt) lines.push('nopreempt');
  if (plan.preemptDelay > 0) lines.push(`preempt_delay ${plan.preemptDelay / 1000}`);
  if (!plan.accept) lines.push('no_accept');
  if (plan.peers.length > 0) lines.push(`unicast_src_ip ${plan.source ?? router.address}`, `unicast_peer {\n    ${plan.peers.join('\n    ')}\n  }`);
  else if (plan.source) lines.push(`mcast_src_ip ${plan.source}`);
  lines.push(`virtual_ipaddress {\n    ${plan.addresses.map(({ address, prefixLength }) => `${address}/${prefixLength}`).join('\n    ')}\n  }`);
  return `vrrp_instance ${plan.name} {\n${lines.map((line) => `  ${line}\n`).join('')}}\n`;
}

function tail(path: string): string {
  try {
    return readFileSync(path, 'utf8').split('\n').slice(-8).join('\n');
  } catch {
    return 'it wrote no log';
  }
}
