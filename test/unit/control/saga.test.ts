/** What the server makes of reports that come twice, late or in the wrong order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MoveReport } from '../../../src/api/agent-protocol.ts';
import { type MoveState, endWithoutSource, hear } from '../../../src/control/saga.ts';
import { saga, victims } from '../../../src/control/saga-table.ts';
import { type MigrationEnd, type MigrationStatus, sagaPhases } from '../../../src/model/migration.ts';

const begun: MoveState = {
  status: { phase: 'plan', from: 'a', createdAt: 0, startedAt: 0, move: '000010' },
  move: { epoch: 1, start: 1, token: 't', told: {} },
};

/** What the two agents say in one move, each in its order. */
function story(fate: 'moved' | 'rolled-back' | 'dead'): { readonly source: MoveReport[]; readonly destination: MoveReport[] } {
  const decision = fate === 'moved' ? 'committed' : 'aborted';
  const end: MigrationEnd = fate === 'moved' ? { kind: 'moved' } : fate === 'dead' ? { kind: fate, at: 'source', reason: 'so' } : { kind: fate, reason: 'so' };
  const source = (phase: MoveReport['phase'], rest: Partial<MoveReport> = {}): MoveReport => ({ migration: 'm', move: '000010', role: 'source', phase, ...rest });
  const destination = (phase: MoveReport['phase'], rest: Partial<MoveReport> = {}): MoveReport => ({ migration: 'm', move: '000010', role: 'destination', phase, ...rest });
  return {
    source: [
      source('plan'), source('prepare'), source('copy', { progress: { fraction: 0.5, pass: 1, transferred: 1, remaining: 1, throughput: 1, dirtyRate: 1 } }), source('switch'),
      source('switch', { inDoubt: 'cannot be reached' }), ...(fate === 'moved' ? [source('announce'), source('drain')] : []), source('done', { end }),
    ],
    destination: [destination('prepare'), destination('switch', { inDoubt: 'the source is away' }), destination('switch', { decision }), destination('drain', { decision, end })],
  };
}

const fates = fc.constantFrom('moved', 'rolled-back', 'dead');

function tell(reports: readonly MoveReport[]): { readonly state: MoveState; readonly committed: number; readonly ended: number; readonly contradictions: number } {
  let state: MoveState = begun;
  let [committed, ended, contradictions] = [0, 0, 0];
  let before: MigrationStatus = state.status;
  for (const report of reports) {
    const heard = hear(state, report, 1000);
    for (const { kind } of heard.news) {
      if (kind === 'committed') committed++;
      else if (kind === 'ended') ended++;
      else contradictions++;
    }
    state = { status: heard.status, move: heard.move };
    const { status } = state;
    assert.ok(sagaPhases.indexOf(status.phase as 'plan') >= sagaPhases.indexOf(before.phase as 'plan'), 'a phase fell');
    if (before.decision) assert.equal(status.decision, before.decision);
    if (before.end) assert.deepEqual(status.end, before.end);
    before = status;
  }
  return { state, committed, ended, contradictions };
}

test('whatever the order and however often, one commit, one end, the same outcome', () => {
  const order = fates.chain((fate) => {
    const { source, destination } = story(fate);
    const all = [...source, ...destination];
    return fc.record({ fate: fc.constant(fate), told: fc.array(fc.constantFrom(...all), { maxLength: 40 }) });
  });
  fc.assert(fc.property(order, ({ fate, told }) => {
    // All of it has been said once in the end, whatever was said before.
    const { source, destination } = story(fate);
    const { state, committed, ended, contradictions } = tell([...told, ...destination, ...source]);
    assert.equal(ended, 1);
    assert.equal(committed, fate === 'moved' ? 1 : 0);
    assert.equal(contradictions, 0);
    assert.equal(state.status.end?.kind, fate);
    assert.deepEqual(state.move.told, { source: true, destination: true });
    assert.equal(state.move.inDoubt, undefined);
    assert.equal(state.status.reason, undefined);
    assert.equal(state.status.phase === 'done', fate === 'moved');
    // And once more changes nothing at all.
    for (const report of [...source, ...destination]) assert.deepEqual(hear(state, report, 2000), { ...state, news: [] });
  }));
});

test('the destination alone can end only what it has committed', () => {
  const aborted = tell(story('rolled-back').destination).state;
  assert.equal(endWithoutSource(aborted, 0).status.end, undefined);
  const moved = tell(story('moved').destination).state;
  assert.equal(moved.status.end, undefined);
  assert.deepEqual(endWithoutSource(moved, 0).status.end, { kind: 'moved' });
  const [unfinished] = story('moved').destination.slice(2);
  assert.equal(endWithoutSource(tell([unfinished!]).state, 0).status.end, undefined);
});

test('what contradicts the commit is said and does not undo it', () => {
  const committed = tell(story('moved').destination.slice(0, 3)).state;
  const after = hear(committed, { migration: 'm', move: '000010', role: 'source', phase: 'switch', end: { kind: 'rolled-back', reason: 'x' } }, 0);
  assert.equal(after.status.decision, 'committed');
  assert.ok(after.news.some((n) => n.kind === 'contradiction'));
});

test('the table has an answer for every victim in every phase, and none of them lets the VM run twice', () => {
  for (const phase of sagaPhases) {
    for (const victim of victims) {
      const { runs, how } = saga[phase].crash[victim];
      assert.ok(runs.length > 0 && how.length > 0, `${phase}, ${victim}`);
    }
  }
  // Behind the commit point nothing brings it back.
  for (const phase of ['announce', 'drain', 'done'] as const) for (const victim of victims) assert.ok(!saga[phase].crash[victim].runs.includes('source'), `${phase}, ${victim}`);
});
