/** What a pulse tells of its BFD sessions: how they are, what they did, and what it could not do. */
import { type Milliseconds, ms } from '../base/units.ts';
import type { BfdStatus, BfdTransition } from '../model/bfd-session.ts';
import type { Native } from '../native/native.ts';
import type { BfdHost, BfdHostEffect } from '../protocol/bfd-host.ts';
import type { PathWatch } from './path-watch.ts';
import { Epochs } from './epochs.ts';
import type { PulseMessage } from './pulse-protocol.ts';
import type { SessionDriver } from './session-driver.ts';
import type { ImpossibleSession } from './session-plan.ts';
import { downOf, impossibleSession, sessionStatus } from './session-status.ts';
import type { Untold } from './untold.ts';

/** Between two of its messages. */
const GAP = ms(50);

export interface SessionAccountParts {
  readonly native: Native;
  /** Which pulse it is. */
  readonly pulse: string;
  readonly untold: Untold;
  readonly tell: (message: PulseMessage) => void;
  /** One line for the log. */
  readonly log: (line: string) => void;
}

interface Sources {
  readonly host: BfdHost;
  readonly watch: PathWatch;
  /** Of those that are wanted. */
  readonly drivers: () => Iterable<SessionDriver>;
  /** What keeps a session from hearing anything. */
  readonly deaf: (driver: SessionDriver) => string | undefined;
}

export class SessionAccount {
  readonly #parts: SessionAccountParts;
  readonly #sources: Sources;
  readonly #epochs: Epochs;
  readonly #impossible = new Map<string, { readonly reason: string; readonly since: number }>();
  #last = ms(0);
  #changed = false;
  /** Nothing is told of what nobody ever asked for. */
  #begun = false;

  constructor(parts: SessionAccountParts, sources: Sources) {
    this.#parts = parts;
    this.#sources = sources;
    this.#epochs = new Epochs(parts.native);
  }

  /** For a new listener. */
  greeting(now: Milliseconds): PulseMessage[] {
    if (!this.#begun) return [];
    return [
      this.#status(now),
      ...[...this.#impossible].map(([session, { reason }]) => ({ kind: 'refused-session', session, reason }) as const),
    ];
  }

  /** When `tell` is due. */
  get due(): number {
    return this.#changed ? this.#last + GAP : Infinity;
  }

  changed(): void {
    this.#changed = this.#begun;
  }

  tell(now: Milliseconds): void {
    this.#changed = false;
    this.#last = now;
    this.#parts.tell(this.#status(now));
  }

  record(driver: SessionDriver, effect: Extract<BfdHostEffect, { do: 'transition' }>, late: number, worst: number): void {
    const { native, pulse, untold, tell, log } = this.#parts;
    const { from, to, diagnostic, rule, evidence } = effect;
    const at = native.now();
    const down = from === 'up' ? downOf(at, diagnostic, rule, evidence) : undefined;
    if (down) driver.lastDown = down;
    const transition: BfdTransition = untold.add({
      pulse, session: driver.name, at, from, to, diagnostic, rule, ...(down && { down }), lateness: { now: late, worst },
    });
    this.changed();
    tell({ kind: 'session-transition', transition });
    log(`BFD ${driver.name}: ${from} to ${to}: ${rule}`);
  }

  note(session: string, rule: string): void {
    this.#parts.log(`BFD ${session}: ${rule}`);
  }

  /** Instead of what was impossible before. */
  impossible(sessions: readonly ImpossibleSession[]): void {
    this.#begun = true;
    const before = new Map(this.#impossible);
    this.#impossible.clear();
    for (const { name, reason } of sessions) {
      const known = before.get(name);
      this.#impossible.set(name, known?.reason === reason ? known : { reason, since: Math.round(this.#parts.native.now()) });
      if (known?.reason === reason) continue;
      this.#parts.log(`BFD ${name}: refused: ${reason}`);
      this.#parts.tell({ kind: 'refused-session', session: name, reason });
    }
  }

  isImpossible(session: string): boolean {
    return this.#impossible.has(session);
  }

  #status(now: Milliseconds): PulseMessage {
    const { host, watch, drivers, deaf } = this.#sources;
    const sessions: Record<string, BfdStatus> = {};
    for (const driver of drivers()) {
      const { name, lastDown, unsent } = driver;
      const machine = host.status(name, now);
      if (!machine) continue;
      const trouble = driver.trouble ?? deaf(driver);
      sessions[name] = sessionStatus(machine, { since: this.#epochs.of(name, machine.since), lastDown, trouble, unsent });
    }
    this.#epochs.keep((name) => name in sessions);
    for (const [name, { reason, since }] of this.#impossible) sessions[name] = impossibleSession(reason, since);
    return { kind: 'sessions', sessions, drops: host.drops(), opinions: watch.opinions(now) };
  }
}
