/** The invariants of the switchover, as a witness of the effects asked for and the events that answered them. */
import assert from 'node:assert/strict';
import {
  type SwitchoverEffect, type SwitchoverEvent, type SwitchoverPolicy, type SwitchoverState, isEnd,
} from '../../../src/protocol/switchover.ts';

/** Looks in a row that must find the taps empty. */
const EMPTIES = 3;
const ONCE: ReadonlySet<SwitchoverEffect['do']> = new Set([
  'redirect', 'commit', 'release', 'end-group-redirect', 'cancel-copy', 'abort-destination', 'return-held', 'resume-source',
]);

/** Which effect an event is the answer to: without the effect, it is none. */
const ANSWERS = new Map<SwitchoverEvent['kind'], SwitchoverEffect['do']>([
  ['redirected', 'redirect'], ['taps', 'poll-taps'], ['committed', 'commit'], ['released', 'release'],
  ['group-ended', 'end-group-redirect'],
  ['cancelled', 'cancel-copy'], ['aborted', 'abort-destination'], ['returned', 'return-held'], ['resumed', 'resume-source'],
]);

export class SafetyWitness {
  readonly #selfSwitch: SwitchoverPolicy['selfSwitch'];
  readonly #asked = new Map<SwitchoverEffect['do'], number>();
  readonly #seen = new Set<SwitchoverEvent['kind']>();
  /** Empty looks in a row. */
  #empties = 0;
  /** `stopped` came after the last `stop`. */
  #standing = false;
  /** The guest stood still before it was asked to. */
  #unasked = false;
  #armed = false;

  constructor(selfSwitch: SwitchoverPolicy['selfSwitch']) {
    this.#selfSwitch = selfSwitch;
  }

  /** The event and what the machine made of it. Throws AssertionError. */
  see(event: SwitchoverEvent | undefined, state: SwitchoverState, effects: readonly SwitchoverEffect[], before?: SwitchoverState): void {
    if (event) this.#event(event);
    if (before && isEnd(before)) {
      assert.equal(state, before, 'an end is left');
      assert.equal(effects.length, 0, 'something is done after the end');
    }
    for (const effect of effects) this.#effect(effect);
    if (state.phase === 'stopping' && effects.some((effect) => effect.do === 'stop')) {
      assert.equal(state.unwatched, this.#empties < EMPTIES, 'unwatched is not what was seen');
    }
    if (isEnd(state)) assert.equal(this.#armed, false, 'a deadline outlives the move');
  }

  asked(effect: SwitchoverEffect['do']): boolean {
    return this.#asked.has(effect);
  }

  #event(event: SwitchoverEvent): void {
    const answers = ANSWERS.get(event.kind);
    if (answers !== undefined && !this.asked(answers)) return;
    if (event.kind === 'taps') this.#empties = event.waiting ? 0 : this.#empties + 1;
    if ((event.kind === 'stopped' || event.kind === 'pre-switchover') && !this.asked('stop')) this.#unasked = true;
    if (event.kind === 'stopped') this.#standing = this.asked('stop');
    // What the copy says before the guest was stopped is no word about its end.
    if ((event.kind === 'loaded' || event.kind === 'source-completed') && !this.#standing) return;
    this.#seen.add(event.kind);
  }

  #effect(effect: SwitchoverEffect): void {
    const count = (this.#asked.get(effect.do) ?? 0) + 1;
    if (ONCE.has(effect.do)) assert.equal(count, 1, `${effect.do} is asked for twice`);
    const after = (kind: SwitchoverEvent['kind']): void => assert.ok(this.#seen.has(kind), `${effect.do} before ${kind}`);
    const never = (other: SwitchoverEffect['do']): void => assert.ok(!this.asked(other), `${effect.do} after ${other}`);
    switch (effect.do) {
      case 'stop':
        if (!this.#seen.has('aborted')) {
          after('redirected');
          const accepted = this.#unasked && this.#selfSwitch === 'accept';
          assert.ok(accepted || this.#empties >= EMPTIES, 'stop before three empty looks in a row');
        }
        this.#standing = false;
        break;
      case 'commit':
        after('loaded');
        after('source-completed');
        never('cancel-copy');
        break;
      case 'release':
        after('committed');
        never('resume-source');
        break;
      case 'end-group-redirect':
        after('released');
        break;
      case 'announce':
        after('group-ended');
        break;
      case 'cancel-copy':
        never('commit');
        break;
      case 'abort-destination':
        after('cancelled');
        never('commit');
        break;
      case 'return-held':
        after('aborted');
        assert.ok(this.#standing, 'return-held while the guest may run');
        break;
      case 'resume-source':
        after('aborted');
        never('commit');
        if (this.asked('redirect')) after('returned');
        break;
      case 'arm':
        this.#armed = true;
        break;
      case 'disarm':
        this.#armed = false;
        break;
      case 'sample': case 'redirect': case 'poll-taps': case 'continue': case 'read-drain':
        break;
    }
    this.#asked.set(effect.do, count);
  }
}

/** One step's worth of history, for the message of a failed property. */
export function line(
  now: number, event: SwitchoverEvent | undefined, state: SwitchoverState, effects: readonly SwitchoverEffect[],
): string {
  return `${now} ${event ? JSON.stringify(event) : 'begin'} → ${JSON.stringify(state)} ${effects.map((e) => e.do).join(', ')}`;
}
