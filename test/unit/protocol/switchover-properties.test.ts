/** Whatever comes in whatever order: the guest never runs twice, no frame is left behind, and the move ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Milliseconds, bytes, bytesPerSecond, ms } from '../../../src/base/units.ts';
import {
  type RollBack, type SwitchoverEvent, type SwitchoverState, begin, beginBack, isEnd, step,
} from '../../../src/protocol/switchover.ts';
import { SafetyWitness, line } from './switchover-safety.ts';
import { TROUBLES, World } from './switchover-world.ts';
import { phases, plain, policy } from './transcript.ts';

const sample = (at: number, pass: number, remaining: number): SwitchoverEvent =>
  ({ kind: 'sample', sample: { at: ms(at), pass, remaining: bytes(remaining), throughput: bytesPerSecond(1e9) } });

/** The event that leads out of a phase when all goes well. */
function expected(state: SwitchoverState, now: Milliseconds): SwitchoverEvent {
  switch (state.phase) {
    case 'copying': return sample(now, state.convergence.passes + 1, 1e6);
    case 'permitting': return { kind: 'permitted' };
    case 'redirecting': return { kind: 'redirected' };
    case 'emptying': return { kind: 'taps', waiting: false };
    case 'stopping': case 'pausing': return { kind: 'stopped' };
    case 'finishing': return state.sourceDone ? { kind: 'committed' } : { kind: 'source-completed' };
    case 'handing-over': return { kind: 'group-ended' };
    case 'draining': return { kind: 'drain', through: 0 };
    case 'cancelling': return { kind: 'cancelled' };
    case 'aborting': case 'in-doubt': return { kind: 'aborted' };
    case 'returning': return { kind: 'returned' };
    case 'resuming': return { kind: 'resumed' };
    case 'done': case 'rolled-back': case 'stranded': case 'dead': return { kind: 'cancel', reason: 'Too late' };
  }
}

const selfSwitch = fc.constantFrom('refuse', 'accept');

/** How a life of the machine begins: with the copy, or, after a restart of the agent, with what it finds. */
const beginning: fc.Arbitrary<RollBack | undefined> = fc.option(
  fc.record({
    reason: fc.constant('Restarted'), redirected: fc.boolean(), permitted: fc.boolean(),
    guestGone: fc.boolean(), destinationGone: fc.boolean(),
  }),
  { nil: undefined, freq: 1 },
);

const anyEvent: fc.Arbitrary<SwitchoverEvent> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...plain) },
  fc.tuple(fc.nat(10_000), fc.nat(4), fc.nat(100_000_000)).map((args) => sample(...args)),
  fc.boolean().map((waiting): SwitchoverEvent => ({ kind: 'taps', waiting })),
  fc.nat(3).map((through): SwitchoverEvent => ({ kind: 'drain', through })),
  fc.constantFrom('cancel', 'copy-failed', 'destination-lost').map((kind): SwitchoverEvent => ({ kind, reason: 'Whatever' })),
  fc.constantFrom(...phases).map((during): SwitchoverEvent => ({ kind: 'failed', reason: 'Whatever', during })),
);

test('no sequence of events, true or not, breaks an invariant', () => {
  const reached = new Set<SwitchoverState['phase']>();
  const event = fc.oneof(
    { weight: 10, arbitrary: fc.constant('expected' as const) }, { weight: 2, arbitrary: anyEvent }, fc.constant('fails' as const),
  );
  const script = fc.array(fc.record({ event, elapsed: fc.nat(60) }), { maxLength: 60, size: 'max' });
  fc.assert(fc.property(script, selfSwitch, beginning, (events, selfSwitch, why) => {
    const witness = new SafetyWitness(selfSwitch, why);
    let now = ms(0);
    let [state, ...effects] = why ? beginBack(why) : begin();
    const history = [line(now, undefined, state, effects)];
    witness.see(undefined, state, effects);
    try {
      for (const { event: given, elapsed } of events) {
        now = ms(now + elapsed);
        const before = state;
        const event = given === 'expected' ? expected(before, now)
          : given === 'fails' ? { kind: 'failed', reason: 'Whatever', during: before.phase } as const
          : given;
        [state, ...effects] = step(before, event, now, { ...policy, selfSwitch });
        history.push(line(now, event, state, effects));
        reached.add(before.phase);
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

/** How doubt can end. */
const DOUBT_ENDS = ['in-doubt, then done', 'in-doubt, then rolled-back', 'in-doubt, then dead'];

/** Trouble that comes a few steps after a phase was entered for the first time. */
const ambush = fc.record({
  phase: fc.oneof(
    fc.constantFrom(...phases),
    // Less often reached, and where it matters most.
    fc.constantFrom('stopping', 'finishing', 'cancelling', 'aborting', 'in-doubt', 'pausing', 'returning', 'resuming'),
  ),
  wait: fc.nat(3),
  trouble: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...TROUBLES) }, fc.constant('destination-lost' as const)),
});

test('every move ends, with the guest in one place, whatever goes wrong on the way', () => {
  const visits = new Map<string, number>([...phases, ...DOUBT_ENDS].map((name) => [name, 0]));
  const count = (name: string): void => {
    const times = visits.get(name);
    if (times !== undefined) visits.set(name, times + 1);
  };
  const script = fc.array(fc.record({ choose: fc.nat(1000), elapsed: fc.nat(20) }), { minLength: 10, maxLength: 120, size: 'max' });
  fc.assert(fc.property(script, fc.array(ambush, { maxLength: 5, size: 'max' }), selfSwitch, (steps, ambushes, selfSwitch) => {
    const world = new World({ ...policy, selfSwitch }, ambushes);
    try {
      for (const { choose, elapsed } of steps) {
        if (isEnd(world.state)) break;
        world.advance(choose, elapsed);
      }
      for (let i = 0; !isEnd(world.state); i++) {
        assert.ok(i < FAIR_STEPS, `no end, ${world.state.phase} for ever`);
        assert.ok(world.advance(i, 1), `nothing can happen in ${world.state.phase}`);
      }
      world.checkEnd();
      for (const phase of world.visited) count(phase);
      if (world.visited.has('in-doubt')) count(`in-doubt, then ${world.state.phase}`);
    } catch (error) {
      throw new Error(world.history.join('\n'), { cause: error });
    }
  }), { numRuns: 10_000 });
  for (const [name, times] of visits) assert.ok(times > 25, `${name} is hardly ever reached: ${times} times`);
});

test('a move without trouble arrives, also with a QEMU that switches by itself where that is accepted', () => {
  const early = fc.constantFrom('copying', 'permitting', 'redirecting', 'emptying');
  const ambush = fc.record({ phase: early, wait: fc.nat(3), trouble: fc.constant('self-switch' as const) });
  const selfSwitch = fc.option(ambush, { nil: undefined, freq: 1 });
  fc.assert(fc.property(fc.infiniteStream(fc.nat(1000)), selfSwitch, (choices, ambush) => {
    const world = new World({ ...policy, selfSwitch: ambush ? 'accept' : 'refuse' }, ambush ? [ambush] : []);
    for (let i = 0; i < FAIR_STEPS && !isEnd(world.state); i++) world.advance(choices.next().value ?? 0, 0);
    assert.equal(world.state.phase, 'done', world.history.join('\n'));
  }), { numRuns: 500 });
});
