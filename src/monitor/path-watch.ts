/**
 * One path to one peer, watched: a STAMP session for each class of traffic on it and one for its MTU, what they found, and what is to be
 * thought of it. Sends when its clock (probing.ts) says so.
 */
import { type Milliseconds, ms } from '../base/units.ts';
import { datagramOverhead } from '../host/path-mtu.ts';
import type { PathReport } from '../model/path.ts';
import { DeadlineEntry } from '../protocol/deadline-heap.ts';
import type { QualityPolicy } from '../protocol/path-quality.ts';
import type { UdpRefusal } from '../native/udp.ts';
import { sameBytes } from '../wire/same-bytes.ts';
import { MtuProbe } from './mtu-probe.ts';
import { PathFigures } from './path-figures.ts';
import { type JudgeTurn, PathJudge } from './path-judge.ts';
import type { ProbeSocket } from './probe-socket.ts';
import { Prober, type SendFailure } from './prober.ts';
import type { TurnTime } from './turn-time.ts';

/** Base and class-of-service TLV. */
const SMALL = 52;
/** So much late, no probe is left out, ms. */
const OVERSLEPT = 20;
/** Between two steps of a search that the link itself answers, ms. */
const STEP = 5;

export interface PathPlace {
  readonly peer: string;
  readonly path: string;
  readonly source: string;
  readonly destination: string;
}

export interface PathWatchOptions extends PathPlace {
  readonly socket: ProbeSocket;
  readonly time: TurnTime;
  readonly to: { readonly address: Uint8Array; readonly port: number };
  readonly classes: readonly [number, ...number[]];
  readonly timeout: Milliseconds;
  /** Probes a second of a class, at most. */
  readonly mostRate: number;
  readonly quality: QualityPolicy;
  readonly mtu: { readonly wanted: number; readonly interval: Milliseconds } | undefined;
  readonly onAnswer: (dscp: number, rtt: Milliseconds, at: Milliseconds) => void;
  readonly onTurn: (turn: JudgeTurn, watch: PathWatch) => void;
}

interface ClassWatch {
  readonly dscp: number;
  readonly prober: Prober;
  readonly figures: PathFigures;
}

/** What is due at its time: probes of one session. */
export interface ProbeTask {
  readonly watch: PathWatch;
  /** Undefined: the MTU's. */
  readonly session: ClassWatch | undefined;
  /** Between two of its probes; Infinity: it rests. */
  interval: Milliseconds;
}

export class PathWatch {
  readonly options: PathWatchOptions;
  readonly #first: ClassWatch;
  readonly #classes: readonly ClassWatch[];
  readonly #mtuProber: Prober;
  #mtu: MtuProbe | undefined;
  readonly #judge: PathJudge;
  /** One of each session of its classes, and of the MTU's. */
  readonly entries: readonly DeadlineEntry<ProbeTask>[];
  readonly mtuEntry: DeadlineEntry<ProbeTask>;
  #lastAnswer: Milliseconds | undefined;
  #trouble: string | undefined;
  #rate = 0;
  /** Between two probes of all its classes together. */
  #spacing = ms(Infinity);
  /** Of the last packet for the MTU. */
  #lastSize = 0;

  constructor(options: PathWatchOptions, now: Milliseconds) {
    this.options = options;
    const { socket, time, to, classes, timeout, mostRate, quality, mtu, onAnswer } = options;
    this.#judge = new PathJudge(quality, now);
    const common = { socket, time, to, timeout };
    const begin = (dscp: number): ClassWatch => {
      const prober = new Prober({
        ...common, dscp, rate: mostRate, marks: true,
        onAnswer: (sample) => {
          const at = time.turn;
          this.#lastAnswer = at;
          figures.answered(sample);
          onAnswer(dscp, sample.rtt, at);
          this.#turned(this.#judge.answered(sample.rtt, at));
        },
      });
      const figures = new PathFigures(dscp, prober.totals);
      return { dscp, prober, figures };
    };
    const [first, ...others] = classes;
    this.#first = begin(first);
    this.#classes = [this.#first, ...others.map(begin)];
    this.#mtuProber = new Prober({
      ...common, dscp: first, rate: 10, marks: false, onAnswer: ({ size }) => this.#mtu?.passed(this.#packet(size), time.turn),
    });
    this.#mtu = mtu && new MtuProbe(mtu.wanted, this.#packet(SMALL), mtu.interval, now);
    this.entries = this.#classes.map((session) => new DeadlineEntry({ watch: this, session, interval: ms(Infinity) }));
    this.mtuEntry = new DeadlineEntry({ watch: this, session: undefined, interval: ms(Infinity) });
  }

  get judge(): PathJudge {
    return this.#judge;
  }

  /** What keeps its probes from leaving. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Probes a second and class from now on; 0: it rests. The schedule is the caller's. */
  setRate(rate: number): void {
    this.#rate = rate;
    if (rate === 0) this.#judge.rest();
    const interval = rate === 0 ? ms(Infinity) : ms(1000 / rate);
    this.#spacing = ms(interval / this.#classes.length);
    for (const { item } of this.entries) item.interval = interval;
  }

  get rate(): number {
    return this.#rate;
  }

  /** The link takes another size now, or the policy wants another. */
  setMtu(wanted: number | undefined, interval: Milliseconds, now: Milliseconds): void {
    if (wanted === this.#mtu?.wanted) return;
    this.#mtu = wanted === undefined ? undefined : new MtuProbe(wanted, this.#packet(SMALL), interval, now);
  }

  /** When the next full-size probe is due. */
  get mtuDue(): Milliseconds {
    return this.#rate === 0 || !this.#mtu ? ms(Infinity) : this.#mtu.due;
  }

  /** Its socket is empty. @returns when this session is due again */
  run({ session, interval }: ProbeTask, due: Milliseconds, now: Milliseconds): Milliseconds {
    this.expire(now);
    if (!session) return this.#runMtu(now);
    this.#failed(session.prober.send(this.options.time.now()));
    this.#judge.sent(now);
    // What was overslept is not made good by a burst.
    return ms(due + interval > now - OVERSLEPT ? due + interval : now + interval);
  }

  /** Settles what is lost by now; the socket is empty. */
  expire(now: Milliseconds): void {
    const sent = ms(now - this.options.timeout);
    for (const { prober } of this.#classes) {
      for (let lost = prober.expire(now).length; lost > 0; lost--) this.#turned(this.#judge.lost(sent, now));
    }
    this.#turned(this.#judge.look(this.#spacing, now));
    const lost = this.#mtuProber.expire(now);
    if (lost.length === 0) return;
    const smallPass = this.#lastAnswer !== undefined && now - this.#lastAnswer < this.options.timeout + 2000 / this.#rate;
    for (const { size } of lost) this.#mtu?.vanished(this.#packet(size), smallPass, now);
  }

  /** What ICMP says of something that was sent to its peer. */
  refused({ errnoName, mtu, by }: UdpRefusal, now: Milliseconds): void {
    // A full-size probe it was: small ones are below what any link must take.
    if (errnoName === 'EMSGSIZE') this.#mtu?.tooBig(this.#lastSize, mtu, now);
    else if (errnoName === 'ECONNREFUSED' && sameBytes(by, this.options.to.address)) {
      this.#judge.nobody(`nobody reflects at ${this.options.destination}: does a monitor run there?`, now);
    }
  }

  /** The last second is over. @param at ms since the epoch */
  report(at: number): PathReport {
    const { peer, path, source, destination, time } = this.options;
    const classes = this.#classes.map(({ figures, prober }) => figures.second(prober.totals));
    return {
      peer, path, source, destination, at, rate: this.#rate, classes, window: this.window(), mtu: this.#mtu?.mtu ?? { wanted: 0, blackHole: false },
      quality: this.#judge.judgement((instant) => time.epoch(instant)),
    };
  }

  /** Up to the end of the last second. */
  window(): PathReport['window'] {
    return this.#first.figures.window();
  }

  close(): void {
    for (const { prober } of this.#classes) prober.close();
    this.#mtuProber.close();
  }

  #runMtu(now: Milliseconds): Milliseconds {
    const mtu = this.#mtu;
    if (mtu && mtu.due <= now) {
      const size = mtu.next(now);
      if (size !== undefined) {
        this.#lastSize = size;
        const failure = this.#mtuProber.send(this.options.time.now(), size - datagramOverhead(this.#family));
        if (failure?.errnoName === 'EMSGSIZE') mtu.tooBig(size, undefined, now);
      }
    }
    // A search that the link itself answers takes a step in each turn, too.
    return ms(Math.max(this.mtuDue, now + STEP));
  }

  #failed(failure: SendFailure): void {
    this.#trouble = failure && `probes to ${this.options.peer} on path ${this.options.path} do not leave this host: ${failure.message}`;
  }

  #turned(turn: JudgeTurn | undefined): void {
    if (turn) this.options.onTurn(turn, this);
  }

  /** Bytes of IP packet of a UDP payload. */
  #packet(payload: number): number {
    return payload + datagramOverhead(this.#family);
  }

  get #family(): 4 | 6 {
    return this.options.to.address.length === 4 ? 4 : 6;
  }
}
