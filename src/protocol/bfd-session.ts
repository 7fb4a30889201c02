/** One session of a host (`bfd-host.ts`): its machine, its counters, and what can be told of it. */
import { type Milliseconds, ms } from '../base/units.ts';
import type { BfdAuthentication, LastSequence } from '../wire/bfd-auth.ts';
import type { BfdDropReason } from '../wire/bfd-drop.ts';
import type { BfdDiagnostic, BfdExpected, BfdPath, BfdPhase } from '../wire/bfd.ts';
import { type BfdEffect, type BfdState, type DownEvidence, agreedRx } from './bfd.ts';
import { type BfdPlan, pathKey } from './bfd-plan.ts';
import { DeadlineEntry } from './deadline-heap.ts';

type Transition = Extract<BfdEffect, { do: 'transition' }>;

export interface BfdSessionStatus {
  readonly state: BfdPhase;
  /** On the clock of `now`. */
  readonly since: Milliseconds;
  /** 0 unless it is Up. */
  readonly uptime: Milliseconds;
  readonly diagnostic: BfdDiagnostic;
  /** Why it is AdminDown. */
  readonly because: string | undefined;
  readonly discriminator: number;
  readonly sourcePort: number;
  /** What the other side said last; undefined: nothing for a detection time. */
  readonly remote: { readonly state: BfdPhase; readonly diagnostic: BfdDiagnostic; readonly discriminator: number } | undefined;
  /** By which it sends; 0: the other side wants no periodic packets. */
  readonly sendInterval: Milliseconds;
  /** By which it misses the other side's, and after how long it is gone; undefined: nobody was heard. */
  readonly receiveInterval: Milliseconds | undefined;
  readonly detectionTime: Milliseconds | undefined;
  /** A change of intervals waits for the other side's answer. */
  readonly polling: boolean;
  /** `active`: echoes watch the session. */
  readonly echo: { readonly active: boolean; readonly interval: Milliseconds; readonly roundTrip: Milliseconds | undefined } | undefined;
  readonly counters: {
    readonly sent: number; readonly heard: number; readonly echoesSent: number; readonly echoesHeard: number;
    /** How often it came Up, and went down from there. */
    readonly ups: number; readonly downs: number;
    readonly drops: Readonly<Partial<Record<BfdDropReason, number>>>;
  };
  readonly lastDown: LastDown | undefined;
}

export interface LastDown {
  readonly at: Milliseconds;
  readonly diagnostic: BfdDiagnostic;
  readonly rule: string;
  readonly evidence: DownEvidence | undefined;
}

export class Member implements BfdExpected {
  /** Of its path, which never changes. */
  readonly key: string;
  readonly sourcePort: number;
  readonly entry: DeadlineEntry<Member>;
  plan: BfdPlan;
  state: BfdState;
  /** For the packet at hand. */
  lastSequence: LastSequence;
  sent = 0;
  heard = 0;
  echoesSent = 0;
  echoesHeard = 0;
  readonly drops = new Map<BfdDropReason, number>();
  #since: Milliseconds;
  #ups = 0;
  #downs = 0;
  #lastDown: LastDown | undefined;

  constructor(plan: BfdPlan, state: BfdState, sourcePort: number, now: Milliseconds) {
    this.key = pathKey(plan.path);
    this.sourcePort = sourcePort;
    this.entry = new DeadlineEntry<Member>(this);
    this.plan = plan;
    this.state = state;
    this.#since = now;
  }

  get path(): BfdPath {
    return this.plan.path;
  }

  get authentication(): BfdAuthentication | undefined {
    return this.plan.authentication;
  }

  turned({ from, to, diagnostic, rule, evidence }: Transition, now: Milliseconds): void {
    this.#since = now;
    if (to === 'up') this.#ups++;
    if (from !== 'up') return;
    this.#downs++;
    this.#lastDown = { at: now, diagnostic, rule, evidence };
  }

  status(now: Milliseconds): BfdSessionStatus {
    const { phase, diagnostic, because, discriminator, remote, sendInterval, silence, negotiation, echoing } = this.state;
    return {
      state: phase, since: this.#since, uptime: ms(phase === 'up' ? now - this.#since : 0), diagnostic,
      because: phase === 'admin-down' ? because : undefined, discriminator, sourcePort: this.sourcePort,
      remote: remote.discriminator === 0
        ? undefined
        : { state: remote.state, diagnostic: remote.diagnostic, discriminator: remote.discriminator },
      sendInterval, receiveInterval: silence && agreedRx(this.state), detectionTime: silence?.patience,
      polling: negotiation.poll !== 'none',
      echo: echoing && { active: echoing.silence !== undefined, interval: echoing.interval, roundTrip: echoing.roundTrip },
      counters: {
        sent: this.sent, heard: this.heard, echoesSent: this.echoesSent, echoesHeard: this.echoesHeard,
        ups: this.#ups, downs: this.#downs, drops: Object.fromEntries(this.drops),
      },
      lastDown: this.#lastDown,
    };
  }
}
