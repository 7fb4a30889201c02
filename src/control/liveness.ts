/**
 * What is only in memory: when each agent was last heard, by the monotonic clock, and what of its reports is not worth a write. A
 * server that starts knows nothing of it, and says nothing about anybody until it has listened for long enough.
 */
import type { AddressesReport, AgentReport } from '../api/agent-protocol.ts';
import { type Milliseconds, ms } from '../base/units.ts';
import type { BfdSessionStatus } from '../model/bfd-session.ts';
import type { HostStatus } from '../model/host.ts';
import type { MigrationProgress } from '../model/migration.ts';
import type { VirtualRouterStatus } from '../model/virtual-router.ts';

interface Heard {
  readonly report: AgentReport;
  /** Monotonic. */
  readonly at: Milliseconds;
  /** ms since the epoch. */
  readonly time: number;
}

export class Liveness {
  readonly #heard = new Map<string, Heard>();
  readonly #progress = new Map<string, MigrationProgress>();
  readonly #asked = new Map<string, AgentReport | undefined>();
  readonly #refusals = new Map<string, number>();
  /** By host: VMs that run there, nobody declared, and an alarm has told of. */
  readonly #undeclared = new Map<string, ReadonlySet<string>>();
  /** Routers of which several hosts say they are Active, and since when. Monotonic. */
  readonly #contested = new Map<string, Milliseconds>();
  /** Nobody is silent for longer than since then. */
  #listening: Milliseconds;

  /** @param now Monotonic. */
  constructor(now: Milliseconds) {
    this.#listening = now;
  }

  /** False: an older report of this instance, or the same again. */
  hear(host: string, report: AgentReport, at: Milliseconds, time: number): boolean {
    const before = this.#heard.get(host)?.report;
    if (before && before !== report && before.instance === report.instance && before.sequence >= report.sequence) return false;
    this.#heard.set(host, { report, at, time });
    for (const { migration, progress, end } of report.moves) {
      if (end) this.#progress.delete(migration);
      else if (progress) this.#progress.set(migration, { ...progress, fraction: Math.max(progress.fraction, this.#progress.get(migration)?.fraction ?? 0) });
    }
    return true;
  }

  /** How often this instance has been refused by now. */
  refuse(instance: string): number {
    const times = (this.#refusals.get(instance) ?? 0) + 1;
    this.#refusals.set(instance, times);
    return times;
  }

  /** What this host has reported since `question` was first asked about; undefined when it has not. */
  reportSince(question: string, host: string): AgentReport | undefined {
    const now = this.#heard.get(host)?.report;
    if (!this.#asked.has(question)) this.#asked.set(question, now);
    return this.#asked.get(question) === now ? undefined : now;
  }

  /** For how long nothing was heard of this host while somebody listened. */
  silence(host: string, now: Milliseconds): Milliseconds {
    return ms(now - Math.max(this.#heard.get(host)?.at ?? -Infinity, this.#listening));
  }

  /** The server itself has not been listening until now: stopped, asleep, starved. */
  wasDeaf(now: Milliseconds): void {
    this.#listening = now;
  }

  /** `status` with what was heard last. */
  fresh(host: string, status: HostStatus): HostStatus {
    const heard = this.#heard.get(host);
    return !heard || status.state === 'silent' || heard.report.host.agent.instance !== status.agent.instance ? status : { ...status, ...heard.report.host, lastReport: heard.time };
  }

  /** `status` of this router with what was heard last of each host that is not unknown. */
  freshRouter(name: string, status: VirtualRouterStatus): VirtualRouterStatus {
    const hosts = Object.entries(status.hosts).map(([host, shown]) => {
      const heard = this.#heard.get(host)?.report.routers;
      return [host, shown.state !== 'unknown' && heard && Object.hasOwn(heard, name) ? heard[name] ?? shown : shown] as const;
    });
    return { ...status, hosts: Object.fromEntries(hosts) };
  }

  /** `status` of this BFD session, likewise. */
  freshSession(name: string, status: BfdSessionStatus): BfdSessionStatus {
    const hosts = Object.entries(status.hosts).map(([host, shown]) => {
      const heard = this.#heard.get(host)?.report.sessions;
      return [host, shown.state !== 'unknown' && heard && Object.hasOwn(heard, name) ? heard[name] ?? shown : shown] as const;
    });
    return { hosts: Object.fromEntries(hosts) };
  }

  /** For how long it has been so by now; `now` monotonic. */
  contested(router: string, now: Milliseconds): Milliseconds {
    const since = this.#contested.get(router) ?? now;
    this.#contested.set(router, since);
    return ms(now - since);
  }

  settled(router: string): void {
    this.#contested.delete(router);
  }

  /** The host that said last that it has this VM; undefined when none did. */
  hostOf(vm: string): string | undefined {
    for (const [host, { report }] of this.#heard) {
      if (report.vms.some(({ name, state }) => name === vm && state !== 'gone' && state !== 'incoming')) return host;
    }
    return undefined;
  }

  knowsUndeclared(host: string, vm: string): boolean {
    return this.#undeclared.get(host)?.has(vm) ?? false;
  }

  /** All of this host that run there now, once what tells of them is stored. */
  toldUndeclared(host: string, vms: ReadonlySet<string>): void {
    this.#undeclared.set(host, vms);
  }

  /** Of every host what it reported last, and how old that is. `now`: monotonic. */
  reports(now: Milliseconds): readonly { readonly host: string; readonly report: AgentReport; readonly age: Milliseconds; readonly time: number }[] {
    return [...this.#heard].map(([host, { report, at, time }]) => ({ host, report, age: ms(now - at), time }));
  }

  reportOf(host: string): AgentReport | undefined {
    return this.#heard.get(host)?.report;
  }

  /** Of every host whose agent looks; `time`: of the report, ms since the epoch. */
  addresses(): readonly { readonly host: string; readonly time: number; readonly addresses: AddressesReport }[] {
    return [...this.#heard].flatMap(([host, { report: { addresses }, time }]) => (addresses ? [{ host, time, addresses }] : []));
  }

  /** What this host reported of addresses last. */
  addressesOf(host: string): AddressesReport | undefined {
    return this.#heard.get(host)?.report.addresses;
  }

  progress(migration: string): MigrationProgress | undefined {
    return this.#progress.get(migration);
  }

  forget(host: string): void {
    this.#heard.delete(host);
    this.#undeclared.delete(host);
  }
}
