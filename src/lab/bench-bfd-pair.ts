/**
 * A lab with a pair of Godwit's pulses (h1, h2) and a pair of FRR's bfdds (h3, h4), under real-time scheduling both, with the same
 * sessions; and what their cables say of them.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Native } from '../native/native.ts';
import { BfdLab, pairAddress } from './bfd-lab.ts';
import type { WireBfd } from './bfd-packet.ts';
import { frrSession, pulseSession } from './bfd-peer.ts';
import type { BfdWatch } from './bfd-watch.ts';
import { cpuSeconds } from './cpu-time.ts';
import { FrrBfdd } from './frr-bfd.ts';
import { PulsePeer } from './pulse-peer.ts';
import type { LabRouter } from './vrrp-lab.ts';

export type By = 'bfdd' | 'godwit';
export const PROGRAMS: readonly By[] = ['bfdd', 'godwit'];
export const MULTIPLIER = 3;
const FIRST: Readonly<Record<By, number>> = { godwit: 1, bfdd: 3 };
/** ms; bfdd in Down speaks once a second, both ends may have begun anew, and 200 sessions of it take what CPU there is. */
const PATIENCE = 60_000;
const LOOK = 20;

export interface PairsOptions {
  /** Of each session of a pair, ms. */
  readonly intervals: readonly number[];
  readonly programs?: readonly By[];
  readonly keep?: (packet: WireBfd) => boolean;
}

export class Pairs {
  readonly lab: BfdLab;
  readonly watch: BfdWatch;
  readonly #options: PairsOptions;
  readonly #pids = new Map<string, number>();
  /** By host and destination: the state last seen, how often in a row, and by which interval. */
  readonly #last = new Map<string, { readonly state: string; readonly count: number; readonly interval: number }>();

  private constructor(lab: BfdLab, options: PairsOptions) {
    this.lab = lab;
    this.#options = options;
    this.watch = lab.watch((packet) => {
      this.#note(packet);
      return options.keep?.(packet) ?? true;
    });
  }

  /** Resolves when all sessions are up. */
  static async open(native: Native, options: PairsOptions): Promise<Pairs> {
    const pairs = new Pairs(await BfdLab.open(native, { hosts: 4, pairs: options.intervals.length }), options);
    try {
      for (const by of pairs.programs) {
        for (const host of pairs.hosts(by)) await pairs.#start(by, host);
      }
      await pairs.ready();
      return pairs;
    } catch (error) {
      pairs.close();
      throw error;
    }
  }

  get programs(): readonly By[] {
    return this.#options.programs ?? PROGRAMS;
  }

  hosts(by: By): readonly [LabRouter, LabRouter] {
    return [this.lab.host(FIRST[by]), this.lab.host(FIRST[by] + 1)];
  }

  /** Until each end of each session has said Up four times running, at its full pace. */
  async ready(): Promise<void> {
    const wanted = this.programs.flatMap((by) => this.hosts(by)).flatMap(({ name, number }) =>
      this.#options.intervals.map((interval, pair) => ({ key: `${name} ${pairAddress(pair, partner(number))}`, interval })));
    for (const end = performance.now() + PATIENCE; ; await pause(LOOK)) {
      this.watch.drain();
      const open = wanted.filter(({ key, interval }) => {
        const last = this.#last.get(key);
        return !(last?.state === 'up' && last.count >= 4 && last.interval <= interval);
      });
      if (open.length === 0) return;
      if (performance.now() < end) continue;
      const words = open.slice(0, 4).map(({ key }) => `${key} ${JSON.stringify(this.#last.get(key))}`);
      throw new Error(`${open.length} sessions are not up within ${PATIENCE} ms: ${words.join(', ')}`);
    }
  }

  /** CPU time of a pair's programs since they began, both together, seconds. */
  cpu(by: By): number {
    return this.hosts(by).reduce((total, { name }) => total + cpuSeconds(this.#pids.get(name) ?? 0), 0);
  }

  close(): void {
    this.watch.close();
    this.lab.close();
  }

  #note({ host, direction, destination, control }: WireBfd): void {
    if (direction !== 'from' || !control) return;
    const key = `${host} ${destination}`;
    const last = this.#last.get(key);
    const { state, desiredMinTx: interval } = control;
    this.#last.set(key, { state, interval, count: last?.state === state && last.interval === interval ? last.count + 1 : 1 });
  }

  async #start(by: By, at: LabRouter): Promise<void> {
    const number = partner(at.number);
    const peers = this.#options.intervals.map((interval, pair) => ({ interval, peer: pairAddress(pair, number), multiplier: MULTIPLIER }));
    const { directory } = this.lab;
    if (by === 'godwit') {
      const pulse = await PulsePeer.start(at, directory, []);
      await pulse.configureSessions(peers.map((one) => pulseSession(number, { ...one, name: one.peer, receive: one.interval })));
      this.#pids.set(at.name, pulse.pid);
    } else {
      const bfdd = await FrrBfdd.start(at.host, directory, peers.map((one) => frrSession(number, one)));
      this.#pids.set(at.name, bfdd.pid);
      // Its discriminators are random by the second it started in: two of one second would have the same.
      for (const second = Math.floor(Date.now() / 1000); Math.floor(Date.now() / 1000) === second; ) await pause(LOOK);
    }
  }
}

const partner = (number: number): number => ((number - 1) ^ 1) + 1;
