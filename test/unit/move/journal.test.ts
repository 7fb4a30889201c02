/** A decision that was told is never lost and never contradicted, wherever a crash, a power cut or a full disk cuts the file. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { MemoryFiles, type Survived } from '../../../src/host/disk-memory.ts';
import { type Disk, DiskFailed, DiskFull, DurableDisk, kernelDisk } from '../../../src/host/disk.ts';
import { type Decision, Journal, JournalBroken, JournalConflict } from '../../../src/move/journal.ts';

const PATH = 'moves.journal';

/** A state directory that does not exist yet and is gone after the test. */
function stateDirectory(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-journal-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'state');
}

const onKernel = (root: string): Journal => new Journal(kernelDisk(root), PATH);
const inMemory = (files: MemoryFiles): Journal => new Journal(new DurableDisk(files), PATH);
const textOf = (files: MemoryFiles): string => Buffer.from(files.read(PATH) ?? []).toString('utf8');

interface Known {
  readonly decision: Decision | undefined;
  readonly permitted: boolean;
}

const known = (journal: Journal, move: string): Known => ({ decision: journal.decision(move), permitted: journal.permitted(move) });
const decisions = (journal: Journal, moves: readonly string[]): (Decision | undefined)[] => moves.map((move) => journal.decision(move));

test('a new journal knows of nothing, and writes nothing until it must', (t) => {
  assert.deepEqual(known(onKernel(stateDirectory(t)), 'a1'), { decision: undefined, permitted: false });
  const files = new MemoryFiles();
  assert.deepEqual(known(inMemory(files), 'a1'), { decision: undefined, permitted: false });
  assert.equal(files.read(PATH), undefined);
});

test('decisions are there at once, and after it was opened again', (t) => {
  const root = stateDirectory(t);
  const journal = onKernel(root);
  journal.decide('a1', 'web-1', 'committed');
  journal.decide('a2', 'web-1', 'aborted');
  for (const one of [journal, onKernel(root)]) assert.deepEqual(decisions(one, ['a1', 'a2', 'a']), ['committed', 'aborted', undefined]);
});

test('a permit is there at once, and after it was opened again; it is of one move, and no decision', (t) => {
  const root = stateDirectory(t);
  const journal = onKernel(root);
  journal.permit('a1', 'web-1');
  journal.permit('a2', 'web-1');
  journal.decide('a2', 'web-1', 'aborted');
  journal.decide('a3', 'web-1', 'committed');
  for (const one of [journal, onKernel(root)]) {
    assert.deepEqual(['a1', 'a2', 'a3', 'a'].map((move) => known(one, move)), [
      { decision: undefined, permitted: true }, { decision: 'aborted', permitted: true },
      { decision: 'committed', permitted: false }, { decision: undefined, permitted: false },
    ]);
  }
});

test('the same again writes nothing', () => {
  const files = new MemoryFiles();
  const journal = inMemory(files);
  journal.decide('a1', 'web-1', 'aborted');
  journal.permit('a1', 'web-1');
  const { calls } = files;
  journal.decide('a1', 'web-1', 'aborted');
  journal.permit('a1', 'web-1');
  assert.equal(files.calls, calls);
});

for (const [first, second] of [['committed', 'aborted'], ['aborted', 'committed']] as const) {
  test(`what is ${first} cannot be ${second}, now or after it was opened again`, () => {
    const files = new MemoryFiles();
    const refuses = (journal: Journal): void => assert.throws(() => journal.decide('a1', 'web-1', second), (error) =>
      error instanceof JournalConflict && error.code === 'MOVE_JOURNAL_CONFLICT' && error.message.includes(`a1 was ${first}`));
    const journal = inMemory(files);
    journal.decide('a1', 'web-1', first);
    refuses(journal);
    assert.equal(journal.decision('a1'), first);
    refuses(inMemory(files));
    assert.deepEqual(decisions(inMemory(files), ['a1']), [first]);
  });
}

test('a record is on the disk when the call returns', () => {
  const files = new MemoryFiles();
  const journal = inMemory(files);
  journal.decide('a1', 'web-1', 'committed');
  assert.equal(inMemory(files.afterPowerCut('nothing')).decision('a1'), 'committed');
  journal.permit('a2', 'web-1');
  assert.equal(inMemory(files.afterPowerCut('nothing')).permitted('a2'), true);
});

test('lines that are no records do not count and do no harm', (t) => {
  const root = stateDirectory(t);
  onKernel(root).decide('a1', 'web-1', 'committed');
  const junk = [
    'null', '[]', '7', '{"move":"a2"}', '{"move":"a2","decision":"perhaps"}', '{"move":3,"decision":"committed"}', '{"decision":"committed"}',
    '{"move":"a2","permitted":false}', '{"move":"a2","permitted":"true"}', '{"permitted":true}', '\0\0',
  ];
  appendFileSync(join(root, PATH), junk.join('\n'));
  onKernel(root).decide('a3', 'web-1', 'aborted');
  const journal = onKernel(root);
  assert.deepEqual(decisions(journal, ['a1', 'a2', '3', 'a3']), ['committed', undefined, undefined, 'aborted']);
  assert.deepEqual(['a1', 'a2', '3', 'a3'].map((move) => journal.permitted(move)), [false, false, false, false]);
});

test('cut at any byte, a journal has lost only the record that was being written, and goes on', (t) => {
  const root = stateDirectory(t);
  const file = join(root, PATH);
  const moves = ['a1', 'a2', 'a3'];
  const wanted: readonly Decision[] = ['committed', 'aborted', 'committed'];
  const journal = onKernel(root);
  /** The file's length after each record. */
  const ends = moves.map((move, i) => {
    journal.decide(move, 'web-ü', wanted[i] ?? 'aborted');
    return readFileSync(file).length;
  });
  const whole = readFileSync(file);
  for (let length = 0; length <= whole.length; length++) {
    writeFileSync(file, whole.subarray(0, length));
    const cut = onKernel(root);
    const found = decisions(cut, moves);
    cut.decide('b1', 'web-1', 'aborted');
    // Only the newline is missing: the record is whole, and may count.
    const kept = ends.filter((end) => end - 1 <= length).length;
    assert.deepEqual(found, wanted.map((decision, i) => (i < kept ? decision : undefined)), `cut at ${length}`);
    assert.deepEqual(decisions(onKernel(root), [...moves, 'b1']), [...found, 'aborted'], `cut at ${length}, then written on`);
  }
});

for (const room of [0, 1, 20, 39]) {
  test(`no room (${room} bytes): nothing is decided, nothing is left of it, and it can be tried again, or the other way`, () => {
    const files = new MemoryFiles();
    const journal = inMemory(files);
    journal.decide('a1', 'web-1', 'committed');
    const before = textOf(files);
    for (const refused of [() => journal.decide('a2', 'web-1', 'committed'), () => journal.permit('a3', 'web-1')]) {
      files.setRoom(room);
      assert.throws(refused, DiskFull);
    }
    assert.equal(textOf(files), before);
    // A full disk is no reason not to know what was decided.
    for (const one of [journal, inMemory(files)]) {
      assert.deepEqual(['a1', 'a2', 'a3'].map((move) => known(one, move)), [
        { decision: 'committed', permitted: false }, { decision: undefined, permitted: false }, { decision: undefined, permitted: false },
      ]);
    }
    files.setRoom(Infinity);
    journal.decide('a2', 'web-1', 'aborted');
    journal.permit('a3', 'web-1');
    const after = inMemory(files.afterPowerCut('nothing'));
    assert.deepEqual([after.decision('a2'), after.permitted('a3')], ['aborted', true]);
  });
}

test('when nobody knows what stands on the disk nothing is decided any more, until the journal is opened anew', () => {
  const files = new MemoryFiles();
  const disk = new DurableDisk(files);
  let sick = false;
  const failing: Disk = {
    read: (path) => disk.read(path), write: (path, data) => disk.write(path, data), list: (path) => disk.list(path),
    remove: (path) => disk.remove(path), rename: (from, to) => disk.rename(from, to),
    append: (path, data) => {
      disk.append(path, data);
      if (sick) throw new DiskFailed(path, new Error('EIO'));
    },
  };
  const journal = new Journal(failing, PATH);
  journal.decide('a1', 'web-1', 'aborted');
  sick = true;
  const broken = (error: unknown): boolean =>
    error instanceof JournalBroken && error.code === 'MOVE_JOURNAL_BROKEN' && error.cause instanceof DiskFailed;
  assert.throws(() => journal.decide('a2', 'web-1', 'committed'), broken);
  sick = false;
  const written = textOf(files);
  for (const refused of [
    () => journal.decide('a2', 'web-1', 'committed'), () => journal.decide('a2', 'web-1', 'aborted'), () => journal.permit('a3', 'web-1'),
  ]) assert.throws(refused, broken);
  assert.equal(textOf(files), written);
  assert.deepEqual(decisions(journal, ['a1', 'a2']), ['aborted', undefined]);
  journal.decide('a1', 'web-1', 'aborted');
  // Here it was written after all.
  assert.equal(inMemory(files).decision('a2'), 'committed');
});

const MOVES = ['a1', 'a2', 'a3', '\n"}', '__proto__'];

test('any sequence of records, with the process or the power gone at any call to the files: what was told or read stands', () => {
  const operation = fc.record({
    move: fc.constantFrom(...MOVES),
    what: fc.constantFrom<Decision | 'permit'>('committed', 'aborted', 'permit'),
    crash: fc.option(fc.record({ calls: fc.nat(7), survives: fc.constantFrom<Survived | 'all'>('nothing', 'names', 'parts', 'all') }), { nil: undefined }),
    room: fc.option(fc.nat(80), { nil: undefined }),
  });
  const met = { crashes: 0, kept: 0, full: 0 };
  fc.assert(fc.property(fc.array(operation, { maxLength: 14 }), (operations) => {
    let files = new MemoryFiles();
    let journal = inMemory(files);
    const model = new Map<string, Known>(MOVES.map((move) => [move, { decision: undefined, permitted: false }]));
    const agrees = (): void => {
      for (const move of MOVES) assert.deepEqual(known(journal, move), model.get(move), move);
    };
    for (const { move, what, crash, room } of operations) {
      const before = model.get(move) ?? { decision: undefined, permitted: false };
      const after: Known = what === 'permit' ? { ...before, permitted: true } : { ...before, decision: what };
      if (what !== 'permit' && before.decision !== undefined && before.decision !== what) {
        assert.throws(() => journal.decide(move, 'web-1', what), JournalConflict);
        agrees();
        continue;
      }
      if (crash) files.cutAfter(crash.calls);
      if (room !== undefined) files.setRoom(room);
      let failure: unknown;
      try {
        if (what === 'permit') journal.permit(move, 'web-1');
        else journal.decide(move, 'web-1', what);
        model.set(move, after);
      } catch (error) {
        failure = error;
        assert.ok(error instanceof DiskFull || (crash && error instanceof JournalBroken), String(error));
      }
      if (failure instanceof DiskFull) met.full++;
      agrees();
      if (crash) {
        files = crash.survives === 'all' ? files.afterCrash() : files.afterPowerCut(crash.survives);
        journal = inMemory(files);
        if (failure instanceof JournalBroken) {
          // It was being written: either is true, but from now on only the one that was read.
          const found = known(journal, move);
          const possible = [before, after].some((one) => one.decision === found.decision && one.permitted === found.permitted);
          assert.ok(possible, JSON.stringify(found));
          model.set(move, found);
          met.crashes++;
          if (found.decision !== before.decision || found.permitted !== before.permitted) met.kept++;
        }
        agrees();
        files = files.afterPowerCut('nothing');
        journal = inMemory(files);
      }
      files.setRoom(Infinity);
      agrees();
    }
  }), { numRuns: 400 });
  assert.ok(met.crashes > 100 && met.kept > 10 && met.full > 50, JSON.stringify(met));
});
