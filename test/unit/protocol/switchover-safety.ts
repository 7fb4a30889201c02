/** The invariants of the switchover, as a witness of the effects asked for and the events that answered them. */
import assert from 'node:assert/strict';
import {
  type RollBack, type SwitchoverEffect, type SwitchoverEnd, type SwitchoverEvent, type SwitchoverPolicy, type SwitchoverState, isEnd,
} from '../../../src/protocol/switchover.ts';

/** Looks in a row that must find the taps empty. */
const EMPTIES = 3;
const ONCE: ReadonlySet<SwitchoverEffect['do']> = new Set([
  'permit', 'redirect', 'end-group-redirect', 'cancel-copy', 'abort-destination', 'return-held', 'resume-source',
]);

/** Which effect an event is the answer to: without the effect, it is none. */
const ANSWERS = new Map<SwitchoverEvent['kind'], SwitchoverEffect['do']>([
  ['permitted', 'permit'], ['redirected', 'redirect'], ['taps', 'poll-taps'], ['group-ended', 'end-group-redirect'],
  ['cancelled', 'cancel-copy'], ['aborted', 'abort-destination'], ['returned', 'return-held'], ['resumed', 'resume-source'],
]);

export class SafetyWitness {
  readonly #selfSwitch: SwitchoverPolicy['selfSwitch'];
  readonly #asked = new Map<SwitchoverEffect['do'], number>();
  readonly #seen = new Set<SwitchoverEvent['kind']>();
  /** Filters may be in force. */
  #redirected: boolean;
  /** The destination may have committed: it has leave to, and the guest was told to stop. */
  #doubtful: boolean;
  /** The QEMUs that are gone, as far as was told. */
  #sourceGone: boolean;
  #destinationGone: boolean;
  /** Empty looks in a row. */
  #empties = 0;
  /** `stopped` came after the last `stop`. */
  #standing = false;
  /** The guest stood still before it was asked to. */
  #unasked = false;
  #armed = false;
  /** The guest is known to be the source's. */
  #cameBack = false;

  /** `back`: what was found written down, when the life that is witnessed begins with a restart. */
  constructor(selfSwitch: SwitchoverPolicy['selfSwitch'], back?: RollBack) {
    this.#selfSwitch = selfSwitch;
    this.#redirected = back?.redirected ?? false;
    this.#doubtful = back?.permitted ?? false;
    this.#sourceGone = back?.guestGone ?? false;
    this.#destinationGone = back?.destinationGone ?? false;
  }

  /** The event and what the machine made of it. Throws AssertionError. */
  see(event: SwitchoverEvent | undefined, state: SwitchoverState, effects: readonly SwitchoverEffect[], before?: SwitchoverState): void {
    if (before && isEnd(before)) {
      assert.equal(state, before, 'an end is left');
      assert.equal(effects.length, 0, 'something is done after the end');
      return;
    }
    // Of a destination that could not have written it: somebody else's word, which must end nothing here.
    const another = event?.kind === 'committed' && before && (before.phase === 'aborting' || before.phase === 'in-doubt') && !before.why.permitted;
    if (another) {
      assert.equal(state.phase, 'stranded', 'a word that cannot be true is believed');
      assert.equal(effects.length, 0, 'something is done for it');
      return;
    }
    if (event) this.#event(event);
    for (const effect of effects) this.#effect(effect);
    if (state.phase === 'stopping' && effects.some((effect) => effect.do === 'stop')) {
      assert.equal(state.unwatched, this.#empties < EMPTIES, 'unwatched is not what was seen');
    }
    if (isEnd(state)) this.#end(state);
  }

  asked(effect: SwitchoverEffect['do']): boolean {
    return this.#asked.has(effect);
  }

  #event(event: SwitchoverEvent): void {
    const answers = ANSWERS.get(event.kind);
    if (answers !== undefined && !this.asked(answers)) return;
    switch (event.kind) {
      case 'taps':
        this.#empties = event.waiting ? 0 : this.#empties + 1;
        break;
      case 'stopped':
      case 'pre-switchover':
        if (!this.asked('stop')) this.#unasked = true;
        if (event.kind === 'stopped') this.#standing = this.asked('stop');
        break;
      case 'source-ended':
        this.#sourceGone = true;
        break;
      case 'destination-ended':
        this.#destinationGone = true;
        break;
      // A journal says one thing only; and nothing before the destination could have written it.
      case 'committed':
        if (this.#cameBack || !(this.asked('stop') || this.asked('abort-destination'))) return;
        break;
      case 'aborted':
        if (this.#seen.has('committed')) return;
        break;
      default: break;
    }
    this.#seen.add(event.kind);
  }

  /** The guest is the source's own again: by the destination's word, or because there is nothing that the destination could say. */
  #own(what: string): void {
    assert.ok(this.asked('abort-destination'), `${what} before the destination was asked`);
    assert.ok(this.#seen.has('aborted') || !this.#doubtful, `${what} without the destination's word`);
    this.#cameBack = true;
  }

  #effect(effect: SwitchoverEffect): void {
    const count = (this.#asked.get(effect.do) ?? 0) + 1;
    if (ONCE.has(effect.do)) assert.equal(count, 1, `${effect.do} is asked for twice`);
    const after = (kind: SwitchoverEvent['kind']): void => assert.ok(this.#seen.has(kind), `${effect.do} before ${kind}`);
    const neverCommitted = (): void => assert.ok(!this.#seen.has('committed'), `${effect.do} after the destination has committed`);
    const wayBack = this.asked('abort-destination');
    switch (effect.do) {
      case 'redirect':
        after('permitted');
        this.#redirected = true;
        break;
      case 'stop':
        neverCommitted();
        if (wayBack) {
          this.#own('stop');
        } else {
          after('redirected');
          const accepted = this.#unasked && this.#selfSwitch === 'accept';
          assert.ok(accepted || this.#empties >= EMPTIES, 'stop before three empty looks in a row');
          this.#doubtful = true;
        }
        this.#standing = false;
        break;
      case 'continue':
        assert.ok(this.#standing && !wayBack, 'continue before our own stop, or on the way back');
        break;
      case 'end-group-redirect':
        after('committed');
        break;
      case 'announce':
        after('group-ended');
        break;
      case 'cancel-copy':
        this.#own('cancel-copy');
        neverCommitted();
        assert.ok(!this.#sourceGone, 'cancel-copy of a QEMU that is gone');
        break;
      case 'abort-destination':
        neverCommitted();
        break;
      case 'ask':
        assert.ok(this.asked('abort-destination') && this.#doubtful, 'ask without doubt');
        neverCommitted();
        break;
      case 'return-held':
        this.#own('return-held');
        neverCommitted();
        assert.ok(this.#standing, 'return-held while the guest may run');
        break;
      case 'resume-source':
        this.#own('resume-source');
        neverCommitted();
        if (this.#redirected) after('returned');
        break;
      case 'arm':
        this.#armed = true;
        break;
      case 'disarm':
        this.#armed = false;
        break;
      case 'sample': case 'permit': case 'poll-taps': case 'read-drain':
        break;
    }
    this.#asked.set(effect.do, count);
  }

  /** No end says more than was told. */
  #end(end: SwitchoverEnd): void {
    assert.equal(this.#armed, false, 'a deadline outlives the move');
    const elsewhere = this.#seen.has('committed');
    switch (end.phase) {
      case 'done':
        assert.ok(elsewhere, 'done without the destination having committed');
        assert.ok(!this.#destinationGone, 'done at a destination that is gone');
        break;
      case 'rolled-back':
        assert.ok(this.#seen.has('resumed') && !this.#sourceGone, 'rolled-back without a guest that runs on');
        break;
      case 'stranded':
        this.#own('stranded');
        assert.ok(this.#seen.has('failed') && !this.#sourceGone && !elsewhere, 'stranded without a failure, or without a guest');
        break;
      case 'dead':
        assert.equal(end.at, elsewhere ? 'destination' : 'source');
        if (!elsewhere) this.#own('dead');
        assert.ok(elsewhere ? this.#destinationGone : this.#sourceGone, `dead at a ${end.at} that lives`);
        break;
    }
  }
}

/** One step's worth of history, for the message of a failed property. */
export function line(
  now: number, event: SwitchoverEvent | undefined, state: SwitchoverState, effects: readonly SwitchoverEffect[],
): string {
  return `${now} ${event ? JSON.stringify(event) : 'begin'} → ${JSON.stringify(state)} ${effects.map((e) => e.do).join(', ')}`;
}
