/** What the agent itself costs its host, and how late it is. */
import manifest from '../../package.json' with { type: 'json' };
import type { HostStatus } from '../model/host.ts';

/** ms: often enough to see a stall that matters, seldom enough to cost nothing. */
const TICK = 100;

export class SelfMeasure {
  readonly #tick: NodeJS.Timeout;
  #due = performance.now() + TICK;
  #latest = 0;

  constructor() {
    this.#tick = setInterval(() => this.#look(), TICK);
  }

  /** The lateness is the longest since the last reading. */
  read(): Pick<HostStatus['agent'], 'version' | 'cpuTime' | 'residentMemory' | 'lateness'> {
    const { user, system } = process.cpuUsage();
    const lateness = Math.max(this.#latest, performance.now() - this.#due);
    this.#latest = 0;
    return {
      version: manifest.version, cpuTime: Math.round((user + system) / 1000), residentMemory: process.memoryUsage.rss(),
      lateness: Math.max(0, Math.round(lateness * 10) / 10),
    };
  }

  close(): void {
    clearInterval(this.#tick);
  }

  #look(): void {
    const now = performance.now();
    this.#latest = Math.max(this.#latest, now - this.#due);
    this.#due = now + TICK;
  }
}
