/**
 * Two hosts and a copy between them, as far as the switchover can tell: carries effects out, answers truthfully, in an order that
 * `choose` picks. What one QEMU is asked it does in the order in which it was asked; all else may overtake. Trouble comes only when
 * it is sent. It fails at once when the guest could run twice.
 */
import assert from 'node:assert/strict';
import { type Milliseconds, bytes, bytesPerSecond, ms } from '../../../src/base/units.ts';
import {
  type SwitchoverEffect, type SwitchoverEvent, type SwitchoverPolicy, type SwitchoverState, begin, beginBack, isEnd, step,
} from '../../../src/protocol/switchover.ts';
import { Destination } from './switchover-destination.ts';
import { SafetyWitness, line } from './switchover-safety.ts';

export const TROUBLES = [
  'cancel', 'source-dies', 'destination-dies', 'destination-lost', 'load-fails', 'copy-fails', 'self-switch', 'somebody-stops', 'hang',
  'effect-fails', 'agent-crashes',
] as const;
export type Trouble = (typeof TROUBLES)[number];

/** Comes `wait` steps after `phase` was entered for the first time. */
export interface Ambush {
  readonly phase: SwitchoverState['phase'];
  readonly wait: number;
  readonly trouble: Trouble;
}

interface Asked {
  readonly effect: SwitchoverEffect;
  readonly during: SwitchoverState['phase'];
}

const AT_SOURCE: ReadonlySet<SwitchoverEffect['do']> = new Set(['sample', 'stop', 'continue', 'cancel-copy', 'resume-source']);
/** Done when they are asked for, before anything else happens. */
const AT_ONCE: ReadonlySet<SwitchoverEffect['do']> = new Set(['redirect', 'end-group-redirect', 'announce', 'arm', 'disarm']);
/** In these phases of the way back a failure leaves the guest where it is. */
const NO_OTHER_WAY: ReadonlySet<SwitchoverState['phase']> = new Set(['pausing', 'returning', 'resuming']);

export class World {
  readonly #policy: SwitchoverPolicy;
  readonly #ambushes: readonly Ambush[];
  /** Trouble to come, and in how many steps. */
  readonly #due: { readonly trouble: Trouble; steps: number }[] = [];
  readonly #events: SwitchoverEvent[] = [];
  readonly #asked: Asked[] = [];
  #witness: SafetyWitness;
  readonly #destination: Destination;
  /** What the agent was told in this life. */
  readonly #heard = new Set<SwitchoverEvent['kind']>();
  readonly history: string[] = [];
  readonly visited = new Set<SwitchoverState['phase']>();
  state: SwitchoverState;

  /** An effect failed for which there is no other way. */
  #excuse = false;
  /** The copy could not be cancelled: when it fails by itself, later, QEMU may let the guest run on. */
  #uncancelled = false;
  #now: Milliseconds = ms(0);
  #deadline: Milliseconds | undefined;
  #pass = 0;
  #source: 'running' | 'stopped' | 'gone' = 'running';
  /** `sending`: with leave to send the device state. `over`: completed, failed or cancelled. */
  #copy: 'active' | 'held' | 'sending' | 'over' = 'active';
  /** QEMU stopped the guest by itself, so it lets the guest run on when the copy fails or is cancelled. */
  #selfStopped = false;
  /** All is in the stream: what happens to the source's QEMU from then on does not keep the destination from loading it. */
  #sent = false;
  #hanging = false;
  #redirected = false;
  /** The source's agent has it written down that the destination may commit. */
  #permitted = false;
  /** The next effect that is carried out fails. */
  #spoil = false;

  constructor(policy: SwitchoverPolicy, ambushes: readonly Ambush[]) {
    this.#policy = policy;
    this.#ambushes = ambushes;
    this.#witness = new SafetyWitness(policy.selfSwitch);
    this.#destination = new Destination({ whole: () => this.#sent }, (event) => this.#events.push(event));
    const [state, ...effects] = begin();
    this.state = state;
    this.#enter(undefined, state, effects);
  }

  /** Lets one thing happen, of those that can, and `elapsed` pass. False when nothing can happen any more. */
  advance(choose: number, elapsed: number): boolean {
    this.#now = ms(this.#now + elapsed);
    for (const due of this.#due) if (due.steps-- === 0) this.#trouble(due.trouble, choose);
    let options = this.#options(choose);
    if (options.length === 0 && this.#deadline !== undefined) {
      this.#now = this.#deadline;
      options = this.#options(choose);
    }
    options[choose % options.length]?.();
    this.#checkPlace();
    return options.length > 0 || !this.#destination.reachable;
  }

  #trouble(kind: Trouble, choose: number): void {
    this.history.push(`${this.#now} (${kind})`);
    switch (kind) {
      case 'cancel':
        this.#events.push({ kind: 'cancel', reason: 'Cancelled' });
        break;
      case 'source-dies':
        if (this.#source === 'gone') break;
        this.#source = 'gone';
        this.#copy = 'over';
        this.#events.push({ kind: 'source-ended' });
        break;
      case 'destination-dies':
        this.#destination.die();
        break;
      case 'destination-lost':
        this.#destination.lose(choose % 40);
        break;
      case 'load-fails':
        this.#destination.failToLoad();
        break;
      case 'copy-fails':
        this.#failCopy('The copy failed');
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
      case 'agent-crashes':
        this.#restart();
        break;
    }
  }

  /**
   * What has to be true of an end, now and after all that the destination may still do by itself; but for a QEMU whose end has not
   * been told yet.
   */
  checkEnd(): void {
    assert.ok(isEnd(this.state));
    const end = this.state;
    const toldOfSource = !this.#events.some((event) => event.kind === 'source-ended');
    if (this.#copy === 'sending') this.#sent = true;
    for (;;) {
      const [option] = this.#destination.options();
      if (!option && this.#destination.reachable) break;
      option?.();
      this.#checkPlace();
    }
    const { qemu, journal } = this.#destination;
    switch (end.phase) {
      case 'done':
        assert.deepEqual([journal, this.#source === 'running'], ['committed', false]);
        assert.equal(qemu === 'gone' ? this.#heard.has('destination-ended') : qemu !== 'running', false);
        break;
      case 'rolled-back':
        assert.deepEqual([this.#redirected, qemu === 'running', journal === 'committed'], [false, false, false]);
        if (toldOfSource) assert.equal(this.#source, 'running');
        break;
      case 'stranded':
        assert.ok(this.#excuse, `stranded without need: ${end.reason}`);
        assert.deepEqual([qemu === 'running', journal === 'committed'], [false, false]);
        // Whether it runs nobody knows: what failed may have been needless.
        if (toldOfSource) assert.notEqual(this.#source, 'gone');
        break;
      case 'dead':
        assert.deepEqual([this.#source === 'running', qemu === 'running'], [false, false]);
        assert.equal(end.at, journal === 'committed' ? 'destination' : 'source');
        assert.equal(end.at === 'destination' ? qemu : this.#source, 'gone', `dead at a ${end.at} that lives`);
        break;
    }
  }

  #checkPlace(): void {
    assert.ok(!(this.#source === 'running' && this.#destination.qemu === 'running'), 'the guest runs twice');
    assert.ok(this.#destination.qemu !== 'running' || this.#permitted, 'the guest runs at the destination without leave');
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
    options.push(...this.#destination.options());
    // Nobody takes the stream any more.
    if (this.#destination.qemu === 'gone' && (this.#copy === 'active' || this.#copy === 'sending')) {
      options.push(() => this.#failCopy('The destination closed the stream'));
    }
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
      });
    }
    // One that can be held waits for the destination's word (`return-path`).
    if (this.#copy === 'sending' && this.#sent && (this.#selfStopped || this.#destination.qemu !== 'waiting')) {
      options.push(() => {
        this.#copy = 'over';
        this.#events.push({ kind: 'source-completed' });
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
    this.#heard.add(event.kind);
    const [state, ...effects] = step(this.state, event, this.#now, this.#policy);
    this.#enter(event, state, effects);
  }

  #enter(event: SwitchoverEvent | undefined, state: SwitchoverState, effects: readonly SwitchoverEffect[]): void {
    this.history.push(line(this.#now, event, state, effects));
    this.#witness.see(event, state, effects, event && this.state);
    if (!this.visited.has(state.phase)) {
      this.#due.push(...this.#ambushes.filter(({ phase }) => phase === state.phase).map(({ trouble, wait }) => ({ trouble, steps: wait })));
    }
    this.visited.add(state.phase);
    this.state = state;
    for (const effect of effects) {
      const asked: Asked = { effect, during: state.phase };
      this.#asked.push(asked);
      if (AT_ONCE.has(effect.do)) this.#carryOut(asked, 0);
    }
  }

  /** The source's agent ends and begins anew: what it was told and had asked for is forgotten, what is in force is not. */
  #restart(): void {
    if (isEnd(this.state)) return;
    this.#events.length = 0;
    this.#heard.clear();
    this.#asked.length = 0;
    this.#deadline = undefined;
    this.#spoil = false;
    // One that can be held sends its last page only after our `stop`.
    const held = this.#policy.selfSwitch === 'refuse' && this.#source === 'running';
    const why = {
      reason: 'The agent was restarted', permitted: this.#permitted && !held, redirected: this.#redirected,
      guestGone: this.#source === 'gone', destinationGone: false,
    };
    this.#witness = new SafetyWitness(this.#policy.selfSwitch, why);
    const [state, ...effects] = beginBack(why);
    this.#enter(undefined, state, effects);
  }

  #failCopy(reason: string): void {
    // One that switches by itself waits for nobody's word: with its last byte gone it can still be cancelled, but not fail.
    if (this.#copy === 'over' || (this.#sent && this.#selfStopped)) return;
    this.#events.push({ kind: 'copy-failed', reason });
    this.#endCopy();
  }

  #endCopy(): void {
    if (this.#copy === 'over') return;
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
      if (NO_OTHER_WAY.has(during)) this.#excuse = true;
    }
    // It may have been done all the same: only the answer is lost.
    const answer = spoiled && random % 2 === 1 ? undefined : this.#perform(effect, random);
    if (spoiled && effect.do === 'cancel-copy') this.#uncancelled = this.#copy !== 'over';
    if (answer === undefined || spoiled) this.#events.push({ kind: 'failed', reason: `${effect.do} failed`, during });
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
      case 'permit':
        this.#permitted = true;
        return this.#destination.reachable && this.#destination.permit() ? [{ kind: 'permitted' }] : undefined;
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
      case 'end-group-redirect':
        return [{ kind: 'group-ended' }];
      case 'announce':
        return [];
      case 'read-drain':
        this.#now = ms(this.#now + effect.after);
        return [{ kind: 'drain', through: random % 7 === 1 ? random : 0 }];
      case 'cancel-copy': {
        const said = this.#copy !== 'over' && random % 2 === 0;
        this.#endCopy();
        return [{ kind: 'cancelled' }, ...(said ? [{ kind: 'copy-failed', reason: 'It was cancelled' } as const] : [])];
      }
      case 'abort-destination':
      case 'ask':
        return this.#destination.reachable ? this.#destination.abort() : undefined;
      case 'return-held':
        assert.ok(this.#source !== 'running' || this.#uncancelled, 'frames are returned under a running guest');
        // What a destination that cannot be reached holds is lost; the guest need not wait for it.
        this.#redirected = false;
        return [{ kind: 'returned' }];
      case 'resume-source':
        assert.ok(!this.#redirected, 'the guest runs on before its frames are back');
        assert.notEqual(this.#destination.journal, 'committed', 'the guest runs on where it no longer is');
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
