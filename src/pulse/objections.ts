/** Why routers cannot do what is wanted of them, by what stands in the way: each reason comes and goes by itself, and one is a fault. */
import type { VrrpHost, HostEffect } from '../protocol/vrrp-host.ts';
import type { Milliseconds } from '../base/units.ts';
import type { Account } from './account.ts';

/**
 * `seat`: where its addresses go; `accept`: the rules that drop what is addressed to them; `source`: where its adverts come from; `mtu`,
 * `send`: whether they fit and go out; `peers`: the ways there.
 */
type Obstacle = 'seat' | 'accept' | 'source' | 'mtu' | 'peers' | 'send';

export interface ObjectionParts {
  readonly host: VrrpHost;
  readonly account: Account;
  readonly now: () => Milliseconds;
  readonly carryOut: (effects: readonly HostEffect[]) => void;
}

export class Objections {
  readonly #parts: ObjectionParts;
  readonly #reasons = new Map<string, Map<Obstacle, string>>();

  constructor(parts: ObjectionParts) {
    this.#parts = parts;
  }

  /** Without a reason: it is out of the way. */
  set(router: string, obstacle: Obstacle, reason: string | undefined): void {
    const reasons = this.#reasons.get(router) ?? new Map<Obstacle, string>();
    if (reasons.get(obstacle) === reason) return;
    if (reason === undefined) reasons.delete(obstacle);
    else reasons.set(obstacle, reason);
    if (reasons.size === 0) this.#reasons.delete(router);
    else this.#reasons.set(router, reasons);
    const { host, account, now, carryOut } = this.#parts;
    const all = reasons.size === 0 ? undefined : [...reasons.values()].join('; ');
    account.refuse(router, all);
    carryOut(host.refuse(router, all, now()));
  }

  /** The router is gone. */
  forget(router: string): void {
    this.#reasons.delete(router);
    this.#parts.account.refuse(router, undefined);
  }
}
