/**
 * What the driver of a switchover adds to the machine: the order of what is done, failures that must not end a move, doubt, and the
 * reason that is told first.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DiskFull } from '../../../src/host/disk.ts';
import type { Commit, DestinationEnd, DestinationEvent, SourceEnd, SourceEvent } from '../../../src/move/ends.ts';
import { PeerLost } from '../../../src/move/errors.ts';
import { SwitchoverRun, type SwitchoverProgress, type SwitchoverRunOptions } from '../../../src/move/switchover-run.ts';
import { bytes, bytesPerSecond, mib, ms, seconds } from '../../../src/base/units.ts';
import type { SwitchoverPolicy } from '../../../src/protocol/switchover.ts';
import type { MigrationSample } from '../../../src/vm/migration.ts';
import { QmpClosed } from '../../../src/vm/qmp-errors.ts';

const policy: SwitchoverPolicy = {
  selfSwitch: 'accept', lastPass: ms(10), patience: seconds(5), lastPassLate: ms(50), maxCopy: seconds(20),
  maxPause: seconds(5), maxEmptying: seconds(5), quiet: ms(5), maxDrain: seconds(5), drainInterval: ms(1),
};
const COMMIT: Commit = { loadedAt: ms(1), committedAt: ms(2), openedAt: ms(3), resumedAt: ms(4), held: [7] };
const vm = { name: 'web-1', memory: mib(1), cpus: 1, machine: 'q35', cpuModel: 'Nehalem', accelerator: 'tcg', nics: [], disks: [] } as const;
const lost = (): Promise<never> => Promise.reject(new PeerLost('host-b', 'the wire is cut'));

interface Change {
  readonly source?: Partial<SourceEnd>;
  readonly destination?: Partial<DestinationEnd>;
  readonly run?: Partial<SwitchoverRunOptions>;
}

/** Both ends, answering as healthy ones do; what is changed does not. `done` says what they were asked to do, in its order. */
class Ends {
  readonly done: string[] = [];
  readonly progress: SwitchoverProgress[] = [];
  readonly run: SwitchoverRun;
  readonly sourceListeners = new Set<(event: SourceEvent) => void>();
  readonly destinationListeners = new Set<(event: DestinationEvent) => void>();
  readonly #exited = Promise.withResolvers<void>();
  stands = false;

  constructor({ source, destination, run }: Change = {}) {
    const does = (what: string) => (): void => void this.done.push(what);
    const later = (what: string) => async (): Promise<void> => void this.done.push(what);
    const healthySource: SourceEnd = {
      host: 'host-a', nics: 0, holds: true,
      guest: {
        vm, place: { runDirectory: '/run/x', id: 'x' }, exited: this.#exited.promise, state: async () => 'running',
        ports: [], speak: does('speak'),
        announce: later('announce'), powerDown: later('power-down'), kill: later('kill'), close: does('close'), lastWords: () => '',
      },
      listen: (listener) => (this.sourceListeners.add(listener), () => this.sourceListeners.delete(listener)),
      copy: later('copy'), limit: async (rate) => void this.done.push(`limit ${rate}`), sample: async () => sample(),
      hurry: () => (this.done.push('hurry'), does('calm')), redirect: does('redirect'), endRedirect: does('end-redirect'), redirects: () => false,
      tapsWaiting: () => false, flush: does('flush'), running: async () => !this.stands,
      stop: async () => {
        this.done.push('stop');
        this.stands = true;
        this.tell({ kind: 'pre-switchover', at: ms(12) });
      },
      resume: async () => {
        this.done.push('resume');
        this.stands = false;
      },
      continueSwitchover: async () => {
        this.done.push('continue');
        this.tell({ kind: 'completed', at: ms(13) });
        this.answer({ kind: 'committed', commit: COMMIT });
      },
      cancelCopy: later('cancel-copy'), groupFrames: () => [0], endGroupRedirect: does('end-group-redirect'), redirectedFrames: () => [0],
      prime: later('prime'), takeAll: () => [], inject: does('inject'), ledger: () => new Map(),
      probes: { watch: does('watch'), stop: does('stop-asking'), close: () => [] }, close: does('close-source'),
    };
    const healthyDestination: DestinationEnd = {
      host: 'host-b', uri: 'tcp:192.0.2.2:49152',
      listen: (listener) => (this.destinationListeners.add(listener), () => this.destinationListeners.delete(listener)),
      permit: later('permit'), abort: async () => (this.done.push('abort'), 'aborted'), commit: async () => COMMIT, announce: later('announce'),
      takeHeld: async () => [], deliveredFrames: async () => [0],
      summary: () => assert.fail('not the driver\'s'), finish: () => assert.fail('not the driver\'s'),
    };
    this.run = new SwitchoverRun({
      policy, now: () => ms(performance.timeOrigin + performance.now()), permit: does('write-permit'),
      onProgress: (progress) => this.progress.push(progress),
      source: { ...healthySource, ...source }, destination: { ...healthyDestination, ...destination }, ...run,
    });
  }

  tell(event: SourceEvent): void {
    for (const listener of this.sourceListeners) listener(event);
  }

  answer(event: DestinationEvent): void {
    for (const listener of this.destinationListeners) listener(event);
  }

  /** The source's QEMU is gone. */
  end(): void {
    this.tell({ kind: 'ended' });
    this.#exited.resolve();
  }

  phases(): string[] {
    return this.run.entered.map(({ phase }) => phase);
  }

  count(what: string): number {
    return this.done.filter((one) => one === what).length;
  }
}

const sample = (): MigrationSample => ({
  status: 'active', at: ms(performance.now()), dirtySyncCount: 2, remaining: bytes(0), dirtyRate: bytesPerSecond(0), transferred: bytes(0),
  throughput: bytesPerSecond(1e9),
});

/** QEMU stops the guest by itself as soon as the copy begins. */
function selfSwitching(change: Change = {}): Ends {
  const ends: Ends = new Ends({
    ...change,
    source: {
      copy: async () => {
        ends.tell({ kind: 'stopped', at: ms(11) });
        ends.tell({ kind: 'pre-switchover', at: ms(12) });
      },
      ...change.source,
    },
  });
  return ends;
}

test('a move: each thing in its order, the permit written down before it is given, the redirect before the stop', async () => {
  const ends = new Ends();
  assert.deepEqual(await ends.run.move(), { phase: 'done' });
  assert.deepEqual(ends.phases(), ['copying', 'permitting', 'redirecting', 'emptying', 'stopping', 'finishing', 'handing-over', 'draining', 'done']);
  const done = ends.done.filter((what, i) => what !== 'announce' && ends.done.indexOf(what) === i);
  assert.deepEqual(done, [
    'watch', 'copy', 'write-permit', 'permit', 'stop-asking', 'hurry', 'redirect', 'flush', 'stop', 'calm', 'continue', 'end-group-redirect',
  ]);
  assert.deepEqual([ends.run.commit, ends.run.sentAt, ends.run.preSwitchoverAt, ends.run.unwatched], [COMMIT, 13, 12, false]);
  assert.deepEqual([ends.sourceListeners.size, ends.destinationListeners.size], [0, 0]);
  assert.deepEqual([...new Set(ends.progress.map(({ phase }) => phase))], ends.phases());
  assert.ok(ends.progress.every(({ reason }) => reason === undefined));
});

test('the copy is limited anew while it copies, and left alone from then on', async () => {
  const ends: Ends = new Ends({ source: { copy: async () => assert.equal(await ends.run.limit(bytesPerSecond(5e6)), true) } });
  assert.deepEqual(await ends.run.move(), { phase: 'done' });
  assert.equal(ends.count('limit 5000000'), 1);
  assert.equal(await ends.run.limit(bytesPerSecond(6e6)), false);
  assert.equal(ends.count('limit 6000000'), 0);
});

test('what cannot be announced does not end the drain', async () => {
  let tries = 0;
  const ends = selfSwitching({ destination: { announce: () => (tries++, lost()) } });
  assert.deepEqual(await ends.run.move(), { phase: 'done' });
  assert.ok(tries >= 4, 'it is said again all the same');
});

test('a guest that QEMU stopped by itself was not watched', async () => {
  const ends = selfSwitching();
  assert.equal((await ends.run.move()).phase, 'done');
  assert.equal(ends.run.unwatched, true);
  assert.equal(ends.run.stoppedAt, 11);
  assert.ok(!ends.phases().includes('emptying'));
  assert.ok(ends.done.indexOf('permit') < ends.done.indexOf('redirect') && ends.done.indexOf('redirect') < ends.done.indexOf('continue'));
});

test('a source that ends is the reason, not its QMP that closed a little before', async () => {
  const ends: Ends = new Ends({
    source: {
      sample: () => {
        // The process is gone some turns of the event loop after its connection.
        setTimeout(() => ends.end(), 2);
        return Promise.reject(new QmpClosed('while an answer was waited for'));
      },
    },
  });
  assert.deepEqual(await ends.run.move(), { phase: 'dead', at: 'source', reason: 'The QEMU at the source ended' });
  assert.equal(ends.count('abort'), 1);
  assert.equal(ends.count('resume'), 0);
});

test('a QEMU that cannot even begin: the guest runs on, and the destination is aborted', async () => {
  const ends = new Ends({ source: { copy: () => Promise.reject(new Error('connection refused')) } });
  const end = await ends.run.move();
  assert.deepEqual(end, { phase: 'rolled-back', reason: 'connection refused' });
  assert.deepEqual([ends.count('cancel-copy'), ends.count('abort'), ends.count('resume')], [1, 1, 0]);
});

for (const [what, change] of [
  ['cannot be written down', (): Change => ({ run: { permit: () => { throw new DiskFull('moves.journal', undefined); } } })],
  ['cannot be given', (): Change => ({ destination: { permit: lost } })],
] as const) {
  test(`a permit that ${what}: nothing was redirected or stopped, and the guest runs on`, async () => {
    const ends = new Ends(change());
    const end = await ends.run.move();
    assert.equal(end.phase, 'rolled-back');
    assert.deepEqual(ends.phases(), ['copying', 'permitting', 'aborting', 'cancelling', 'resuming', 'rolled-back']);
    for (const never of ['permit', 'redirect', 'stop']) assert.equal(ends.count(never), 0, never);
  });
}

test('cancelled before it began: nothing but the copy is undone', async () => {
  const ends = new Ends({ run: { signal: AbortSignal.abort() } });
  assert.deepEqual(await ends.run.move(), { phase: 'rolled-back', reason: 'Cancelled' });
  assert.deepEqual(ends.phases(), ['copying', 'aborting', 'cancelling', 'resuming', 'rolled-back']);
});

test('the pause outgrows its limit: back, held frames before the guest, and the reason is told on the way', async () => {
  const ends: Ends = new Ends({ run: { policy: { ...policy, maxPause: ms(20) } }, source: { continueSwitchover: async () => undefined } });
  assert.deepEqual(await ends.run.move(), { phase: 'rolled-back', reason: 'The pause outgrew its limit' });
  assert.deepEqual(ends.phases().slice(-7), ['finishing', 'aborting', 'cancelling', 'pausing', 'returning', 'resuming', 'rolled-back']);
  const back = ends.done.slice(ends.done.indexOf('abort')).filter((what) => what !== 'stop-asking');
  assert.deepEqual(back, ['abort', 'cancel-copy', 'stop', 'prime', 'resume'], 'the word before the copy is cancelled, and the guest last');
  for (const { phase, reason } of ends.progress) {
    if (['cancelling', 'aborting', 'pausing', 'returning', 'resuming'].includes(phase)) assert.equal(reason, 'The pause outgrew its limit');
    else assert.equal(reason, undefined, phase);
  }
});

/** The wire breaks when the guest has stopped, before the commit is heard of. */
function cut(destination: Partial<DestinationEnd>, source: Partial<SourceEnd> = {}): Ends {
  const ends: Ends = new Ends({
    destination: { announce: lost, ...destination },
    source: { continueSwitchover: async () => ends.answer({ kind: 'lost', reason: 'the wire is cut' }), ...source },
  });
  return ends;
}

test('in doubt nothing runs: it asks until it has the word, and comes back when that is aborted', async () => {
  let asked = 0;
  const stood: boolean[] = [];
  const ends: Ends = cut({
    abort: () => {
      stood.push(ends.stands);
      return ++asked < 3 ? lost() : Promise.resolve('aborted');
    },
  });
  assert.deepEqual(await ends.run.move(), { phase: 'rolled-back', reason: 'the wire is cut' });
  assert.deepEqual(stood, [true, true, true]);
  assert.deepEqual(ends.phases().slice(-7), ['aborting', 'in-doubt', 'cancelling', 'pausing', 'returning', 'resuming', 'rolled-back']);
  assert.equal(ends.progress.find(({ phase }) => phase === 'in-doubt')?.reason, 'the wire is cut');
  assert.equal(ends.stands, false);
});

test('in doubt, and the word is committed: it goes on, with the moments of the commit fetched', async () => {
  let asked = 0;
  const ends = cut({ abort: () => (++asked < 2 ? lost() : Promise.resolve('committed')) });
  assert.equal((await ends.run.move()).phase, 'done');
  assert.deepEqual(ends.phases().slice(-4), ['in-doubt', 'handing-over', 'draining', 'done']);
  assert.deepEqual(ends.run.commit, COMMIT);
  assert.equal(ends.count('resume'), 0);
});

test('committed, but when cannot be learned any more: it is committed all the same', async () => {
  const ends = cut({ abort: async () => 'committed', commit: lost });
  assert.equal((await ends.run.move()).phase, 'done');
  assert.equal(ends.run.commit, undefined);
  assert.equal(ends.run.overlapTime, undefined);
});

for (const word of ['committed', 'aborted'] as const) {
  test(`in doubt, and somebody else brings the word ${word}: that is enough, and the destination is not asked for more`, async () => {
    let asked = 0;
    const ends: Ends = cut({
      abort: () => {
        // Not before the doubt itself: the answer to the first question is still outstanding.
        if (++asked === 2) ends.run.tell(word);
        return lost();
      },
      commit: () => assert.fail('it cannot be spoken with'),
    });
    assert.equal((await ends.run.move()).phase, word === 'committed' ? 'done' : 'rolled-back');
    assert.equal(asked, 2);
    assert.equal(ends.stands, word === 'committed');
  });
}

test('a source that ends in doubt: nothing comes back, and dead is said only when the destination has spoken', async () => {
  let asked = 0;
  const ends: Ends = cut({
    abort: () => {
      if (++asked === 1) ends.end();
      return asked < 2 ? lost() : Promise.resolve('aborted');
    },
  });
  assert.deepEqual(await ends.run.move(), { phase: 'dead', at: 'source', reason: 'the wire is cut; then the QEMU at the source ended' });
  assert.ok(ends.phases().includes('in-doubt'));
  assert.equal(ends.count('resume'), 0);
});

test('a destination that ends after it took the guest over: dead', async () => {
  const ends: Ends = new Ends({ destination: { announce: async () => ends.answer({ kind: 'ended' }) } });
  const end = await ends.run.move();
  assert.deepEqual(end, { phase: 'dead', at: 'destination', reason: 'The QEMU at the destination ended after it had taken the guest over' });
  assert.equal(ends.count('resume'), 0);
});

test('what was held at a destination that is lost meanwhile does not keep the guest from coming back', async () => {
  const ends = cut({ takeHeld: lost, deliveredFrames: lost }, { nics: 1, redirectedFrames: () => [5] });
  assert.equal((await ends.run.move()).phase, 'rolled-back');
  assert.deepEqual(ends.run.returned, { frames: [0], outOfOrder: 0, lost: [5] });
  assert.ok(ends.done.lastIndexOf('end-redirect') < ends.done.indexOf('resume'));
});

const RESTARTED = { reason: 'The agent of the source was restarted', guestGone: false, destinationGone: false };

for (const running of [true, false]) {
  test(`after a restart of the agent, never permitted, the guest ${running ? 'runs' : 'stands still'}: it runs, and is not told to twice`, async () => {
    const ends = new Ends();
    ends.stands = !running;
    const end = await ends.run.goBack({ ...RESTARTED, redirected: false, permitted: false });
    assert.deepEqual(end, { phase: 'rolled-back', reason: RESTARTED.reason });
    assert.deepEqual(ends.phases(), ['aborting', 'cancelling', 'resuming', 'rolled-back']);
    assert.deepEqual([ends.count('copy'), ends.count('stop'), ends.count('resume')], [0, 0, running ? 0 : 1]);
  });
}

test('after a restart of the agent, permitted: the destination\'s word counts, and committed goes on to the drain', async () => {
  const ends = new Ends({ destination: { abort: async () => 'committed' } });
  ends.stands = true;
  const end = await ends.run.goBack({ ...RESTARTED, redirected: true, permitted: true });
  assert.equal(end.phase, 'done');
  assert.deepEqual(ends.phases(), ['aborting', 'handing-over', 'draining', 'done']);
  assert.equal(ends.stands, true);
});

test('left in the middle: fails, decides nothing more, whatever happens then, and asks the guest nothing more', async () => {
  const ends: Ends = new Ends({
    source: {
      sample: async () => ({ ...sample(), remaining: bytes(1e9), throughput: bytesPerSecond(1) }),
      probes: { watch: () => undefined, stop: () => undefined, close: () => (ends.done.push('close-probes'), []) },
    },
    run: { onProgress: ({ sample: seen }) => seen && ends.run.leave() },
  });
  await assert.rejects(ends.run.move(), { code: 'MOVE_PEER_LOST', message: /the agent ends/ });
  ends.end();
  ends.run.tell('aborted');
  assert.deepEqual(ends.phases(), ['copying']);
  assert.deepEqual(ends.done, ['copy', 'close-probes']);
  assert.deepEqual([ends.sourceListeners.size, ends.destinationListeners.size], [0, 0]);
});

test('left before it began: begins nothing', async () => {
  const ends = new Ends();
  ends.run.leave();
  await assert.rejects(ends.run.move(), { code: 'MOVE_PEER_LOST' });
  await assert.rejects(ends.run.goBack({ ...RESTARTED, redirected: false, permitted: false }), { code: 'MOVE_PEER_LOST' });
  assert.deepEqual(ends.done, []);
});

test('left: a QMP that closes then is waited for by nobody', async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const asked = Promise.withResolvers<never>();
  const ends: Ends = new Ends({ source: { sample: () => (ends.run.leave(), asked.promise) } });
  await assert.rejects(ends.run.move(), { code: 'MOVE_PEER_LOST' });
  const before = timers();
  asked.reject(new QmpClosed('before the answer'));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(timers(), before);
});
