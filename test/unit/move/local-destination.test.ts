/** The destination decides once, in its journal, before anything else; what comes first counts, and nothing that fails later undoes it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MemoryFiles } from '../../../src/host/disk-memory.ts';
import { type Disk, DiskFailed, DiskFull, DurableDisk } from '../../../src/host/disk.ts';
import type { DestinationEvent, DestinationGuest } from '../../../src/move/ends.ts';
import { MoveAborted } from '../../../src/move/errors.ts';
import type { Guest } from '../../../src/move/hypervisor.ts';
import { Journal, JournalBroken } from '../../../src/move/journal.ts';
import { LocalDestination } from '../../../src/move/local-destination.ts';
import { mib, ms } from '../../../src/base/units.ts';

const MOVE = 'a00010';
const NOTHING = (): undefined => undefined;
const unasked = (name: string) => (): never => assert.fail(`asked for ${name}`);
const vm = { name: 'web-1', memory: mib(1), cpus: 1, machine: 'q35', cpuModel: 'Nehalem', accelerator: 'tcg', nics: [], disks: [] } as const;
const guest: Guest = {
  vm, place: { runDirectory: '/run/x', id: 'x' }, exited: new Promise(() => undefined), state: unasked('state'),
  ports: [], speak: unasked('speak'),
  announce: unasked('announce'), powerDown: unasked('powerDown'), kill: unasked('kill'), close: unasked('close'), lastWords: unasked('lastWords'),
};

type GuestEvent = Parameters<Parameters<DestinationGuest['listen']>[0]>[0];

/** A guest that does as told; `done` says what, in its order, with what the journal said then. */
class Stage {
  readonly files = new MemoryFiles();
  readonly disk = new DurableDisk(this.files);
  readonly journal: Journal;
  readonly done: string[] = [];
  readonly told: DestinationEvent[] = [];
  readonly listeners = new Set<(event: GuestEvent) => void>();
  readonly end: LocalDestination;

  constructor(change: Partial<DestinationGuest> = {}, journalDisk: Disk = this.disk) {
    this.journal = new Journal(journalDisk, 'moves.journal');
    const act = (what: string): void => void this.done.push(`${what} (${this.journal.decision(MOVE) ?? 'undecided'})`);
    const healthy: DestinationGuest = {
      guest, uri: 'tcp:192.0.2.2:49152',
      listen: (listener) => (this.listeners.add(listener), () => this.listeners.delete(listener)),
      loaded: async () => true,
      release: async () => act('release'), announce: () => act('announce'),
      kill: async () => act('kill'), discard: async () => act('discard'),
      close: () => act('close'), leave: () => act('leave'), hurry: () => NOTHING, awaitAnswers: NOTHING, answers: () => [], takeHeld: () => [], deliveredFrames: () => [30, 4],
      tapsWaiting: () => [false, false], ledger: () => new Map(),
    };
    this.end = new LocalDestination({
      move: MOVE, host: 'host-b', guest: { ...healthy, ...change }, journal: this.journal, onCommitted: () => act('onCommitted'),
    });
    this.end.listen((event) => this.told.push(event));
  }

  tell(event: GuestEvent): void {
    for (const listener of this.listeners) listener(event);
  }

  load(): void {
    this.tell({ kind: 'loaded', at: ms(1000) });
  }

  /** What the next agent of this host finds, after the power was cut now. */
  decisionOnDisk(): string | undefined {
    return new Journal(new DurableDisk(this.files.afterPowerCut('nothing')), 'moves.journal').decision(MOVE);
  }

  kinds(): string[] {
    return this.told.map(({ kind }) => kind);
  }
}

/** Everything that is ready to run has run. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Time stands still, but for what `tick` lets pass. */
function clockOf(t: TestContext): { tick: (milliseconds: number) => void } {
  t.mock.timers.enable({ apis: ['setInterval'] });
  return t.mock.timers;
}

async function committed(t: TestContext, change: Partial<DestinationGuest> = {}): Promise<Stage> {
  clockOf(t);
  const stage = new Stage(change);
  await stage.end.permit();
  stage.load();
  await settled();
  return stage;
}

for (const [name, steps] of [
  ['permitted, then loaded', ['permit', 'load']],
  ['loaded, then permitted', ['load', 'permit']],
  ['permitted twice, loaded twice', ['permit', 'permit', 'load', 'load', 'permit']],
] as const) {
  test(`${name}: commits, once, lets the guest run, and says when`, async (t) => {
    clockOf(t);
    const stage = new Stage();
    for (const [i, step] of steps.entries()) {
      if (step === 'permit') await stage.end.permit();
      else stage.load();
      if (i === 0) assert.deepEqual([stage.end.decision, stage.done], [undefined, []], 'one of the two is not enough');
    }
    await settled();
    assert.equal(stage.decisionOnDisk(), 'committed');
    assert.deepEqual(stage.done, ['release (committed)', 'onCommitted (committed)']);
    assert.equal(stage.kinds().filter((kind) => kind === 'committed').length, 1);
    const commit = await stage.end.commit();
    assert.deepEqual(stage.told.find(({ kind }) => kind === 'committed'), { kind: 'committed', commit });
    assert.deepEqual([commit.loadedAt, commit.held], [1000, [30, 4]]);
    assert.ok(commit.committedAt <= commit.openedAt && commit.openedAt <= (commit.resumedAt ?? NaN));
    await stage.end.finish();
  });
}

test('the record is on the disk before anything of the release has begun', async () => {
  let onDisk: string | undefined;
  const stage: Stage = new Stage({ release: async () => void (onDisk = stage.decisionOnDisk()) });
  stage.load();
  void stage.end.permit();
  assert.equal(onDisk, 'committed');
  await stage.end.finish();
});

test('RESUME is when it ran, by QEMU\'s clock', async (t) => {
  clockOf(t);
  const stage: Stage = new Stage({ release: async () => stage.tell({ kind: 'resumed', at: ms(1234) }) });
  await stage.end.permit();
  stage.load();
  await settled();
  assert.equal((await stage.end.commit()).resumedAt, 1234);
  await stage.end.finish();
});

for (const [name, steps] of [
  ['before either', []],
  ['permitted, not loaded', ['permit']],
  ['loaded, not permitted', ['load']],
] as const) {
  test(`asked to abort, ${name}: never runs, and its QEMU is gone when it has said so`, async () => {
    const stage = new Stage();
    for (const step of steps) {
      if (step === 'permit') await stage.end.permit();
      else stage.load();
    }
    assert.equal(await stage.end.abort(), 'aborted');
    assert.deepEqual(stage.done, ['kill (aborted)']);
    assert.equal(stage.decisionOnDisk(), 'aborted');
    // Whatever comes now.
    await assert.rejects(stage.end.permit(), MoveAborted);
    stage.load();
    stage.tell({ kind: 'ended' });
    await settled();
    assert.deepEqual(stage.done, ['kill (aborted)']);
    assert.deepEqual(stage.kinds().filter((kind) => kind !== 'loaded'), [], 'that its QEMU ended was asked for');
    await assert.rejects(stage.end.commit(), MoveAborted);
    assert.equal(await stage.end.abort(), 'aborted');
    assert.deepEqual(stage.done, ['kill (aborted)']);
  });
}

test('asked to abort after it has committed: committed, and it runs on', async (t) => {
  const stage = await committed(t);
  const before = [...stage.done];
  assert.equal(await stage.end.abort(), 'committed');
  assert.deepEqual(stage.done, before);
  await stage.end.finish();
});

for (const permittedFirst of [true, false]) {
  const other = permittedFirst ? 'loaded' : 'permitted';
  const act = (stage: Stage): void => (permittedFirst ? stage.load() : void stage.end.permit().catch(NOTHING));
  const ready = async (): Promise<Stage> => {
    const stage = new Stage();
    if (permittedFirst) await stage.end.permit();
    else stage.load();
    return stage;
  };

  test(`abort and ${other} in the same turn, abort first: aborted`, async () => {
    const stage = await ready();
    const answer = stage.end.abort();
    act(stage);
    assert.equal(await answer, 'aborted');
    await settled();
    assert.deepEqual([stage.done, stage.decisionOnDisk()], [['kill (aborted)'], 'aborted']);
  });

  test(`abort and ${other} in the same turn, ${other} first: committed`, async (t) => {
    clockOf(t);
    const stage = await ready();
    act(stage);
    assert.equal(await stage.end.abort(), 'committed');
    await settled();
    assert.deepEqual([stage.done, stage.decisionOnDisk()], [['release (committed)', 'onCommitted (committed)'], 'committed']);
    await stage.end.finish();
  });
}

test('given up before by an earlier agent: takes no permit, and ends its QEMU when asked', async () => {
  const stage = new Stage();
  stage.journal.decide(MOVE, 'web-1', 'aborted');
  await assert.rejects(stage.end.permit(), MoveAborted);
  stage.load();
  assert.deepEqual(stage.done, []);
  assert.equal(await stage.end.abort(), 'aborted');
  assert.deepEqual(stage.done, ['kill (aborted)']);
});

test('QEMU that cannot be ended: aborted is not said until it is gone, and each question tries again', async () => {
  let tries = 0;
  const stage: Stage = new Stage({ kill: () => ++tries < 3 ? Promise.reject(new Error('still there')) : Promise.resolve() });
  await stage.end.permit();
  for (let n = 0; n < 2; n++) await assert.rejects(stage.end.abort(), /still there/);
  stage.load();
  assert.equal(stage.end.decision, 'aborted');
  assert.equal(await stage.end.abort(), 'aborted');
  assert.equal(tries, 3);
  assert.deepEqual(stage.done, [], 'what was loaded meanwhile never ran');
});

test('no room for the record: nothing runs, nothing is decided, and with room the answer is aborted', async () => {
  const stage = new Stage();
  await stage.end.permit();
  stage.files.setRoom(10);
  stage.load();
  await settled();
  assert.deepEqual([stage.done, stage.end.decision, stage.decisionOnDisk()], [[], undefined, undefined]);
  assert.deepEqual(stage.kinds(), ['loaded', 'failed']);
  assert.ok(stage.told.some((event) => event.kind === 'failed' && event.reason.includes('no room')));
  await assert.rejects(stage.end.abort(), DiskFull);
  assert.deepEqual(stage.done, []);
  stage.files.setRoom(Infinity);
  assert.equal(await stage.end.abort(), 'aborted');
  assert.deepEqual([stage.done, stage.decisionOnDisk()], [['kill (aborted)'], 'aborted']);
});

test('a journal that breaks in the record: nothing runs, and neither word is said, because nobody knows which is true', async () => {
  const files = new MemoryFiles();
  const disk = new DurableDisk(files);
  const sick: Disk = {
    read: (path) => disk.read(path), write: NOTHING, list: () => [], remove: NOTHING, rename: NOTHING,
    append: (path, data) => {
      disk.append(path, data);
      throw new DiskFailed(path, new Error('EIO'));
    },
  };
  const stage = new Stage({}, sick);
  await stage.end.permit();
  stage.load();
  await settled();
  assert.deepEqual(stage.kinds(), ['loaded', 'failed']);
  for (let n = 0; n < 2; n++) await assert.rejects(stage.end.abort(), JournalBroken);
  await assert.rejects(stage.end.finish(), JournalBroken);
  stage.load();
  await settled();
  assert.deepEqual([stage.done, stage.end.decision], [[], undefined]);
  assert.equal(new Journal(disk, 'moves.journal').decision(MOVE), 'committed', 'here it was written after all');
});

test('a guest that cannot be loaded, or whose QEMU ends, is told, and decides nothing', () => {
  const stage = new Stage();
  stage.tell({ kind: 'failed', reason: 'no such device' });
  stage.tell({ kind: 'ended' });
  assert.deepEqual(stage.told, [{ kind: 'failed', reason: 'no such device' }, { kind: 'ended' }]);
  assert.deepEqual([stage.done, stage.end.decision], [[], undefined]);
});

test('a QEMU that ends after the commit is told', async (t) => {
  const stage = await committed(t);
  stage.tell({ kind: 'ended' });
  assert.deepEqual(stage.kinds(), ['loaded', 'committed', 'ended']);
  assert.equal(await stage.end.abort(), 'committed');
  await stage.end.finish();
});

test('a guest that does not run when it is let go: that is told, it stays the destination\'s, and the end tries again', async (t) => {
  let tries = 0;
  const stage = await committed(t, {
    release: () => (++tries < 2 ? Promise.reject(new Error('Failed to get shared "write" lock')) : Promise.resolve()),
  });
  assert.deepEqual(stage.kinds(), ['loaded', 'failed']);
  assert.ok(stage.told.some((event) => event.kind === 'failed' && /does not run: .*write/.test(event.reason)));
  assert.deepEqual(stage.done, [], 'it is nobody\'s who keeps VMs');
  assert.equal(await stage.end.abort(), 'committed');
  assert.equal((await stage.end.commit()).resumedAt, undefined);
  await stage.end.finish();
  assert.equal(tries, 2);
  assert.deepEqual(stage.done, ['close (committed)']);
});

test('counters that cannot be read after the record do not let its listener fail', async (t) => {
  const stage = await committed(t, { deliveredFrames: () => { throw new Error('no such device'); } });
  assert.deepEqual([stage.kinds(), stage.decisionOnDisk()], [['loaded', 'failed'], 'committed']);
  await stage.end.finish();
  assert.deepEqual(stage.done, ['release (committed)', 'close (committed)']);
});

test('a source that never announces it: it is announced all the same, four times, and then no more', async (t) => {
  const timers = clockOf(t);
  const stage = new Stage();
  await stage.end.permit();
  stage.load();
  await settled();
  const announced = (): number => stage.done.filter((what) => what.startsWith('announce')).length;
  assert.equal(announced(), 0);
  for (const rounds of [1, 2, 3, 4, 4, 4]) {
    timers.tick(100);
    assert.equal(announced(), rounds);
  }
  await stage.end.finish();
});

test('a source that announces it is enough, and what it lacks is made up for', async (t) => {
  const timers = clockOf(t);
  const stage = new Stage();
  await stage.end.permit();
  stage.load();
  await settled();
  for (let n = 0; n < 3; n++) await stage.end.announce();
  timers.tick(1000);
  assert.equal(stage.done.filter((what) => what.startsWith('announce')).length, 4);
  await stage.end.finish();
});

test('announcing ends with the move', async (t) => {
  const timers = clockOf(t);
  const stage = new Stage();
  await stage.end.permit();
  stage.load();
  await settled();
  timers.tick(100);
  await stage.end.finish();
  timers.tick(1000);
  assert.deepEqual(stage.done.slice(-2), ['announce (committed)', 'close (committed)']);
});

test('what cannot be announced is told once, in the summary, and fails nothing', async (t) => {
  let tries = 0;
  const stage = await committed(t, { announce: () => { throw new Error(`The tap is full (${++tries})`); } });
  for (let n = 0; n < 3; n++) await stage.end.announce();
  assert.equal(tries, 3);
  assert.equal((await stage.end.summary()).announceFailure, 'The tap is full (1)');
  assert.deepEqual(stage.kinds(), ['loaded', 'committed']);
  await stage.end.finish();
});

test('the summary waits until each tap was seen empty once, though others fill meanwhile', async (t) => {
  const looks = [[true, true], [false, true], [true, true], [true, false]];
  const stage = await committed(t, { tapsWaiting: () => looks.shift() ?? assert.fail('each was seen empty') });
  const { untaken, delivered, announceFailure } = await stage.end.summary();
  assert.deepEqual([untaken, delivered, announceFailure], [[false, false], [30, 4], undefined]);
  await stage.end.finish();
});

test('after an abort nobody takes anything, and nobody is waited for', async () => {
  let looks = 0;
  const stage = new Stage({ tapsWaiting: () => (looks++, [true, false]) });
  await stage.end.abort();
  assert.deepEqual((await stage.end.summary()).untaken, [true, false]);
  assert.equal(looks, 1);
});

test('finish after a commit leaves the guest, and takes the rest away, once', async (t) => {
  const stage = await committed(t);
  await Promise.all([stage.end.finish(), stage.end.finish()]);
  await stage.end.finish();
  assert.deepEqual(stage.done.slice(2), ['close (committed)']);
  assert.equal(stage.listeners.size, 0);
});

test('finish without a commit is an abort, leaves nothing, and is done once', async () => {
  const stage = new Stage();
  await Promise.all([stage.end.finish(), stage.end.finish()]);
  await stage.end.finish();
  assert.deepEqual([stage.done, stage.decisionOnDisk()], [['kill (aborted)', 'discard (aborted)'], 'aborted']);
  assert.equal(stage.listeners.size, 0);
  await assert.rejects(stage.end.permit(), MoveAborted);
});

test('finish while it is being let go waits until the guest runs', async (t) => {
  const timers = clockOf(t);
  const { promise, resolve } = Promise.withResolvers<void>();
  let releases = 0;
  const stage = new Stage({ release: () => (releases++, promise) });
  await stage.end.permit();
  stage.load();
  const finished = stage.end.finish();
  await settled();
  assert.deepEqual(stage.done, []);
  resolve();
  await finished;
  timers.tick(1000);
  assert.equal(releases, 1);
  assert.deepEqual(stage.done, ['onCommitted (committed)', 'close (committed)']);
});

test('finish with no room in the journal: without a permit its QEMU goes all the same and nothing runs later; with one it stays', async () => {
  const never = new Stage();
  never.files.setRoom(0);
  await never.end.finish();
  assert.deepEqual(never.done, ['kill (undecided)', 'discard (undecided)']);
  await assert.rejects(never.end.permit(), MoveAborted);

  const permitted = new Stage();
  await permitted.end.permit();
  permitted.files.setRoom(0);
  await assert.rejects(permitted.end.finish(), DiskFull);
  assert.deepEqual(permitted.done, []);
  permitted.files.setRoom(Infinity);
  await permitted.end.finish();
  assert.deepEqual(permitted.done, ['kill (aborted)', 'discard (aborted)']);
});

for (const first of ['permit', 'load'] as const) {
  test(`left after ${first}: decides nothing more, whatever comes, and leaves its QEMU as it is`, async () => {
    const stage = new Stage();
    if (first === 'permit') await stage.end.permit();
    else stage.load();
    const listeners = [...stage.listeners];
    const told = stage.kinds();
    await stage.end.leave();
    assert.equal(stage.listeners.size, 0);
    // Also what was on its way to it.
    for (const listener of listeners) listener({ kind: 'loaded', at: ms(1000) });
    await stage.end.permit();
    await settled();
    assert.deepEqual([stage.done, stage.decisionOnDisk(), stage.kinds()], [[], undefined, told]);
  });
}

test('left while the guest is let run: done once it runs, and the rest is the next agent\'s', async (t) => {
  const timers = clockOf(t);
  const { promise, resolve } = Promise.withResolvers<void>();
  const stage = new Stage({ release: () => promise });
  await stage.end.permit();
  stage.load();
  let left = false;
  const leaving = stage.end.leave().then(() => (left = true));
  await settled();
  assert.equal(left, false);
  resolve();
  await leaving;
  timers.tick(1000);
  assert.deepEqual([stage.done, stage.decisionOnDisk()], [[], 'committed']);
});
