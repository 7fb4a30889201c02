/** Two routers of one program that share the lab's gateway, r1 the stronger, and what befalls r1. */
import { setTimeout as pause } from 'node:timers/promises';
import type { RouterPlan } from '../model/virtual-router.ts';
import type { Native } from '../native/native.ts';
import type { FlowReport } from './flow.ts';
import { Keepalived } from './keepalived.ts';
import { PulsePeer } from './pulse-peer.ts';
import { type WireAdvert, downInterval } from './vrrp-advert.ts';
import { GATEWAY, type LabRouter, VrrpLab } from './vrrp-lab.ts';
import { type VrrpPeer, labPlan } from './vrrp-peer.ts';
import type { VrrpWatch } from './vrrp-watch.ts';
import { STILL_WANTED } from './vrrp-watch.ts';

export type By = 'keepalived' | 'godwit';
export const PROGRAMS: readonly By[] = ['keepalived', 'godwit'];
export type Fault = 'silent' | 'cut' | 'kill' | 'stop';
export const FAULTS: readonly Fault[] = ['silent', 'cut', 'kill', 'stop'];

const PRIORITIES = [200, 100] as const;
/** After a takeover the stream is watched for so long, ms. */
const AFTER = 150;
/** How long an address may stay at a host whose program was killed, ms: then it stays. */
const LEAVES_WITHIN = 6000;

export interface PairOptions {
  readonly by: By;
  /** ms. */
  readonly interval: number;
  readonly virtualMac: boolean;
  readonly realtime?: boolean;
  readonly forwarding?: boolean;
}

/** What one fault of r1 did. ms. */
export interface Takeover {
  readonly by: By;
  readonly fault: Fault;
  readonly interval: number;
  readonly virtualMac: boolean;
  readonly lost: number;
  /** From the last advert that reached r2, and its down interval, to the first datagram after those that were lost; 0: none was lost. */
  readonly past: number;
  /** The same to r2's first advert; what the program alone is to blame for. */
  readonly advertPast: number;
  /** From the kill to the moment when the host has the address no more; undefined: it still had it. Only of `kill`. */
  readonly addressLeft?: number | undefined;
  /** How late the stream's sender was itself. */
  readonly ownLateness: number;
}

export class Pair {
  readonly lab: VrrpLab;
  readonly watch: VrrpWatch;
  readonly options: PairOptions;
  readonly #peers = new Map<LabRouter, VrrpPeer>();

  private constructor(lab: VrrpLab, options: PairOptions) {
    this.lab = lab;
    this.watch = lab.watch();
    this.options = options;
  }

  /** Resolves when r1 is Active and alone. */
  static async open(native: Native, options: PairOptions): Promise<Pair> {
    const pair = new Pair(await VrrpLab.open(native, { routers: 2, forwarding: options.forwarding ?? true }), options);
    try {
      await Promise.all([pair.#start(pair.r1), pair.#start(pair.r2)]);
      await pair.ready();
      return pair;
    } catch (error) {
      pair.close();
      throw error;
    }
  }

  get r1(): LabRouter {
    return this.lab.router(1);
  }

  get r2(): LabRouter {
    return this.lab.router(2);
  }

  /** Until r1 has spoken four times since r2 was last heard. */
  async ready(): Promise<void> {
    const patience = 20_000 + 10 * this.options.interval;
    for (const end = performance.now() + patience; ; await pause(Math.min(20, this.options.interval))) {
      const last = this.watch.drain().filter((a) => a.direction === 'from').slice(-4);
      if (last.length === 4 && last.every((a) => a.router === 'r1' && a.priority > 0)) return;
      if (performance.now() > end) {
        throw new Error(`${this.options.by}: r1 is not Active alone within ${patience} ms; last adverts ${last.map((a) => `${a.router} ${a.priority}`).join(', ')}`);
      }
    }
  }

  async takeover(fault: Fault): Promise<Takeover> {
    await this.ready();
    this.watch.forget(STILL_WANTED);
    // After an episode with two Actives, a program may have left the server with the wrong one.
    this.lab.forgetNeighbours();
    const flow = await this.lab.flow();
    try {
      // At any phase of the advert interval.
      await pause(100 + Math.random() * this.options.interval);
      const successor = this.watch.until(`r2 of ${this.options.by} is Active after ${fault}`, (a) => a.router === 'r2' && a.direction === 'from' && a.priority > 0, 10_000 + 5 * this.options.interval);
      const at = Date.now();
      const [taken, addressLeft] = await Promise.all([successor, this.#inflict(fault).then(() => (fault === 'kill' ? this.#addressLeft(at) : undefined))]);
      await pause(AFTER);
      return this.#account(fault, taken, await flow.stop(), addressLeft);
    } finally {
      flow.kill();
      await this.#undo(fault);
    }
  }

  close(): void {
    this.watch.close();
    this.lab.close();
  }

  #plan(router: LabRouter): RouterPlan {
    const { interval, virtualMac } = this.options;
    return labPlan({ priority: PRIORITIES[router.number - 1] ?? 100, interval, virtualMac });
  }

  #peer(router: LabRouter): VrrpPeer {
    const peer = this.#peers.get(router);
    if (!peer) throw new Error(`Nothing runs at ${router.name}`);
    return peer;
  }

  /** The instant until which r2 had to wait, from what reached it before it spoke at `taken`. ms since the epoch. */
  #due(taken: WireAdvert): number {
    const last = this.watch.drain().findLast((a) => a.router === 'r2' && a.direction === 'to' && a.priority > 0 && a.at < taken.at);
    if (!last) throw new Error('No advert reached r2 before it took over');
    return last.at + downInterval(last.version, last.interval, PRIORITIES[1]);
  }

  #account(fault: Fault, taken: WireAdvert, report: FlowReport, addressLeft: number | undefined): Takeover {
    const { by, interval, virtualMac } = this.options;
    const due = this.#due(taken);
    const restored = restoredAt(report);
    const drops = this.watch.drops() + report.socketDrops;
    if (drops > 0) throw new Error(`The lab's own sockets lost ${drops} frames: the figures mean nothing`);
    return {
      by, fault, interval, virtualMac, lost: report.lost, past: restored === undefined ? 0 : Math.max(0, restored - due), advertPast: taken.at - due,
      ...(fault === 'kill' && { addressLeft }), ownLateness: report.ownLatenessMs,
    };
  }

  async #inflict(fault: Fault): Promise<void> {
    if (fault === 'silent') await this.lab.silence(this.r1);
    else if (fault === 'cut') this.lab.cut(this.r1);
    else if (fault === 'kill') this.#peer(this.r1).kill();
    else await this.#peer(this.r1).stop();
  }

  async #undo(fault: Fault): Promise<void> {
    if (fault === 'silent') await this.lab.heal(this.r1);
    else if (fault === 'cut') this.lab.mend(this.r1);
    else await this.#start(this.r1);
  }

  async #addressLeft(from: number): Promise<number | undefined> {
    for (; Date.now() - from < LEAVES_WITHIN; await pause(20)) {
      if (!this.lab.holds(this.r1, GATEWAY.v4)) return Date.now() - from;
    }
    return undefined;
  }

  async #start(router: LabRouter): Promise<void> {
    const { by, realtime = true } = this.options;
    const plans = [this.#plan(router)];
    const { directory } = this.lab;
    this.#peers.set(router, by === 'godwit' ? await PulsePeer.start(router, directory, plans, { realtime }) : await Keepalived.start(router, directory, plans, { realtime }));
  }
}

/** The last instant at which datagrams did not come through; undefined when all did, Infinity when they still do not. */
function restoredAt({ missing }: FlowReport): number | undefined {
  const last = missing.at(-1);
  return last && (last[3] || Infinity);
}
