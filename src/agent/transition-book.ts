/**
 * What this host's virtual routers and BFD sessions did and the server does not know yet: on the disk before the pulse may forget it.
 * Many that come at once are written once.
 */
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { BfdTransition } from '../model/bfd-session.ts';
import type { RouterTransition } from '../model/virtual-router.ts';

export type Transition = RouterTransition | BfdTransition;

/** Kept of each kind for a server that is away: a session that flaps leaves the routers' alone. */
const MOST = 500;

const check = Compile(Type.Object({ version: Type.Literal(1), transitions: Type.Array(Type.Unsafe<Transition>({ type: 'object' })) }));

export interface BookParts {
  /** What `write` was last given; undefined: nothing, or nothing that can be read. */
  readonly read: () => unknown;
  readonly write: (value: unknown) => void;
  /** All up to this one of this pulse is written down. */
  readonly written: (pulse: string, sequence: number) => void;
}

export class TransitionBook {
  readonly #parts: BookParts;
  #kept: readonly Transition[];
  #changed = false;
  /** By pulse: the last that was added since the last writing. */
  readonly #added = new Map<string, number>();
  #turn: NodeJS.Immediate | undefined;

  constructor(parts: BookParts) {
    this.#parts = parts;
    const value = parts.read();
    this.#kept = check.Check(value) ? value.transitions : [];
  }

  all(): readonly Transition[] {
    return this.#kept;
  }

  /** False: it is there already. Written, and said to be, when all that came in with it has been added. */
  add(transition: Transition): boolean {
    const { pulse, sequence } = transition;
    const isNew = !this.#kept.some((one) => one.pulse === pulse && one.sequence === sequence);
    if (isNew) this.#kept = withRoom([...this.#kept, transition], isOfRouter(transition));
    this.#changed ||= isNew;
    this.#added.set(pulse, Math.max(sequence, this.#added.get(pulse) ?? 0));
    this.#turn ??= setImmediate(() => this.flush());
    return isNew;
  }

  /** The server has these, and all before of the same pulse. */
  acknowledged(last: { readonly pulse: string; readonly sequence: number }): void {
    const at = this.#kept.findLastIndex(({ pulse, sequence }) => pulse === last.pulse && sequence <= last.sequence);
    if (at < 0) return;
    // They are told in order: whatever came before this one, of an earlier pulse too, is known.
    this.#kept = this.#kept.slice(at + 1);
    this.#changed = true;
    this.#turn ??= setImmediate(() => this.flush());
  }

  /** Writes now what is to be written. */
  flush(): void {
    clearImmediate(this.#turn);
    this.#turn = undefined;
    if (this.#changed) this.#parts.write({ version: 1, transitions: this.#kept });
    this.#changed = false;
    for (const [pulse, sequence] of this.#added) this.#parts.written(pulse, sequence);
    this.#added.clear();
  }
}

export const isOfRouter = (transition: Transition): transition is RouterTransition => 'router' in transition;

/** Without the oldest of this kind, where there are more than MOST. */
function withRoom(kept: readonly Transition[], ofRouter: boolean): readonly Transition[] {
  const alike = (one: Transition): boolean => isOfRouter(one) === ofRouter;
  if (kept.filter(alike).length <= MOST) return kept;
  const oldest = kept.findIndex(alike);
  return kept.filter((_, at) => at !== oldest);
}
