/**
 * Runs the switchover machine of one move against the real ends: events in, effects out, times kept. What is done, and in which
 * order, the machine decides; the driver only waits, within bounds, for a good moment to begin a redirect, or to stop a guest that
 * is on its way back.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { formatError, unreachable } from '../base/error.ts';
import { type BytesPerSecond, type Milliseconds, ms, seconds } from '../base/units.ts';
import type { HostProbe } from '../model/move.ts';
import {
  type RollBack, type SwitchoverEffect, type SwitchoverEnd, type SwitchoverEvent, type SwitchoverPolicy, type SwitchoverState, begin, beginBack,
  isEnd, step,
} from '../protocol/switchover.ts';
import { systemClock } from '../native/system-clock.ts';
import { QmpClosed } from '../vm/qmp-errors.ts';
import type { MigrationSample } from '../vm/migration.ts';
import type { AskedNic, Commit, DestinationEnd, DestinationEvent, SourceEnd, SourceEvent } from './ends.ts';
import { PeerLost } from './errors.ts';
import type { Decision } from './journal.ts';
import { hostProbe } from './reachability.ts';
import { type Returned, returnHeld } from './return-held.ts';

export interface SwitchoverRunOptions {
  readonly source: SourceEnd;
  readonly destination: DestinationEnd;
  readonly policy: SwitchoverPolicy;
  /** Writes down durably that the destination may commit from now on. */
  readonly permit: () => void;
  /** CLOCK_REALTIME in ms. */
  readonly now: () => Milliseconds;
  readonly onProgress?: (progress: SwitchoverProgress) => void;
  readonly signal?: AbortSignal;
}

export interface SwitchoverProgress {
  readonly phase: SwitchoverState['phase'];
  readonly sample?: MigrationSample;
  /** Why it goes back, or is in doubt. */
  readonly reason?: string;
}

/** Between two looks at the taps: a frame gets from the filter into the queue, or from QEMU's hand into the guest, in less. */
const TAP_INTERVAL = 0.15;
/** How long the redirect may wait for a moment at which the taps are empty, ms. */
const LULL = 20;
/** How long, on the way back, a guest that hardly keeps up may take to read its taps: nobody but it waits, and it runs. ms. */
const SETTLING = 2000;
/** Between two questions to a destination that did not answer. */
const ASK_INTERVAL = 200;
/** A QEMU closes QMP a little before it is gone. */
const ENDING = seconds(1);

export class SwitchoverRun {
  readonly #o: SwitchoverRunOptions;
  readonly #queue: SwitchoverEvent[] = [];
  #wake: (() => void) | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #state: SwitchoverState;
  #calm: (() => void) | undefined;
  /** Since the last sample was asked for. */
  #passEnded = false;
  #onPassEnd: (() => void) | undefined;

  /** Every state with the time it was entered at. */
  readonly entered: { readonly phase: SwitchoverState['phase']; readonly at: Milliseconds }[] = [];
  /** STOP at the source and the migration's own steps there, by QEMU's clock. */
  stoppedAt: Milliseconds | undefined;
  /** The first filter of the redirect is about to be set, by our clock. */
  redirectedAt: Milliseconds | undefined;
  preSwitchoverAt: Milliseconds | undefined;
  sentAt: Milliseconds | undefined;
  lastSample: MigrationSample | undefined;
  /** Per NIC: group frames redirected from the guest's stop on; a bound from above of those that came both ways. */
  overlap: number[] = [];
  overlapTime: Milliseconds | undefined;
  returned: Returned | undefined;
  /** The guest stood still before its taps were seen empty. */
  unwatched = false;
  /** By the destination's clock, whether it has committed since or not. */
  loadedAt: Milliseconds | undefined;
  commit: Commit | undefined;
  #groupBefore: number[] = [];
  #told: Decision | undefined;
  readonly #leaving = new AbortController();

  constructor(options: SwitchoverRunOptions) {
    this.#o = options;
    [this.#state] = begin();
  }

  /** The whole way, from the copy on. */
  move(): Promise<SwitchoverEnd> {
    const { source, destination } = this.#o;
    return this.#run(begin(), () => source.copy(destination.uri));
  }

  /** After a restart of this agent in the middle of a move: to an end, whatever that is. */
  goBack(why: RollBack): Promise<SwitchoverEnd> {
    return this.#run(beginBack(why));
  }

  /** The destination's word, brought by somebody else. Only true words may be told. */
  tell(decision: Decision): void {
    this.#told = decision;
    this.#post({ kind: decision });
  }

  /** Of the copy; false when it is over, or about to be: what is left then goes as fast as it did. Fails as QMP does. */
  async limit(maxBandwidth: BytesPerSecond): Promise<boolean> {
    if (this.#left || this.#state.phase !== 'copying') return false;
    await this.#o.source.limit(maxBandwidth);
    return true;
  }

  /**
   * The agent ends: nothing more is decided, both ends are left as they are, and `move` or `goBack` fails with PeerLost; called before
   * it, it begins nothing. What was just being done may still get done: the next agent looks how far it came.
   */
  leave(): void {
    this.#leaving.abort();
    this.#wake?.();
  }

  async #run([state, ...effects]: readonly [SwitchoverState, ...SwitchoverEffect[]], start?: () => Promise<void>): Promise<SwitchoverEnd> {
    const { source, destination, signal } = this.#o;
    if (this.#left) throw this.#letGo();
    const unlisten = [source.listen((event) => this.#fromSource(event)), destination.listen((event) => this.#fromDestination(event))];
    const cancel = (): void => this.#post({ kind: 'cancel', reason: 'Cancelled' });
    signal?.addEventListener('abort', cancel);
    try {
      source.probes.watch();
      start?.().catch(async (error: unknown) => {
        await untilGone(this.#o.source.guest.exited, error, this.#leaving.signal);
        this.#post({ kind: 'copy-failed', reason: formatError(error) });
      });
      this.#enter(state, effects);
      if (signal?.aborted) cancel();
      while (!isEnd(this.#state)) {
        const event = await this.#next();
        const [next, ...more] = step(this.#state, event, this.#o.now(), this.#o.policy);
        this.#enter(next, more);
      }
      return this.#state;
    } finally {
      this.#calmDown();
      clearTimeout(this.#deadline);
      // Else the receipt takes what they have seen.
      if (this.#left) source.probes.close();
      signal?.removeEventListener('abort', cancel);
      for (const stop of unlisten) stop();
    }
  }

  #fromSource(event: SourceEvent): void {
    switch (event.kind) {
      case 'stopped':
        this.stoppedAt = event.at;
        return this.#post({ kind: 'stopped' });
      case 'pre-switchover':
        this.preSwitchoverAt = event.at;
        return this.#post({ kind: 'pre-switchover' });
      case 'completed':
        this.sentAt = event.at;
        return this.#post({ kind: 'source-completed' });
      case 'failed': return this.#post({ kind: 'copy-failed', reason: event.reason });
      case 'ended': return this.#post({ kind: 'source-ended' });
      case 'pass-ended':
        this.#passEnded = true;
        return this.#onPassEnd?.();
      default: return unreachable(event);
    }
  }

  #fromDestination(event: DestinationEvent): void {
    switch (event.kind) {
      case 'loaded':
        this.loadedAt = event.at;
        return;
      case 'committed':
        this.commit = event.commit;
        return this.#post({ kind: 'committed' });
      case 'failed': return this.#post({ kind: 'copy-failed', reason: event.reason });
      case 'ended': return this.#post({ kind: 'destination-ended' });
      case 'lost': return this.#post({ kind: 'destination-lost', reason: event.reason });
      default: return unreachable(event);
    }
  }

  #enter(state: SwitchoverState, effects: readonly SwitchoverEffect[]): void {
    const entered = state.phase !== this.#state.phase || this.entered.length === 0;
    if (entered) this.entered.push({ phase: state.phase, at: this.#o.now() });
    this.#state = state;
    // Before the effects: no question may be sent once the redirect is in force.
    if (state.phase !== 'copying' && state.phase !== 'permitting') this.#o.source.probes.stop();
    if (state.phase === 'stopping') this.unwatched = state.unwatched;
    for (const effect of effects) {
      this.#perform(effect).then(
        (event) => event && this.#post(event),
        async (error: unknown) => {
          await untilGone(this.#o.source.guest.exited, error, this.#leaving.signal);
          this.#post({ kind: 'failed', reason: formatError(error), during: state.phase });
        },
      );
    }
    // After the effects have begun: who watches must not delay what is urgent.
    if (!entered) return;
    this.#o.onProgress?.({ phase: state.phase, ...(this.lastSample ? { sample: this.lastSample } : {}), ...('why' in state ? { reason: state.why.reason } : {}) });
  }

  async #perform(effect: SwitchoverEffect): Promise<SwitchoverEvent | undefined> {
    const { source, destination } = this.#o;
    switch (effect.do) {
      case 'sample': return this.#sample(effect.after);
      case 'permit':
        this.#o.permit();
        await destination.permit();
        return { kind: 'permitted' };
      case 'redirect':
        this.#calm = source.hurry();
        // A tap that is empty now will be so again soon: a guest that is behind gets a little time first, while nothing waits for it.
        for (const until = performance.now() + LULL; source.tapsWaiting() && performance.now() < until; ) await shortPause(TAP_INTERVAL);
        this.redirectedAt = this.#o.now();
        source.redirect();
        // Behind what was between the filter and the queue when the redirect came.
        await shortPause(TAP_INTERVAL);
        source.flush();
        return { kind: 'redirected' };
      case 'poll-taps':
        await shortPause(TAP_INTERVAL);
        return { kind: 'taps', waiting: source.tapsWaiting() };
      case 'stop':
        if (this.#state.phase === 'pausing') await this.#settleTaps();
        await source.stop();
        this.#calmDown();
        // Not only from the opening on: a frame can reach the destination's port later than the source's by what the fabric and
        // both hosts differ. So the count is a bound from above.
        this.#groupBefore = source.groupFrames();
        return { kind: 'stopped' };
      case 'continue':
        await source.continueSwitchover();
        return undefined;
      case 'end-group-redirect': {
        const group = source.groupFrames();
        source.endGroupRedirect();
        this.overlap = group.map((n, i) => n - (this.#groupBefore[i] ?? n));
        this.overlapTime = this.commit && ms(this.#o.now() - this.commit.openedAt);
        return { kind: 'group-ended' };
      }
      case 'announce':
        // Nothing to give up for: what it is not told to say the destination says by itself.
        await destination.announce().catch(() => undefined);
        return undefined;
      case 'read-drain':
        await pause(effect.after);
        return { kind: 'drain', through: source.redirectedFrames().reduce((sum, n) => sum + n, 0) };
      case 'cancel-copy':
        await source.cancelCopy();
        return { kind: 'cancelled' };
      case 'abort-destination':
        return this.#ask();
      case 'ask':
        await pause(ASK_INTERVAL);
        return this.#ask();
      case 'return-held':
        this.returned = await returnHeld(source, destination);
        return { kind: 'returned' };
      case 'resume-source':
        if (!(await source.running())) await source.resume();
        return { kind: 'resumed' };
      case 'arm':
        clearTimeout(this.#deadline);
        this.#deadline = setTimeout(() => this.#post({ kind: 'deadline' }), Math.max(0, effect.at - this.#o.now()));
        return undefined;
      case 'disarm':
        clearTimeout(this.#deadline);
        return undefined;
      default:
        return unreachable(effect);
    }
  }

  async #ask(): Promise<SwitchoverEvent> {
    const decision = this.#told ?? (await this.#o.destination.abort());
    if (decision === 'committed' && this.#told === undefined) this.commit ??= await this.#o.destination.commit().catch(() => undefined);
    return { kind: decision };
  }

  #calmDown(): void {
    this.#calm?.();
    this.#calm = undefined;
  }

  /** Closes the probes of this end: `after` is what the other end's have seen. */
  hostProbes(after: readonly AskedNic[]): HostProbe[] {
    const { source, destination } = this.#o;
    const byNic = new Map(after.map((asked) => [asked.nic, asked]));
    return source.probes.close().map((before) => {
      const name = `${before.protocol} from ${source.host}/${destination.host}`;
      return hostProbe({ nic: before.nic, name }, before, byNic.get(before.nic) ?? { sent: [], answers: [] }, this.commit?.resumedAt);
    });
  }

  /** On the way back a guest that runs gets the chance to read what its taps hold: what QEMU has in hand when it stops is gone. */
  async #settleTaps(): Promise<void> {
    const { source } = this.#o;
    if (!(await source.running())) return;
    source.flush();
    for (const until = performance.now() + SETTLING; source.tapsWaiting() && performance.now() < until; ) await pause(1);
  }

  /** Waits as told, or until a pass ends: the first answer after that is the true one. */
  async #sample(after: Milliseconds): Promise<SwitchoverEvent> {
    if (after > 0 && !this.#passEnded) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onPassEnd = resolve;
      const timer = setTimeout(resolve, after);
      await promise;
      clearTimeout(timer);
    }
    this.#passEnded = false;
    const sample = await this.#o.source.sample();
    this.lastSample = sample;
    if (this.#state.phase === 'copying') this.#o.onProgress?.({ phase: 'copying', sample });
    return { kind: 'sample', sample: { at: sample.at, pass: sample.dirtySyncCount, remaining: sample.remaining, throughput: sample.throughput } };
  }

  #post(event: SwitchoverEvent): void {
    this.#queue.push(event);
    this.#wake?.();
  }

  async #next(): Promise<SwitchoverEvent> {
    for (;;) {
      if (this.#left) throw this.#letGo();
      const event = this.#queue.shift();
      if (event) return event;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
  }

  get #left(): boolean {
    return this.#leaving.signal.aborted;
  }

  #letGo(): PeerLost {
    return new PeerLost(this.#o.destination.host, 'the agent ends');
  }
}

/** When QMP has closed, its QEMU may be about to be gone: that it ended, told first, says more than that it does not answer. */
async function untilGone(exited: Promise<void>, error: unknown, leaving: AbortSignal): Promise<void> {
  if (!(error instanceof QmpClosed)) return;
  const timer = new AbortController();
  await Promise.race([exited, systemClock.sleep(ENDING, AbortSignal.any([timer.signal, leaving]))]);
  timer.abort();
}

/** Less than a timer's millisecond: turns of the event loop until the time has passed. */
async function shortPause(duration: number): Promise<void> {
  const until = performance.now() + duration;
  do await new Promise((resolve) => setImmediate(resolve));
  while (performance.now() < until);
}
