/**
 * Two hosts and a copy between them, as far as the switchover can tell: carries effects out, answers truthfully, in an order that
 * `choose` picks. What one QEMU is asked it does in the order in which it was asked; all else may overtake. Trouble comes only when
 * it is sent. It fails at once when the guest could run twice.
 */
import assert from 'node:assert/strict';
import { type Milliseconds, bytes, bytesPerSecond, ms } from '../../../src/base/units.ts';
import {
  type SwitchoverEffect, type SwitchoverEvent, type SwitchoverPolicy, type SwitchoverState, begin, isEnd, step,
} from '../../../src/protocol/switchover.ts';
import { SafetyWitness, line } from './switchover-safety.ts';

export const TROUBLES = [
  'cancel', 'source-dies', 'destination-dies', 'load-fails', 'self-switch', 'somebody-stops', 'hang', 'effect-fails',
] as const;
export type Trouble = (typeof TROUBLES)[number];

interface Asked {
  readonly effect: SwitchoverEffect;
  readonly during: SwitchoverState['phase'];
}

const AT_SOURCE: ReadonlySet<SwitchoverEffect['do']> = new Set(['sample', 'stop', 'continue', 'cancel-copy', 'resume-source']);
/** Done when they are asked for, before anything else happens. */
const AT_ONCE: ReadonlySet<SwitchoverEffect['do']> = new Set(['redirect', 'commit', 'end-group-redirect', 'announce', 'arm', 'disarm']);

/** In these phases a failure costs nothing but the move. */
const WAY_BACK_OPEN: ReadonlySet<SwitchoverState['phase']> = new Set(['copying', 'redirecting', 'emptying', 'stopping', 'finishing']);

export class World {
  readonly #policy: SwitchoverPolicy;
  readonly #events: SwitchoverEvent[] = [];
  readonly #asked: Asked[] = [];
  readonly #witness: SafetyWitness;
  readonly history: string[] = [];
  state: SwitchoverState;

  /** Something happened after which nobody can be sure that the guest may run. */
  #excuse = false;
  #now: Milliseconds = ms(0);
  #deadline: Milliseconds | undefined;
  #pass = 0;
  #source: 'running' | 'stopped' | 'gone' = 'running';
  #destination: 'waiting' | 'loaded' | 'running' | 'gone' = 'waiting';
  #copy: 'active' | 'held' | 'sending' | 'over' = 'active';
  /** QEMU stopped the guest by itself, so a cancel lets it run on. */
  #selfStopped = false;
  #sent = false;
  #hanging = false;
  #redirected = false;
  #committed = false;
  #aborted = false;
  /** The next effect that is carried out fails. */
  #spoil = false;

  constructor(policy: SwitchoverPolicy) {
    this.#policy = policy;
    this.#witness = new SafetyWitness(policy.selfSwitch);
    const [state, ...effects] = begin();
    this.state = state;
    this.#enter(undefined, state, effects);
  }

  /** Lets one thing happen, of those that can, and `elapsed` pass. False when nothing can happen any more. */
  advance(choose: number, elapsed: number): boolean {
    this.#now = ms(this.#now + elapsed);
    let options = this.#options(choose);
    if (options.length === 0 && this.#deadline !== undefined) {
      this.#now = this.#deadline;
      options = this.#options(choose);
    }
    options[choose % options.length]?.();
    assert.ok(!(this.#source === 'running' && this.#destination === 'running'), 'the guest runs twice');
    assert.ok(this.#destination !== 'running' || this.#committed, 'the guest runs at the destination before the commit');
    return options.length > 0;
  }

  trouble(kind: Trouble): void {
    switch (kind) {
      case 'cancel':
        this.#events.push({ kind: 'cancel', reason: 'Cancelled' });
        break;
      case 'source-dies':
        this.#source = 'gone';
        this.#excuse = true;
        this.#events.push({ kind: 'source-ended' });
        break;
      case 'destination-dies':
        this.#endDestination();
        break;
      case 'load-fails':
        if (this.#copy === 'over' || this.#destination !== 'waiting') break;
        this.#events.push({ kind: 'copy-failed', reason: 'The destination could not load the guest' });
        this.#endDestination();
        this.#events.push({ kind: 'copy-failed', reason: 'The copy failed' });
        this.#endCopy();
        break;
      case 'self-switch':
        if (this.#copy !== 'active' || this.#source !== 'running') break;
        this.#source = 'stopped';
        this.#selfStopped = true;
        this.#copy = 'held';
        this.#events.push({ kind: 'stopped' }, { kind: 'pre-switchover' });
        break;
      case 'somebody-stops':
        if (this.#copy !== 'active' || this.#source !== 'running') break;
        this.#source = 'stopped';
        this.#events.push({ kind: 'stopped' });
        break;
      case 'hang':
        this.#hanging = true;
        break;
      case 'effect-fails':
        this.#spoil = true;
        break;
    }
  }

  /** What has to be true of an end that is not `stranded`, if all that happened has been told. */
  checkEnd(): void {
    assert.ok(isEnd(this.state));
    const told = this.#events.every((e) => e.kind !== 'source-ended' && e.kind !== 'destination-ended');
    const goneForGood = this.#destination === 'gone' && this.#witness.asked('commit');
    if (this.state.phase === 'stranded') assert.ok(this.#excuse || goneForGood, `stranded without need: ${this.state.reason}`);
    if (this.state.phase === 'rolled-back' && told) {
      assert.deepEqual([this.#source, this.#destination, this.#redirected, this.#committed], ['running', 'gone', false, false]);
    }
    if (this.state.phase === 'done' && told) assert.deepEqual([this.#source === 'running', this.#destination], [false, 'running']);
  }

  #options(choose: number): (() => void)[] {
    const options: (() => void)[] = [];
    const event = this.#events[0];
    if (event) options.push(() => this.#handle());
    const atSource = this.#asked.find(({ effect }) => AT_SOURCE.has(effect.do));
    for (const asked of this.#asked) {
      if (asked === atSource || !AT_SOURCE.has(asked.effect.do)) options.push(() => this.#carryOut(asked, choose));
    }
    if (this.#deadline !== undefined && this.#now >= this.#deadline) options.push(() => this.#passDeadline());
    if (this.#hanging || this.#source === 'gone') return options;
    if (this.#copy === 'active' && this.#source === 'stopped') {
      options.push(() => {
        this.#copy = 'held';
        this.#events.push({ kind: 'pre-switchover' });
      });
    }
    if (this.#copy === 'sending' && !this.#sent) {
      options.push(() => {
        this.#sent = true;
        this.#events.push({ kind: 'source-completed' });
      });
    }
    if (this.#copy === 'sending' && this.#destination === 'waiting') {
      options.push(() => {
        this.#destination = 'loaded';
        this.#events.push({ kind: 'loaded' });
      });
    }
    return options;
  }

  #passDeadline(): void {
    this.#deadline = undefined;
    this.#events.push({ kind: 'deadline' });
  }

  #handle(): void {
    const event = this.#events.shift();
    if (!event) return;
    const [state, ...effects] = step(this.state, event, this.#now, this.#policy);
    this.#enter(event, state, effects);
  }

  #enter(event: SwitchoverEvent | undefined, state: SwitchoverState, effects: readonly SwitchoverEffect[]): void {
    this.history.push(line(this.#now, event, state, effects));
    this.#witness.see(event, state, effects, event && this.state);
    this.state = state;
    for (const effect of effects) {
      const asked: Asked = { effect, during: state.phase };
      this.#asked.push(asked);
      if (AT_ONCE.has(effect.do)) this.#carryOut(asked, 0);
    }
  }

  #endDestination(): void {
    if (this.#destination === 'gone') return;
    this.#destination = 'gone';
    this.#events.push({ kind: 'destination-ended' });
  }

  #endCopy(): void {
    this.#copy = 'over';
    if (this.#selfStopped && this.#source === 'stopped') this.#source = 'running';
  }

  #carryOut(asked: Asked, random: number): void {
    const { effect, during } = asked;
    this.#asked.splice(this.#asked.indexOf(asked), 1);
    const fails = effect.do !== 'arm' && effect.do !== 'disarm' && effect.do !== 'announce';
    const spoiled = this.#spoil && fails;
    if (spoiled) {
      this.#spoil = false;
      if (!WAY_BACK_OPEN.has(during)) this.#excuse = true;
    }
    const answer = spoiled ? undefined : this.#perform(effect, random);
    if (answer === undefined) this.#events.push({ kind: 'failed', reason: `${effect.do} failed`, during });
    else this.#events.push(...answer);
  }

  /** Undefined when it cannot be done. */
  #perform(effect: SwitchoverEffect, random: number): SwitchoverEvent[] | undefined {
    if (AT_SOURCE.has(effect.do) && this.#source === 'gone') return undefined;
    switch (effect.do) {
      case 'sample': {
        this.#pass += random % 3 === 0 ? 1 : 0;
        const remaining = bytes((random % 5) * 5e6);
        return [{ kind: 'sample', sample: { at: this.#now, pass: this.#pass, remaining, throughput: bytesPerSecond(1e9) } }];
      }
      case 'redirect':
        this.#redirected = true;
        return [{ kind: 'redirected' }];
      case 'poll-taps':
        return [{ kind: 'taps', waiting: random % 4 === 1 }];
      case 'stop':
        if (this.#source !== 'running') return [{ kind: 'stopped' }];
        this.#source = 'stopped';
        this.#selfStopped = false;
        if (this.#copy !== 'active' || this.#hanging || random % 3 !== 0) return [{ kind: 'stopped' }, { kind: 'stopped' }];
        // The last pass may be over before anybody has said that the guest stopped.
        this.#copy = 'held';
        return [{ kind: 'pre-switchover' }, { kind: 'stopped' }, { kind: 'stopped' }];
      case 'continue':
        if (this.#copy !== 'held') return undefined;
        this.#copy = 'sending';
        return [];
      case 'commit':
        assert.ok(!this.#aborted, 'committed after it was aborted');
        assert.ok(this.#sent && this.#destination !== 'waiting', 'committed without a whole guest');
        this.#committed = true;
        return [{ kind: 'committed' }];
      case 'release':
        if (this.#destination !== 'loaded') return undefined;
        this.#destination = 'running';
        return [{ kind: 'released' }];
      case 'end-group-redirect':
        return [{ kind: 'group-ended' }];
      case 'announce':
        return [];
      case 'read-drain':
        this.#now = ms(this.#now + effect.after);
        return [{ kind: 'drain', through: random % 7 === 1 ? random : 0 }];
      case 'cancel-copy':
        if (this.#copy !== 'over' && !this.#sent) this.#endCopy();
        return [{ kind: 'cancelled' }, ...(random % 2 === 0 ? [{ kind: 'copy-failed', reason: 'It was cancelled' } as const] : [])];
      case 'abort-destination':
        assert.ok(!this.#committed, 'aborted after the commit');
        this.#aborted = true;
        this.#endDestination();
        return [{ kind: 'aborted' }];
      case 'return-held':
        assert.notEqual(this.#source, 'running', 'frames are returned under a running guest');
        this.#redirected = false;
        return [{ kind: 'returned' }];
      case 'resume-source':
        assert.ok(this.#aborted && this.#destination === 'gone' && !this.#redirected, 'the source runs on too early');
        this.#source = 'running';
        return [{ kind: 'resumed' }];
      case 'arm':
        this.#deadline = effect.at;
        return [];
      case 'disarm':
        this.#deadline = undefined;
        return [];
    }
  }
}
