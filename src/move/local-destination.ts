/**
 * The destination's end of a move in its own process: what decides, and the only thing that does. Once permitted and loaded it
 * writes `committed` and lets the guest run, without asking anybody; asked to abort before that, it writes `aborted` and ends QEMU.
 * Which of the two comes first is the order of two synchronous calls in one process, and the journal refuses the second.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { formatError } from '../base/error.ts';
import type { Milliseconds } from '../base/units.ts';
import type { ReceivedFrame } from '../native/native.ts';
import { realtimeClock } from './clock.ts';
import type { Commit, DestinationEnd, DestinationEvent, DestinationGuest, DestinationSummary } from './ends.ts';
import { MoveAborted } from './errors.ts';
import type { Decision, Journal } from './journal.ts';
import type { LedgerReading } from './ledger.ts';

/** A guest that the source has not announced by then, because the wire broke, is announced all the same; ms. */
const ANNOUNCE_ANYWAY = 100;
const ANNOUNCE_ROUNDS = 4;
/** How long a guest may take to read what its taps hold at the end, ms. */
const TAKING = 3000;

export interface LocalDestinationOptions {
  readonly move: string;
  readonly host: string;
  readonly guest: DestinationGuest;
  readonly journal: Journal;
  /** Called when the guest runs here: the first thing after the guest itself. */
  readonly onCommitted?: () => void;
}

export class LocalDestination implements DestinationEnd {
  readonly host: string;
  readonly #o: LocalDestinationOptions;
  readonly #now = realtimeClock();
  readonly #listeners = new Set<(event: DestinationEvent) => void>();
  readonly #unlisten: () => void;
  readonly #before: LedgerReading;
  #permitted = false;
  #calm: (() => void) | undefined;
  #loadedAt: Milliseconds | undefined;
  #resumedAt: Milliseconds | undefined;
  #commit: Commit | undefined;
  /** It will never run the guest. */
  #aborted = false;
  #killed: Promise<void> | undefined;
  #releasing: Promise<void> | undefined;
  #runs = false;
  #announcing: NodeJS.Timeout | undefined;
  #announced = 0;
  #announceFailure: string | undefined;
  #finished: Promise<void> | undefined;
  #left = false;

  constructor(options: LocalDestinationOptions) {
    this.#o = options;
    this.host = options.host;
    this.#before = options.guest.ledger();
    this.#unlisten = options.guest.listen((event) => {
      switch (event.kind) {
        case 'loaded':
          this.#loadedAt = event.at;
          this.#tell(event);
          this.#commitIfDue();
          break;
        case 'resumed':
          this.#resumedAt = event.at;
          break;
        case 'failed':
        case 'ended':
          if (!this.#aborted) this.#tell(event);
          break;
      }
    });
  }

  get uri(): string {
    return this.#o.guest.uri;
  }

  get decision(): Decision | undefined {
    return this.#o.journal.decision(this.#o.move);
  }

  listen(listener: (event: DestinationEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  permit(): Promise<void> {
    if (this.#aborted || this.decision === 'aborted') return Promise.reject(new MoveAborted(this.#o.move));
    if (!this.#permitted) this.#calm = this.#o.guest.hurry();
    this.#permitted = true;
    this.#commitIfDue();
    return Promise.resolve();
  }

  async abort(): Promise<Decision> {
    this.#calmDown();
    if (this.decision === 'committed') return 'committed';
    this.#o.journal.decide(this.#o.move, this.#o.guest.guest.vm.name, 'aborted');
    await this.#kill();
    return 'aborted';
  }

  async commit(): Promise<Commit> {
    const committed = this.#commit;
    if (!committed) throw new MoveAborted(this.#o.move);
    return committed;
  }

  /** Its failure is told in the summary, the first time: the guest's own frames say the same a little later. */
  async announce(): Promise<void> {
    this.#announced++;
    try {
      this.#o.guest.announce();
    } catch (error) {
      this.#announceFailure ??= formatError(error);
    }
  }

  async takeHeld(nic: number): Promise<ReceivedFrame[]> {
    return this.#o.guest.takeHeld(nic);
  }

  async deliveredFrames(): Promise<number[]> {
    return this.#o.guest.deliveredFrames();
  }

  async summary(): Promise<DestinationSummary> {
    const { guest } = this.#o;
    return {
      untaken: await this.#untaken(), delivered: guest.deliveredFrames(), before: this.#before, after: guest.ledger(), probes: guest.answers(),
      ...(this.#announceFailure === undefined ? {} : { announceFailure: this.#announceFailure }),
    };
  }

  finish(): Promise<void> {
    return (this.#finished ??= this.#finish().catch((error: unknown) => {
      this.#finished = undefined;
      throw error;
    }));
  }

  /**
   * The agent ends: from now on nothing is decided, written down, told or announced. Resolves when what was just being done has been
   * done: then `guest` can be let go. The next agent looks how far it came.
   */
  async leave(): Promise<void> {
    this.#left = true;
    this.#unlisten();
    this.#listeners.clear();
    this.#calmDown();
    clearInterval(this.#announcing);
    await Promise.allSettled([this.#releasing, this.#killed, this.#finished]);
  }

  async #finish(): Promise<void> {
    const { guest } = this.#o;
    if (this.decision === 'committed') {
      await this.#releasing;
      // What kept it from running may have passed; nobody else may run it.
      if (this.#releasing && !this.#runs) await guest.release().catch((error: unknown) => this.#doesNotRun(error));
      clearInterval(this.#announcing);
      this.#unlisten();
      guest.close();
      return;
    }
    try {
      await this.abort();
    } catch (error) {
      if (this.#permitted) throw error;
      // Without a permit there was nothing to decide: no room in the journal is no reason to keep a QEMU.
      await this.#kill();
    }
    this.#unlisten();
    await guest.discard();
  }

  /** One that did not succeed can be tried again. */
  #kill(): Promise<void> {
    this.#aborted = true;
    return (this.#killed ??= this.#o.guest.kill().catch((error: unknown) => {
      this.#killed = undefined;
      throw error;
    }));
  }

  #commitIfDue(): void {
    if (!this.#permitted || this.#loadedAt === undefined || this.#releasing || this.#aborted || this.#left) return;
    const { journal, move, guest } = this.#o;
    try {
      journal.decide(move, guest.guest.vm.name, 'committed');
    } catch (error) {
      // What stands on the disk nobody knows now: neither `committed` nor `aborted` can be said, and nothing runs.
      this.#tell({ kind: 'failed', reason: formatError(error) });
      return;
    }
    this.#releasing = this.#release(this.#loadedAt, this.#now());
  }

  async #release(loadedAt: Milliseconds, committedAt: Milliseconds): Promise<void> {
    const { guest } = this.#o;
    try {
      this.#commit = { loadedAt, committedAt, held: guest.deliveredFrames(), openedAt: this.#now() };
      const released = guest.release();
      guest.awaitAnswers();
      await released;
      this.#runs = true;
      this.#commit = { ...this.#commit, resumedAt: this.#resumedAt ?? this.#now() };
    } catch (error) {
      this.#doesNotRun(error);
      return;
    }
    this.#tell({ kind: 'committed', commit: this.#commit });
    this.#calmDown();
    if (this.#left) return;
    this.#o.onCommitted?.();
    this.#announcing = setInterval(() => {
      // The source does it while the wire holds.
      if (this.#announced >= ANNOUNCE_ROUNDS) clearInterval(this.#announcing);
      else void this.announce();
    }, ANNOUNCE_ANYWAY);
  }

  #calmDown(): void {
    this.#calm?.();
    this.#calm = undefined;
  }

  /** A tap seen empty once has given everything to the guest that came before. New frames keep coming, so one look does not do. */
  async #untaken(): Promise<boolean[]> {
    const waiting = this.#o.guest.tapsWaiting();
    if (this.#aborted) return waiting;
    for (const deadline = performance.now() + TAKING; waiting.includes(true) && performance.now() < deadline && !this.#left; ) {
      await pause(1);
      for (const [i, still] of this.#o.guest.tapsWaiting().entries()) waiting[i] &&= still;
    }
    return waiting;
  }

  #doesNotRun(error: unknown): void {
    this.#tell({ kind: 'failed', reason: `The guest is the destination's and does not run: ${formatError(error)}` });
  }

  #tell(event: DestinationEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

