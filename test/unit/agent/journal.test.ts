/** A decision that was told is never lost and never contradicted, wherever a crash cuts the file. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { type Decision, Journal, JournalConflict } from '../../../src/agent/journal.ts';

/** A path in a folder that does not exist yet and is gone after the test. */
function journalPath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-journal-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'state', 'moves.jsonl');
}

/** Opens, uses, closes. */
function open<T>(path: string, use: (journal: Journal) => T): T {
  const journal = new Journal(path);
  try {
    return use(journal);
  } finally {
    journal.close();
  }
}

const decisions = (path: string, moves: readonly string[]): (Decision | undefined)[] =>
  open(path, (j) => moves.map((move) => j.decision(move)));

test('a new journal knows of nothing, and makes its folder', (t) => {
  assert.deepEqual(decisions(journalPath(t), ['a1']), [undefined]);
});

test('decisions are there at once, and after it was opened again', (t) => {
  const path = journalPath(t);
  open(path, (journal) => {
    journal.decide('a1', 'web-1', 'committed');
    journal.decide('a2', 'web-1', 'aborted');
    assert.equal(journal.decision('a1'), 'committed');
    assert.equal(journal.decision('a2'), 'aborted');
    assert.equal(journal.decision('a'), undefined);
  });
  assert.deepEqual(decisions(path, ['a1', 'a2', 'a']), ['committed', 'aborted', undefined]);
});

test('the same decision again writes nothing', (t) => {
  const path = journalPath(t);
  open(path, (journal) => {
    journal.decide('a1', 'web-1', 'aborted');
    const written = readFileSync(path, 'utf8');
    journal.decide('a1', 'web-1', 'aborted');
    assert.equal(readFileSync(path, 'utf8'), written);
  });
});

for (const [first, second] of [['committed', 'aborted'], ['aborted', 'committed']] as const) {
  test(`what is ${first} cannot be ${second}, now or after it was opened again`, (t) => {
    const path = journalPath(t);
    const refuses = (journal: Journal): void => assert.throws(() => journal.decide('a1', 'web-1', second), (error) =>
      error instanceof JournalConflict && error.code === 'AGENT_JOURNAL_CONFLICT' && error.message.includes(`a1 was ${first}`));
    open(path, (journal) => {
      journal.decide('a1', 'web-1', first);
      refuses(journal);
      assert.equal(journal.decision('a1'), first);
    });
    open(path, refuses);
    assert.deepEqual(decisions(path, ['a1']), [first]);
  });
}

test('a record is in the file when decide returns, not only when the journal is closed', (t) => {
  const path = journalPath(t);
  open(path, (journal) => {
    journal.decide('a1', 'web-1', 'committed');
    assert.deepEqual(decisions(path, ['a1']), ['committed']);
  });
});

test('lines that are no records do not count and do no harm', (t) => {
  const path = journalPath(t);
  open(path, (journal) => journal.decide('a1', 'web-1', 'committed'));
  appendFileSync(path, 'null\n[]\n7\n{"move":"a2"}\n{"move":"a2","decision":"perhaps"}\n{"move":3,"decision":"committed"}\n\u0000\u0000\n');
  open(path, (journal) => journal.decide('a3', 'web-1', 'aborted'));
  assert.deepEqual(decisions(path, ['a1', 'a2', '3', 'a3']), ['committed', undefined, undefined, 'aborted']);
});

test('cut at any byte, a journal has lost only the record that was being written, and goes on', (t) => {
  const path = journalPath(t);
  const moves = ['a1', 'a2', 'a3'];
  const wanted: readonly Decision[] = ['committed', 'aborted', 'committed'];
  /** The file's length after each record. */
  const ends = open(path, (journal) => moves.map((move, i) => {
    journal.decide(move, 'web-ü', wanted[i] ?? 'aborted');
    return readFileSync(path).length;
  }));
  const whole = readFileSync(path);
  for (let length = 0; length <= whole.length; length++) {
    writeFileSync(path, whole.subarray(0, length));
    const found = open(path, (journal) => {
      const found = moves.map((move) => journal.decision(move));
      journal.decide('b1', 'web-1', 'aborted');
      return found;
    });
    // Only the newline is missing: the record is whole, and may count.
    const kept = ends.filter((end) => end - 1 <= length).length;
    assert.deepEqual(found, wanted.map((decision, i) => (i < kept ? decision : undefined)), `cut at ${length}`);
    assert.deepEqual(decisions(path, [...moves, 'b1']), [...found, 'aborted'], `cut at ${length}, then written on`);
  }
});

test('any sequence of decisions, with a crash in the middle of any write: the first of each move stands', (t) => {
  const path = journalPath(t);
  const operation = fc.record({
    move: fc.constantFrom('a1', 'a2', 'a3', '\n"}', '__proto__'),
    decision: fc.constantFrom<Decision>('committed', 'aborted'),
    /** How much of what was written is lost, when the agent crashes in this write. */
    crash: fc.option(fc.integer({ min: 2, max: 60 }), { nil: undefined }),
  });
  open(path, () => undefined);
  fc.assert(fc.property(fc.array(operation, { maxLength: 12 }), (operations) => {
    writeFileSync(path, '');
    const model = new Map<string, Decision>();
    let journal = new Journal(path);
    try {
      for (const { move, decision, crash } of operations) {
        const before = readFileSync(path);
        const known = model.get(move);
        if (known !== undefined && known !== decision) assert.throws(() => journal.decide(move, 'web-1', decision), JournalConflict);
        else journal.decide(move, 'web-1', decision);
        const after = readFileSync(path);
        if (crash !== undefined && after.length > before.length) {
          journal.close();
          writeFileSync(path, after.subarray(0, Math.max(before.length, after.length - crash)));
          journal = new Journal(path);
        } else {
          model.set(move, known ?? decision);
        }
        for (const m of ['a1', 'a2', 'a3', '\n"}', '__proto__']) assert.equal(journal.decision(m), model.get(m));
      }
    } finally {
      journal.close();
    }
  }), { numRuns: 150 });
});
