/** What the driver of a switchover adds to the machine: failures that must not end a move, and the reason that is told first. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SwitchoverRun, type SwitchoverRunOptions } from '../../../src/agent/switchover-run.ts';
import { bytes, bytesPerSecond, ms, seconds } from '../../../src/base/units.ts';
import type { SwitchoverEnd, SwitchoverPolicy } from '../../../src/protocol/switchover.ts';
import { QmpClosed } from '../../../src/vm/qmp-errors.ts';

const policy: SwitchoverPolicy = {
  selfSwitch: 'accept', lastPass: ms(10), patience: seconds(5), lastPassLate: ms(50), maxCopy: seconds(20),
  maxPause: seconds(5), maxEmptying: seconds(5), quiet: ms(5), maxDrain: seconds(5), drainInterval: ms(1),
};

type Listener = (event: { readonly data: { readonly status: string }; readonly at: number }) => void;

/** A QEMU as far as the driver talks to one. Ends when told to: QMP first. */
function fakeQemu() {
  const listeners = new Map<string, Listener>();
  const { promise: exited, resolve: end } = Promise.withResolvers<void>();
  const tell = (name: string, status = ''): void => listeners.get(name)?.({ data: { status }, at: Date.now() });
  const qmp = { on: (name: string, listener: Listener) => (listeners.set(name, listener), () => listeners.delete(name)) };
  return { qemu: { qmp, exited, log: () => '', stop: async () => undefined }, tell, end };
}

/** Both ends, answering as healthy ones do; `change` says which part does not. */
function drive(change: { readonly announce?: () => void; readonly copies?: () => void; readonly sample?: () => Promise<never> }) {
  const [source, destination] = [fakeQemu(), fakeQemu()];
  const nothing = (): void => undefined;
  const healthy = async () =>
    ({ at: ms(performance.now()), dirtySyncCount: 2, remaining: bytes(0), throughput: bytesPerSecond(1e9) });
  const withoutNic = { vm: { nics: [] }, taps: [] };
  const options = {
    policy, now: () => ms(performance.timeOrigin + performance.now()),
    source: {
      running: { qemu: source.qemu, ...withoutNic }, redirect: nothing, flush: nothing, tapsWaiting: () => false, groupFrames: () => [0], endGroupRedirect: nothing,
      redirectedFrames: () => [0],
    },
    destination: {
      running: { qemu: destination.qemu, ...withoutNic }, commit: nothing, deliveredFrames: () => [0], release: async () => undefined,
      announce: change.announce ?? nothing,
    },
    outgoing: {
      sample: change.sample ?? healthy,
      continueSwitchover: async () => {
        destination.tell('MIGRATION', 'completed');
        source.tell('MIGRATION', 'completed');
      },
      cancel: () => Promise.reject(new QmpClosed('before it was cancelled')),
    },
    incoming: {},
  };
  // The cast: these are all of the ends that a switchover touches.
  const run = new SwitchoverRun(options as unknown as SwitchoverRunOptions);
  const start = async (): Promise<void> => change.copies?.();
  return { source, run, toEnd: (): Promise<SwitchoverEnd> => run.toEnd(start) };
}

/** QEMU stops the guest by itself as soon as the copy begins. */
function selfSwitching(announce: () => void) {
  const driven: ReturnType<typeof drive> = drive({
    announce,
    copies: () => {
      driven.source.tell('STOP');
      driven.source.tell('MIGRATION', 'pre-switchover');
    },
  });
  return driven;
}

test('what cannot be announced does not end the drain, and is told once', async () => {
  let tries = 0;
  const { run, toEnd } = selfSwitching(() => {
    throw new Error(`The tap is full (${++tries})`);
  });
  assert.deepEqual(await toEnd(), { phase: 'done' });
  assert.ok(tries >= 4, 'it is said again all the same');
  assert.equal(run.announceFailure, 'The tap is full (1)');
});

test('a guest that QEMU stopped by itself was not watched', async () => {
  const { run, toEnd } = selfSwitching(() => undefined);
  await toEnd();
  assert.equal(run.unwatched, true);
  assert.ok(!run.entered.some(({ phase }) => phase === 'emptying'));
});

test('a source that ends is the reason, not its QMP that closed a little before', async () => {
  const driven: ReturnType<typeof drive> = drive({
    sample: () => {
      // The process is gone some turns of the event loop after its connection.
      setTimeout(driven.source.end, 2);
      return Promise.reject(new QmpClosed('while an answer was waited for'));
    },
  });
  const end = await driven.toEnd();
  assert.equal(end.phase, 'stranded');
  const reason = end.phase === 'stranded' ? end.reason : '';
  assert.match(reason, /^The QEMU at the source ended; then cancelling failed: The QMP connection closed/);
});
