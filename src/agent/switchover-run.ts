/**
 * Runs the switchover machine of one move against the real ends: events in, effects out, times kept. What is done, and in which
 * order, the machine decides; the driver only waits, within bounds, for a good moment to begin a redirect, or to stop a guest that
 * is on its way back.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { formatError, unreachable } from '../base/error.ts';
import { type Milliseconds, ms, seconds } from '../base/units.ts';
import type { HostProbe } from '../model/move.ts';
import {
  type SwitchoverEffect, type SwitchoverEnd, type SwitchoverEvent, type SwitchoverPolicy, type SwitchoverState, begin, isEnd, step,
} from '../protocol/switchover.ts';
import { QmpClosed } from '../vm/qmp-errors.ts';
import type { IncomingMigration, MigrationSample, OutgoingMigration } from '../vm/migration.ts';
import type { Qemu } from '../vm/qemu.ts';
import type { MoveDestination } from './move-destination.ts';
import type { MoveSource } from './move-source.ts';
import { ReachabilityProbe, hostProbe } from './reachability.ts';
import { type Returned, returnHeld } from './return-held.ts';
import { raise } from './urgency.ts';

export interface SwitchoverRunOptions {
  readonly source: MoveSource;
  readonly destination: MoveDestination;
  readonly outgoing: OutgoingMigration;
  readonly incoming: IncomingMigration;
  readonly policy: SwitchoverPolicy;
  /** Whether the hosts ask the guest themselves when it answers. */
  readonly hostProbes: boolean;
  /** CLOCK_REALTIME in ms. */
  readonly now: () => Milliseconds;
  readonly onProgress?: (progress: { readonly phase: SwitchoverState['phase']; readonly sample?: MigrationSample }) => void;
  readonly signal?: AbortSignal;
}

/** Between two looks at the taps: a frame gets from the filter into the queue, or from QEMU's hand into the guest, in less. */
const TAP_INTERVAL = 0.15;
/** How long the redirect may wait for a moment at which the taps are empty, ms. */
const LULL = 20;
/** How long, on the way back, a guest that hardly keeps up may take to read its taps: nobody but it waits, and it runs. ms. */
const SETTLING = 2000;
/** For QEMU's answers that a healthy QEMU gives at once. */
const ANSWER = seconds(30);
/** A QEMU closes QMP a little before it is gone. */
const ENDING = seconds(1);

export class SwitchoverRun {
  readonly #o: SwitchoverRunOptions;
  readonly #queue: SwitchoverEvent[] = [];
  #wake: (() => void) | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #state: SwitchoverState;
  /** What takes precedence back from the threads that had it. */
  readonly #urgent: (() => void)[] = [];
  /** Since the last sample was asked for. */
  #passEnded = false;
  #onPassEnd: (() => void) | undefined;

  /** Every state with the time it was entered at. */
  readonly entered: { readonly phase: SwitchoverState['phase']; readonly at: Milliseconds }[] = [];
  /** STOP at the source, RESUME at the destination, and the migration's own steps, by QEMU's clock. */
  stoppedAt: Milliseconds | undefined;
  /** The first filter of the redirect is about to be set, by our clock. */
  redirectedAt: Milliseconds | undefined;
  preSwitchoverAt: Milliseconds | undefined;
  sentAt: Milliseconds | undefined;
  loadedAt: Milliseconds | undefined;
  resumedAt: Milliseconds | undefined;
  lastSample: MigrationSample | undefined;
  /** Per NIC: out of the tunnel before the port was opened. */
  held: number[] = [];
  /** Per NIC: group frames redirected from the guest's stop on; a bound from above of those that came both ways. */
  overlap: number[] = [];
  overlapTime: Milliseconds | undefined;
  returned: Returned | undefined;
  /** What the hosts saw of the guest; filled in at the end. */
  hostProbes: readonly HostProbe[] = [];
  #atSource: readonly ReachabilityProbe[] = [];
  #atDestination: readonly ReachabilityProbe[] = [];
  /** The guest stood still before its taps were seen empty. */
  unwatched = false;
  /** Why the guest could not be announced, the first time. */
  announceFailure: string | undefined;
  #groupBefore: number[] = [];
  #openedAt: Milliseconds | undefined;

  constructor(options: SwitchoverRunOptions) {
    this.#o = options;
    [this.#state] = begin();
  }

  /** `start` begins the copy; it is called when everything that may come of it is listened to. */
  async toEnd(start: () => Promise<void>): Promise<SwitchoverEnd> {
    const { source, destination, signal } = this.#o;
    const from = source.running.qemu.qmp;
    const to = destination.running.qemu.qmp;
    const unlisten = [
      from.on('STOP', ({ at }) => {
        this.stoppedAt = ms(at);
        this.#post({ kind: 'stopped' });
      }),
      from.on('MIGRATION', ({ data, at }) => {
        if (data.status === 'pre-switchover') {
          this.preSwitchoverAt = ms(at);
          this.#post({ kind: 'pre-switchover' });
        }
        if (data.status === 'completed') {
          this.sentAt = ms(at);
          this.#post({ kind: 'source-completed' });
        }
        if (data.status === 'failed') this.#post({ kind: 'copy-failed', reason: 'The copy failed at the source' });
      }),
      from.on('MIGRATION_PASS', () => {
        this.#passEnded = true;
        this.#onPassEnd?.();
      }),
      to.on('MIGRATION', ({ data, at }) => {
        if (data.status === 'completed') {
          this.loadedAt = ms(at);
          this.#post({ kind: 'loaded' });
        }
        if (data.status === 'failed') this.#post({ kind: 'copy-failed', reason: `The destination could not load the guest: ${destination.running.qemu.log()}` });
      }),
      to.on('RESUME', ({ at }) => (this.resumedAt = ms(at))),
    ];
    void destination.running.qemu.exited.then(() => this.#post({ kind: 'destination-ended' }));
    void source.running.qemu.exited.then(() => this.#post({ kind: 'source-ended' }));
    const cancel = (): void => this.#post({ kind: 'cancel', reason: 'Cancelled' });
    signal?.addEventListener('abort', cancel);
    try {
      if (this.#o.hostProbes) {
        this.#atSource = ReachabilityProbe.open(source.running);
        this.#atDestination = ReachabilityProbe.open(destination.running);
      }
      for (const probe of this.#atSource) probe.watch();
      start().catch(async (error: unknown) => {
        await untilGone(source.running.qemu, error);
        this.#post({ kind: 'copy-failed', reason: formatError(error) });
      });
      const [state, ...effects] = begin();
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
      signal?.removeEventListener('abort', cancel);
      for (const stop of unlisten) stop();
      this.hostProbes = this.#closeProbes();
    }
  }

  #enter(state: SwitchoverState, effects: readonly SwitchoverEffect[]): void {
    const entered = state.phase !== this.#state.phase || this.entered.length === 0;
    if (entered) this.entered.push({ phase: state.phase, at: this.#o.now() });
    this.#state = state;
    // Before the effects: no question may be sent once the redirect is in force.
    if (state.phase !== 'copying') for (const probe of this.#atSource) probe.stop();
    if (state.phase === 'stopping') this.unwatched = state.unwatched;
    for (const effect of effects) {
      this.#perform(effect).then(
        (event) => event && this.#post(event),
        async (error: unknown) => {
          const { source, destination } = this.#o;
          await untilGone((effect.do === 'release' ? destination : source).running.qemu, error);
          this.#post({ kind: 'failed', reason: formatError(error), during: state.phase });
        },
      );
    }
    // After the effects have begun: who watches must not delay what is urgent.
    if (entered) this.#o.onProgress?.({ phase: state.phase, ...(this.lastSample ? { sample: this.lastSample } : {}) });
  }

  async #perform(effect: SwitchoverEffect): Promise<SwitchoverEvent | undefined> {
    const { source, destination, outgoing } = this.#o;
    const { qemu } = source.running;
    switch (effect.do) {
      case 'sample': return this.#sample(effect.after);
      case 'redirect':
        this.#urgent.push(raise(0), raise(qemu.pid));
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
        await qemu.stop({ timeout: ANSWER });
        this.#calmDown();
        // Not only from the opening on: a frame can reach the destination's port later than the source's by what the fabric and
        // both hosts differ. So the count is a bound from above.
        this.#groupBefore = source.groupFrames();
        return { kind: 'stopped' };
      case 'continue':
        await outgoing.continueSwitchover();
        return undefined;
      case 'commit':
        destination.commit();
        return { kind: 'committed' };
      case 'release': {
        this.held = destination.deliveredFrames();
        this.#openedAt = this.#o.now();
        const released = destination.release();
        for (const probe of this.#atDestination) probe.awaitAnswer();
        await released;
        return { kind: 'released' };
      }
      case 'end-group-redirect': {
        const group = source.groupFrames();
        source.endGroupRedirect();
        this.overlap = group.map((n, i) => n - (this.#groupBefore[i] ?? n));
        this.overlapTime = this.#openedAt && ms(this.#o.now() - this.#openedAt);
        return { kind: 'group-ended' };
      }
      case 'announce':
        try {
          destination.announce();
        } catch (error) {
          this.announceFailure ??= formatError(error);
        }
        return undefined;
      case 'read-drain':
        await pause(effect.after);
        return { kind: 'drain', through: source.redirectedFrames().reduce((sum, n) => sum + n, 0) };
      case 'cancel-copy':
        await outgoing.cancel(ANSWER);
        return { kind: 'cancelled' };
      case 'abort-destination':
        await destination.abort();
        return { kind: 'aborted' };
      case 'return-held':
        this.returned = await returnHeld(source, destination);
        return { kind: 'returned' };
      case 'resume-source': {
        const { running } = await qemu.qmp.execute('query-status');
        if (!running) await qemu.cont();
        return { kind: 'resumed' };
      }
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

  #calmDown(): void {
    for (const calm of this.#urgent.splice(0)) calm();
  }

  #closeProbes(): HostProbe[] {
    const { source, destination } = this.#o;
    const after = new Map(this.#atDestination.map((probe) => [probe.nic, probe.close()]));
    return this.#atSource.map((probe) => {
      const name = `${probe.protocol} from ${source.running.host.name}/${destination.running.host.name}`;
      return hostProbe({ nic: probe.nic, name }, probe.close(), after.get(probe.nic) ?? { sent: [], answers: [] }, this.resumedAt);
    });
  }

  /** On the way back a guest that runs gets the chance to read what its taps hold: what QEMU has in hand when it stops is gone. */
  async #settleTaps(): Promise<void> {
    const { source } = this.#o;
    const { running } = await source.running.qemu.qmp.execute('query-status');
    if (!running) return;
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
    const sample = await this.#o.outgoing.sample();
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
      const event = this.#queue.shift();
      if (event) return event;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
  }
}

/** When QMP has closed, its QEMU may be about to be gone: that it ended, told first, says more than that it does not answer. */
async function untilGone({ exited }: Qemu, error: unknown): Promise<void> {
  if (!(error instanceof QmpClosed)) return;
  const timer = new AbortController();
  await Promise.race([exited, pause(ENDING, undefined, { signal: timer.signal }).catch(() => undefined)]);
  timer.abort();
}

/** Less than a timer's millisecond: turns of the event loop until the time has passed. */
async function shortPause(duration: number): Promise<void> {
  const until = performance.now() + duration;
  do await new Promise((resolve) => setImmediate(resolve));
  while (performance.now() < until);
}
