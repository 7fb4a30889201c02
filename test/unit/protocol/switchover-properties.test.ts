/** Whatever comes in whatever order: the guest never runs twice, no frame is left behind, and the move ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Milliseconds, bytes, bytesPerSecond, ms } from '../../../src/base/units.ts';
import { type SwitchoverEvent, type SwitchoverState, begin, isEnd, step } from '../../../src/protocol/switchover.ts';
import { SafetyWitness, line } from './switchover-safety.ts';
import { TROUBLES, World } from './switchover-world.ts';
import { phases, policy } from './transcript.ts';

const sample = (at: number, pass: number, remaining: number): SwitchoverEvent =>
  ({ kind: 'sample', sample: { at: ms(at), pass, remaining: bytes(remaining), throughput: bytesPerSecond(1e9) } });

/** The event that leads out of a phase when all goes well. */
function expected(state: SwitchoverState, now: Milliseconds): SwitchoverEvent {
  switch (state.phase) {
    case 'copying': return sample(now, state.convergence.passes + 1, 1e6);
    case 'redirecting': return { kind: 'redirected' };
    case 'emptying': return { kind: 'taps', waiting: false };
    case 'stopping': case 'pausing': return { kind: 'stopped' };
    case 'finishing': return state.loaded ? { kind: 'source-completed' } : { kind: 'loaded' };
    case 'committing': return { kind: 'committed' };
    case 'releasing': return { kind: 'released' };
    case 'handing-over': return { kind: 'group-ended' };
    case 'draining': return { kind: 'drain', through: 0 };
    case 'cancelling': return { kind: 'cancelled' };
    case 'aborting': return { kind: 'aborted' };
    case 'returning': return { kind: 'returned' };
    case 'resuming': return { kind: 'resumed' };
    case 'done': case 'stranded': case 'rolled-back': return { kind: 'cancel', reason: 'Too late' };
  }
}

const selfSwitch = fc.constantFrom('refuse', 'accept');

const kinds = [
  'redirected', 'stopped', 'pre-switchover', 'source-completed', 'loaded', 'committed', 'released', 'group-ended', 'cancelled', 'aborted',
  'returned', 'resumed', 'source-ended', 'destination-ended', 'deadline',
] as const;

const anyEvent: fc.Arbitrary<SwitchoverEvent> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...kinds).map((kind): SwitchoverEvent => ({ kind })) },
  fc.tuple(fc.nat(10_000), fc.nat(4), fc.nat(100_000_000)).map((args) => sample(...args)),
  fc.boolean().map((waiting): SwitchoverEvent => ({ kind: 'taps', waiting })),
  fc.nat(3).map((through): SwitchoverEvent => ({ kind: 'drain', through })),
  fc.constantFrom('cancel', 'copy-failed').map((kind): SwitchoverEvent => ({ kind, reason: 'Whatever' })),
  fc.constantFrom(...phases).map((during): SwitchoverEvent => ({ kind: 'failed', reason: 'Whatever', during })),
);

test('no sequence of events, true or not, breaks an invariant', () => {
  const reached = new Set<SwitchoverState['phase']>();
  const event = fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, anyEvent);
  const script = fc.array(fc.record({ event, elapsed: fc.nat(60) }), { maxLength: 60, size: 'max' });
  fc.assert(fc.property(script, selfSwitch, (events, selfSwitch) => {
    const witness = new SafetyWitness(selfSwitch);
    let now = ms(0);
    let [state, ...effects] = begin();
    const history = [line(now, undefined, state, effects)];
    witness.see(undefined, state, effects);
    try {
      for (const { event: given, elapsed } of events) {
        now = ms(now + elapsed);
        const event = given ?? expected(state, now);
        const before = state;
        [state, ...effects] = step(before, event, now, { ...policy, selfSwitch });
        history.push(line(now, event, state, effects));
        reached.add(state.phase);
        witness.see(event, state, effects, before);
      }
    } catch (error) {
      throw new Error(history.join('\n'), { cause: error });
    }
  }), { numRuns: 5000 });
  assert.deepEqual([...reached].toSorted(), phases.toSorted(), 'every phase was visited');
});

/** Enough for any move once trouble has ceased: a copy of some passes, four announcements, a drain. */
const FAIR_STEPS = 500;

test('every move ends, with the guest in one place, whatever goes wrong on the way', () => {
  const ends = new Map<string, number>();
  const trouble = fc.oneof({ weight: 40, arbitrary: fc.constant(undefined) }, fc.constantFrom(...TROUBLES));
  const script = fc.array(fc.record({ choose: fc.nat(1000), elapsed: fc.nat(20), trouble }), { maxLength: 80, size: 'max' });
  fc.assert(fc.property(script, selfSwitch, (steps, selfSwitch) => {
    const world = new World({ ...policy, selfSwitch });
    try {
      for (const { choose, elapsed, trouble } of steps) {
        if (isEnd(world.state)) break;
        if (trouble) world.trouble(trouble);
        world.advance(choose, elapsed);
      }
      for (let i = 0; !isEnd(world.state); i++) {
        assert.ok(i < FAIR_STEPS, `no end, ${world.state.phase} for ever`);
        assert.ok(world.advance(i, 1), `nothing can happen in ${world.state.phase}`);
      }
      world.checkEnd();
      ends.set(world.state.phase, (ends.get(world.state.phase) ?? 0) + 1);
    } catch (error) {
      throw new Error(world.history.join('\n'), { cause: error });
    }
  }), { numRuns: 5000 });
  for (const end of ['done', 'rolled-back', 'stranded']) assert.ok((ends.get(end) ?? 0) > 50, `${end} is hardly ever reached`);
});
