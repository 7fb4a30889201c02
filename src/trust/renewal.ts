/** Certificates live a year; whoever uses one has it renewed in the last third of that, and takes the new one without a restart. */
import type { Clock } from '../base/clock.ts';
import { seconds } from '../base/units.ts';
import { renewalDue } from './authority.ts';
import type { Identity } from './identity.ts';

const DAY = seconds(86_400);
/** After a failure: there are months left. */
const TRY_AGAIN = seconds(3600);

/** The identity a program goes by now. */
export class LiveIdentity {
  #current: Identity;
  readonly #users = new Set<(identity: Identity) => void>();

  constructor(identity: Identity) {
    this.#current = identity;
  }

  get current(): Identity {
    return this.#current;
  }

  replace(identity: Identity): void {
    this.#current = identity;
    for (const user of this.#users) user(identity);
  }

  /** Told of every new one, until what it returns is called. */
  onRenewed(user: (identity: Identity) => void): () => void {
    this.#users.add(user);
    return () => this.#users.delete(user);
  }
}

export interface Renewal {
  readonly identity: LiveIdentity;
  readonly clock: Clock;
  /** Ends it; a renewal under way is waited for. */
  readonly signal: AbortSignal;
  /** A new one, on the disk when it resolves. */
  readonly renew: (old: Identity) => Promise<Identity>;
  readonly onFailure: (error: unknown) => void;
}

/** Looks at once and then every day; after a failure every hour. Never rejects. */
export async function keepRenewed({ identity, clock, signal, renew, onFailure }: Renewal): Promise<void> {
  while (!signal.aborted) {
    let pause = DAY;
    try {
      if (renewalDue(identity.current.certificate, clock.now())) identity.replace(await renew(identity.current));
    } catch (error) {
      pause = TRY_AGAIN;
      onFailure(error);
    }
    await clock.sleep(pause, signal);
  }
}
