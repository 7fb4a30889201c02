/**
 * What is only in memory: when each agent was last heard, by the monotonic clock, and what of its reports is not worth a write. A
 * server that starts knows nothing of it, and says nothing about anybody until it has listened for long enough.
 */
import type { AgentReport } from '../api/agent-protocol.ts';
import { type Milliseconds, ms } from '../base/units.ts';
import type { HostStatus } from '../model/host.ts';
import type { MigrationProgress } from '../model/migration.ts';

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
  /** `host vm`, of VMs that nobody declared. */
  readonly #strangers = new Set<string>();
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

  /** The host that said last that it has this VM; undefined when none did. */
  hostOf(vm: string): string | undefined {
    for (const [host, { report }] of this.#heard) {
      if (report.vms.some(({ name, state }) => name === vm && state !== 'gone' && state !== 'incoming')) return host;
    }
    return undefined;
  }

  /** True the first time that this is asked of them. */
  isNews(host: string, vm: string): boolean {
    const key = `${host} ${vm}`;
    if (this.#strangers.has(key)) return false;
    this.#strangers.add(key);
    return true;
  }

  progress(migration: string): MigrationProgress | undefined {
    return this.#progress.get(migration);
  }

  forget(host: string): void {
    this.#heard.delete(host);
  }
}
