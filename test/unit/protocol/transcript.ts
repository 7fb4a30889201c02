/**
 * The commands of the switchover machine's transcripts: `policy key=value…`, `now MS`, `begin`, `begin-back FLAG… key=value…`,
 * `reach PHASE`, or `event KIND key=value…`. `reach` begins, and goes the straight way to a phase; only what it arrives at is logged.
 *
 * In the log a line without indent is a state: `from → to details` when the phase changed, `= phase details` when only details
 * did, `(ignored)` when nothing did and nothing has to be done. The indented lines below it are the effects, in order.
 */
import { GodwitError } from '../../../src/base/error.ts';
import { type Milliseconds, bytes, bytesPerSecond, ms, seconds } from '../../../src/base/units.ts';
import {
  type SwitchoverEffect, type SwitchoverEvent, type SwitchoverPolicy, type SwitchoverState, begin, beginBack, step,
} from '../../../src/protocol/switchover.ts';
import { type Command, number, parseCommand } from './transcripts.ts';

export const policy: SwitchoverPolicy = {
  selfSwitch: 'refuse', lastPass: ms(10), patience: seconds(5), lastPassLate: ms(50), maxCopy: seconds(20),
  maxPause: ms(300), maxEmptying: ms(100), quiet: ms(100), maxDrain: seconds(2), drainInterval: ms(20),
};

type Arguments = ReadonlyMap<string, string>;

/** A fresh machine for one transcript. */
export function switchoverCommands(): Command {
  const session = new Session();
  return (line) => session.command(line);
}

class Session {
  #policy = policy;
  #now: Milliseconds = ms(0);
  #state: SwitchoverState | undefined;

  command(line: string): string[] {
    const { verb, words, args } = parseCommand(line);
    switch (verb) {
      case 'policy': {
        const selfSwitch = args.get('selfSwitch') === 'accept' ? 'accept' : 'refuse';
        this.#policy = { ...this.#policy, ...Object.fromEntries([...args].map(([key, value]) => [key, ms(Number(value))])), selfSwitch };
        return [];
      }
      case 'now':
        this.#now = ms(number(words[0]));
        return [];
      case 'begin':
        return this.#log(undefined, begin());
      case 'begin-back':
        return this.#log(undefined, beginBack({
          reason: args.get('reason') ?? 'no reason', redirected: words.includes('redirected'), permitted: words.includes('permitted'),
          guestGone: words.includes('guestGone'), destinationGone: words.includes('destinationGone'),
        }));
      case 'reach':
        return this.#reach(words[0] ?? '');
      case 'event': {
        if (!this.#state) throw new GodwitError('TEST_TRANSCRIPT', 'Write `begin` before the first event');
        return this.#log(this.#state, step(this.#state, event(words[0] ?? '', args), this.#now, this.#policy));
      }
      default:
        throw new GodwitError('TEST_TRANSCRIPT', `${line}: no such command; there are policy, now, begin, begin-back, reach and event`);
    }
  }

  #reach(wanted: string): string[] {
    let [state] = begin();
    for (const event of STRAIGHT) {
      if (state.phase === wanted) break;
      [state] = step(state, event, this.#now, this.#policy);
    }
    if (state.phase !== wanted) {
      throw new GodwitError('TEST_TRANSCRIPT', `${wanted}: not on the straight way; write the events that lead there`);
    }
    this.#state = state;
    return [`⇒ ${wanted}${fields(state, ['phase'])}`];
  }

  #log(before: SwitchoverState | undefined, [after, ...effects]: ReturnType<typeof step>): string[] {
    this.#state = after;
    if (before === after && effects.length === 0) return ['(ignored)'];
    const details = before === after ? '' : fields(after, ['phase']);
    const head = before?.phase === after.phase ? `= ${after.phase}` : `${before?.phase ?? '·'} → ${after.phase}`;
    return [`${head}${details}`, ...effects.map((effect) => `    ${effect.do}${fields(effect, ['do'])}`)];
  }
}

/** ` key=value…`, nested ones flattened; only the key of what is true, nothing of what is false. */
function fields(value: SwitchoverState | SwitchoverEffect, without: readonly string[]): string {
  const out: string[] = [];
  const visit = (part: object): void => {
    for (const [key, inner] of Object.entries(part)) {
      if (without.includes(key) || inner === false) continue;
      if (inner === true) out.push(key);
      else if (typeof inner === 'object' && inner !== null) visit(inner);
      else out.push(`${key}=${typeof inner === 'string' ? JSON.stringify(inner) : inner}`);
    }
  };
  visit(value);
  return out.map((field) => ` ${field}`).join('');
}

/** Events that carry nothing. */
export const plain = ([
  'permitted', 'redirected', 'stopped', 'pre-switchover', 'source-completed', 'committed', 'group-ended', 'cancelled', 'aborted',
  'returned', 'resumed', 'source-ended', 'destination-ended', 'deadline',
] as const).map((kind): SwitchoverEvent => ({ kind }));

/** From the beginning to a clean end. */
const STRAIGHT: readonly SwitchoverEvent[] = [
  { kind: 'sample', sample: { at: ms(500), pass: 2, remaining: bytes(1e6), throughput: bytesPerSecond(1e9) } },
  { kind: 'permitted' }, { kind: 'redirected' },
  { kind: 'taps', waiting: false }, { kind: 'taps', waiting: false }, { kind: 'taps', waiting: false },
  { kind: 'stopped' }, { kind: 'committed' }, { kind: 'group-ended' },
];

export const phases: readonly SwitchoverState['phase'][] = [
  'copying', 'permitting', 'redirecting', 'emptying', 'stopping', 'finishing', 'handing-over', 'draining', 'done', 'cancelling',
  'aborting', 'in-doubt', 'pausing', 'returning', 'resuming', 'rolled-back', 'stranded', 'dead',
];

function event(kind: string, args: Arguments): SwitchoverEvent {
  const reason = args.get('reason') ?? 'no reason';
  switch (kind) {
    case 'sample': return {
      kind,
      sample: {
        at: ms(number(args.get('at'))), pass: number(args.get('pass')), remaining: bytes(size(args.get('remaining'))),
        throughput: bytesPerSecond(size(args.get('throughput'))),
      },
    };
    case 'taps-waiting': return { kind: 'taps', waiting: true };
    case 'taps-empty': return { kind: 'taps', waiting: false };
    case 'drain': return { kind, through: number(args.get('through')) };
    case 'cancel': return { kind, reason };
    case 'copy-failed': return { kind, reason };
    case 'destination-lost': return { kind, reason };
    case 'failed': {
      const during = phases.find((phase) => phase === args.get('during'));
      if (during) return { kind, reason, during };
      throw new GodwitError('TEST_TRANSCRIPT', `during=${args.get('during')}: no such phase`);
    }
    default: {
      const found = plain.find((e) => e.kind === kind);
      if (found) return found;
      throw new GodwitError('TEST_TRANSCRIPT', `${kind}: no such event`);
    }
  }
}

/** Bytes, with kB, MB or GB (powers of 1000). */
function size(text: string | undefined): number {
  const unit = { kB: 1e3, MB: 1e6, GB: 1e9 };
  const [, digits, suffix] = /^([\d.]+)(kB|MB|GB)?$/.exec(text ?? '') ?? [];
  return number(digits) * (suffix === 'kB' || suffix === 'MB' || suffix === 'GB' ? unit[suffix] : 1);
}
