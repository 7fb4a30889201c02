/**
 * All probing of a host: its reflectors, the sockets it probes from, the paths it watches, and the clock that says whose turn it is.
 *
 * A turn of the clock: all sockets are emptied, what is lost settles, what is due is sent. Turns are 5 ms apart at least, 20 where nothing
 * is probed more than 25 times a second, so that one takes what would otherwise wake the process several times: waking is the larger part
 * of what a probe costs.
 */
import { type Milliseconds, ms, seconds } from '../base/units.ts';
import type { PathReport, PathTurnReport } from '../model/path.ts';
import type { WatchPlan } from '../model/watch-plan.ts';
import { type Deadline, SystemError } from '../native/native.ts';
import type { ProbePlan } from '../policy/probe-budget.ts';
import { addressText } from '../native/udp.ts';
import { DeadlineHeap } from '../protocol/deadline-heap.ts';
import { type IpAddress, parseIpAddress } from '../wire/ip-address.ts';
import { Admission } from './admission.ts';
import type { MonitorGround } from './ground.ts';
import type { ProbeAnswer } from './keeping.ts';
import { type JudgeTurn, qualityPolicy } from './path-judge.ts';
import { PathWatch, type ProbeTask } from './path-watch.ts';
import { HASTE, fullSizeInterval, hastenedRate, planSessions } from './probe-plan.ts';
import { ProbeSocket } from './probe-socket.ts';
import { phaseOf } from './prober.ts';
import { Reflector } from './reflector.ts';
import { TurnTime } from './turn-time.ts';

export interface ProbingOptions {
  readonly ground: MonitorGround;
  readonly onAnswer: (answer: ProbeAnswer) => void;
  readonly onTurn: (turn: Omit<PathTurnReport, 'sequence' | 'monitor'>) => void;
}

/** Between two turns of the clock at least, ms; less than half of an interval where that allows it. */
const PACE = { least: 5, most: 20 } as const;
/** So much too early is in time. */
const EARLY = 1;
/** Between two looks at the links' MTUs. */
const MTU_LOOK = seconds(10);
/** Between two looks at what ICMP says. */
const REFUSAL_LOOK = ms(100);

export class Probing {
  readonly #options: ProbingOptions;
  readonly #time: TurnTime;
  readonly #deadline: Deadline;
  readonly #heap = new DeadlineHeap<ProbeTask>();
  readonly #admission = new Admission();
  /** By local address. */
  readonly #sockets = new Map<string, ProbeSocket>();
  readonly #reflectors = new Map<string, Reflector>();
  /** Those that are emptied at each turn. */
  #polled: readonly Reflector[] = [];
  /** By peer and path; the plan that they were last found to be in, and what they were made by. */
  readonly #watches = new Map<string, { readonly watch: PathWatch; readonly plan: WatchPlan; readonly made: string }>();
  readonly #troubles = new Map<string, string>();
  /** By local address: what keeps answers from being read. Not among the others, which are found anew with every look at the plan. */
  readonly #unread = new Map<string, string>();
  #plan: WatchPlan | undefined;
  #mtuLook = -Infinity;
  #refusalLook = -Infinity;
  #lateness = 0;
  #phases = 0;
  #closed = false;
  #pace: number = PACE.most;
  /** When the next turn is due. */
  #armed = Infinity;

  constructor(options: ProbingOptions) {
    this.#options = options;
    this.#time = new TurnTime(options.ground.native);
    this.#deadline = options.ground.native.deadline();
    this.#deadline.onExpired(() => this.#turn());
  }

  /** What it cannot do now, for people. */
  get troubles(): readonly string[] {
    const unsent = [...this.#watches.values()].flatMap(({ watch: { trouble } }) => (trouble === undefined ? [] : [trouble]));
    return [...this.#troubles.values(), ...this.#unread.values(), ...unsent];
  }

  /** ms: the worst of its clock since it was last asked. */
  lateness(): number {
    const lateness = this.#lateness;
    this.#lateness = 0;
    return lateness;
  }

  /** What did not change goes on undisturbed. */
  plan(plan: WatchPlan): void {
    this.#plan = plan;
    this.#mtuLook = -Infinity;
    this.#apply();
    this.#arm();
  }

  /**
   * Every second: sessions take turns, and those that need it get more probes.
   * @param at ms since the epoch @returns what the last one showed
   */
  second(at: number): readonly PathReport[] {
    const now = this.#drain();
    for (const { watch } of this.#watches.values()) watch.expire(now);
    const reports = [...this.#watches.values()].map(({ watch }) => watch.report(at));
    for (const socket of this.#sockets.values()) socket.lookAtClock();
    for (const reflector of this.#reflectors.values()) reflector.second(now);
    this.#polled = [...this.#reflectors.values()].filter(({ polled }) => polled);
    if (this.#plan) this.#apply();
    this.#arm();
    return reports;
  }

  close(): void {
    this.#closed = true;
    this.#deadline.close();
    for (const key of this.#watches.keys()) this.#remove(key);
    for (const reflector of this.#reflectors.values()) reflector.close();
    for (const socket of this.#sockets.values()) socket.close();
  }

  #turn(): void {
    if (this.#closed) return;
    const now = this.#drain();
    const first = this.#heap.first;
    for (const reflector of this.#polled) reflector.drain(now);
    if (first) this.#lateness = Math.max(this.#lateness, now - Math.max(first.due, this.#armed));
    for (let entry; (entry = this.#heap.first) && entry.due <= now + EARLY;) {
      const { watch } = entry.item;
      this.#heap.set(entry, watch.run(entry.item, entry.due, now));
      if (entry !== watch.mtuEntry) this.#heap.set(watch.mtuEntry, ms(Math.max(watch.mtuDue, now + this.#pace)));
    }
    this.#arm(now);
  }

  #arm(now = this.#time.now()): void {
    const { first } = this.#heap;
    if (this.#closed) return;
    const polled = this.#polled.length > 0;
    this.#armed = polled ? now + this.#pace : first ? Math.max(first.due, now + this.#pace) : Infinity;
    this.#deadline.arm(this.#armed === Infinity ? undefined : this.#armed);
  }

  /** All sockets, before anything is judged. */
  #drain(): Milliseconds {
    const now = this.#time.begin();
    const look = now - this.#refusalLook >= REFUSAL_LOOK;
    if (look) this.#refusalLook = now;
    for (const [address, socket] of this.#sockets) {
      try {
        socket.drain(this.#time, now);
        if (look) this.#takeRefusals(socket, now);
        this.#unread.delete(address);
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        this.#unread.set(address, `answers to ${address} cannot be read: ${error.message}`);
      }
    }
    return now;
  }

  #takeRefusals(socket: ProbeSocket, now: Milliseconds): void {
    for (const refusal of socket.refusals()) {
      const to = addressText(refusal.to.address);
      for (const { watch } of this.#watches.values()) {
        if (watch.options.socket === socket && addressText(watch.options.to.address) === to) watch.refused(refusal, now);
      }
    }
  }

  #apply(): void {
    const plan = this.#plan;
    if (!plan) return;
    const now = this.#time.begin();
    this.#troubles.clear();
    const bad = this.#admission.set(plan);
    if (bad.length > 0) this.#troubles.set('reflectTo', `reflectTo ${bad.join(', ')}: neither an address nor a prefix`);
    this.#openSockets(plan, now);
    this.#watchPaths(plan, now);
    this.#deal(plan, planSessions(plan, ms(this.#time.epoch(now))), now);
    if (now - this.#mtuLook >= MTU_LOOK) {
      this.#mtuLook = now;
      this.#lookAtMtus(plan, now);
    }
  }

  #openSockets(plan: WatchPlan, now: Milliseconds): void {
    const { ground } = this.#options;
    const wanted = new Set(Object.values(plan.local));
    for (const [address, socket] of this.#sockets) {
      if (wanted.has(address)) continue;
      for (const [key, { watch }] of this.#watches) if (watch.options.socket === socket) this.#remove(key);
      socket.close();
      this.#sockets.delete(address);
      this.#unread.delete(address);
    }
    for (const [key, reflector] of this.#reflectors) {
      if (wanted.has(key.split(' ')[0] ?? '') && key.endsWith(` ${plan.probing.port}`)) continue;
      reflector.close();
      this.#reflectors.delete(key);
      this.#polled = this.#polled.filter((each) => each !== reflector);
    }
    for (const text of wanted) {
      const address = this.#parse(text);
      if (!address) continue;
      const key = `${text} ${plan.probing.port}`;
      this.#tolerate(`reflector ${text}`, `probes to ${text} port ${plan.probing.port} are not answered`, () => {
        if (this.#reflectors.has(key)) return;
        this.#reflectors.set(key, new Reflector({
          ground, time: this.#time, address, port: plan.probing.port, admits: (source) => this.#admission.admits(source),
        }));
      });
      this.#tolerate(`socket ${text}`, `nothing can be probed from ${text}`, () => {
        if (!this.#sockets.has(text)) this.#sockets.set(text, new ProbeSocket(ground, address.bytes(), now));
      });
    }
  }

  #watchPaths(plan: WatchPlan, now: Milliseconds): void {
    const { onAnswer, onTurn } = this.#options;
    const wanted = new Set<string>();
    for (const peer of plan.probing.enabled ? plan.peers : []) {
      for (const [path, { classes }] of Object.entries(plan.paths)) {
        const [source, destination] = [plan.local[path], peer.addresses[path]];
        const socket = source === undefined ? undefined : this.#sockets.get(source);
        const key = `${peer.host}/${path}`;
        const known = this.#watches.get(key);
        if (socket && known?.plan === plan && known.watch.options.socket === socket) {
          wanted.add(key);
          continue;
        }
        const to = destination === undefined ? undefined : this.#parse(destination);
        if (source === undefined || destination === undefined || !socket || !to) continue;
        const [first, ...others] = classes;
        if (first === undefined) continue;
        if (this.#parse(source)?.family !== to.family) continue;
        wanted.add(key);
        const { probing: { port, timeout, rate }, quality } = plan;
        const made = JSON.stringify([source, destination, port, timeout, rate, classes, quality]);
        if (known?.made === made) {
          this.#watches.set(key, { ...known, plan });
          continue;
        }
        if (known) this.#remove(key);
        const watch = new PathWatch({
          peer: peer.host, path, source, destination, socket, time: this.#time, to: { address: to.bytes(), port }, classes: [first, ...others], timeout: ms(timeout),
          mostRate: Math.max(rate, HASTE), quality: qualityPolicy(quality), mtu: undefined,
          onAnswer: (dscp, rtt, at) => onAnswer({ peer: peer.host, path, dscp, rtt, at: this.#time.epoch(at) }),
          onTurn: (turn, watch) => onTurn(turnReport(turn, watch, this.#time.epoch(this.#time.now()))),
        }, now);
        this.#watches.set(key, { watch, plan, made });
        this.#mtuLook = -Infinity;
      }
    }
    for (const key of this.#watches.keys()) if (!wanted.has(key)) this.#remove(key);
  }

  /** Who is probed how often. */
  #deal(plan: WatchPlan, sessions: ProbePlan, now: Milliseconds): void {
    const turn = new Set(sessions.sessions.map(({ to, path }) => `${to}/${path}`));
    let most = 0;
    const all = [...this.#watches].map(([key, { watch }]) => ({ key, watch, more: watch.judge.wantsMore }));
    const hasty = new Map<string, number>();
    for (const { watch: { options: { path } }, more } of all) if (more) hasty.set(path, (hasty.get(path) ?? 0) + 1);
    for (const { key, watch, more } of all) {
      const { path } = watch.options;
      const planned = turn.has(key) ? 1000 / (sessions.interval.get(path) ?? Infinity) : 0;
      const capacity = plan.paths[path]?.capacity ?? 0;
      const rate = more ? hastenedRate(plan, (hasty.get(path) ?? 0) * watch.entries.length, capacity, planned) : planned;
      most = Math.max(most, rate);
      if (Math.abs(rate - watch.rate) < 0.01 * rate) continue;
      const before = watch.rate;
      watch.setRate(rate);
      for (const entry of watch.entries) {
        const { interval } = entry.item;
        if (rate === 0) this.#heap.delete(entry);
        else if (before === 0) this.#heap.set(entry, ms(now + phaseOf(this.#phases++, interval)));
        else this.#heap.set(entry, ms(Math.min(entry.due, now + phaseOf(this.#phases++, interval))));
      }
      this.#heap.set(watch.mtuEntry, rate === 0 ? ms(Infinity) : ms(Math.max(watch.mtuDue, now)));
    }
    this.#pace = Math.min(PACE.most, Math.max(PACE.least, 500 / most));
  }

  #lookAtMtus(plan: WatchPlan, now: Milliseconds): void {
    const probed = new Map<string, number>();
    for (const { watch: { rate, options: { path } } } of this.#watches.values()) if (rate > 0) probed.set(path, (probed.get(path) ?? 0) + 1);
    for (const { watch } of this.#watches.values()) {
      const { path, destination } = watch.options;
      const to = this.#parse(destination);
      const { capacity, mtu } = plan.paths[path] ?? {};
      const wanted = mtu ?? (to && this.#options.ground.linkMtu(to));
      const interval = fullSizeInterval(plan, probed.get(path) ?? 0, wanted ?? 0, capacity ?? 0);
      watch.setMtu(wanted, interval, ms(now + phaseOf(this.#phases++, interval)));
      this.#heap.set(watch.mtuEntry, watch.mtuDue);
    }
  }

  #remove(key: string): void {
    const found = this.#watches.get(key);
    if (!found) return;
    for (const entry of found.watch.entries) this.#heap.delete(entry);
    this.#heap.delete(found.watch.mtuEntry);
    found.watch.close();
    this.#watches.delete(key);
  }

  #parse(text: string): IpAddress | undefined {
    try {
      return parseIpAddress(text);
    } catch {
      this.#troubles.set(`address ${text}`, `${JSON.stringify(text)} is no IP address`);
      return undefined;
    }
  }

  #tolerate(key: string, what: string, attempt: () => void): void {
    try {
      attempt();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#troubles.set(key, `${what}: ${error.message}`);
    }
  }
}

function turnReport({ from, to, because }: JudgeTurn, watch: PathWatch, at: number): Omit<PathTurnReport, 'sequence' | 'monitor'> {
  const { peer, path } = watch.options;
  return { peer, path, at, from, to, because, window: watch.window() };
}
