/** What the VRRP machines ask for, carried out on the ground: in their order, a sync group's together, and what is refused is told. */
import { GodwitError, formatError, unreachable } from '../base/error.ts';
import type { Milliseconds } from '../base/units.ts';
import type { HostEffect } from '../protocol/vrrp-host.ts';
import type { Account } from './account.ts';
import type { Objections } from './objections.ts';
import type { RouterBinder } from './router-binder.ts';
import type { RouterDriver } from './router-driver.ts';
import { SendTroubles } from './send-troubles.ts';

export interface RouterEffectsParts {
  readonly drivers: Map<string, RouterDriver>;
  readonly binder: RouterBinder;
  readonly objections: Objections;
  readonly account: Account;
  readonly now: () => Milliseconds;
  /** The latest that this process was in the last minute. */
  readonly worst: (now: Milliseconds) => number;
  /** To be done after the turn. */
  readonly later: (chore: () => unknown) => void;
  /** To be done off this thread. */
  readonly slowly: (act: () => Promise<void>) => void;
}

const isHeard = ({ do: what }: HostEffect): boolean => what === 'send' || what === 'announce' || what === 'verify';

export class RouterEffects {
  readonly #parts: RouterEffectsParts;
  readonly #troubles: SendTroubles<RouterDriver>;

  constructor(parts: RouterEffectsParts) {
    this.#parts = parts;
    this.#troubles = new SendTroubles((driver, errno) => parts.later(() => parts.binder.cannotSend(driver, errno)));
  }

  /** When `retry` is wanted. */
  get due(): number {
    return this.#troubles.due;
  }

  /** Adverts for which a queue was full. */
  retry(now: Milliseconds): void {
    this.#troubles.retry(now);
  }

  carryOut(effects: readonly HostEffect[]): void {
    // A sync group takes all before any of it is heard: where one is refused, none is.
    const together = new Set(effects.flatMap(({ router, do: what }) => (what === 'take' && this.#groupOf(router) !== undefined ? [router] : [])));
    const refused = new Set<string>();
    const [first, later]: [HostEffect[], HostEffect[]] = [[], []];
    for (const effect of effects) (together.has(effect.router) && isHeard(effect) ? later : first).push(effect);
    for (const effect of [...first, ...later]) {
      const driver = this.#parts.drivers.get(effect.router);
      const group = this.#groupOf(effect.router);
      if (!driver) continue;
      if (group !== undefined && refused.has(group) && (effect.do === 'take' || isHeard(effect))) driver.hush();
      else if (!this.#carryOutOne(driver, effect) && group !== undefined) refused.add(group);
    }
  }

  #groupOf(router: string): string | undefined {
    return this.#parts.drivers.get(router)?.read.plan.group;
  }

  /** False where the ground refused it. */
  #carryOutOne(driver: RouterDriver, effect: HostEffect): boolean {
    switch (effect.do) {
      case 'send':
        return this.attempt(driver, () => {
          const { priority, interval, mac } = effect;
          this.#troubles.send(driver, () => driver.send(priority, interval, mac), this.#parts.now());
        });
      case 'take':
      case 'readdress':
        return this.attempt(driver, () => {
          driver.take();
          this.#parts.binder.took(driver);
        });
      case 'announce': return this.attempt(driver, () => driver.announce());
      case 'verify': return this.attempt(driver, () => driver.verify());
      default:
        this.#carryOutRest(driver, effect);
        return true;
    }
  }

  #carryOutRest(driver: RouterDriver, effect: Exclude<HostEffect, { do: 'send' | 'take' | 'readdress' | 'announce' | 'verify' }>): void {
    const { name } = driver;
    switch (effect.do) {
      case 'release': {
        this.#troubles.forget(driver);
        this.attempt(driver, () => driver.release());
        const seat = driver.binding?.seat;
        if (seat?.unsettled === true) this.#parts.slowly(() => seat.settle());
        return;
      }
      case 'transition': return this.#parts.account.record(driver, effect, this.#parts.worst(this.#parts.now()));
      case 'duel':
        this.#parts.account.changed();
        return this.#parts.account.line(`${name}: two Actives met, the other is ${effect.with}: ${effect.won ? 'this host stays' : 'this host steps back'}`);
      case 'healed':
        this.#parts.account.changed();
        return this.#parts.account.line(`${name}: healed: a neighbour uses this host, after ${effect.after.toFixed(1)} ms`);
      case 'note':
        return this.#parts.account.line(`${name}: ${effect.rule}`);
      case 'gone':
        this.#parts.binder.unbind(driver);
        this.#parts.drivers.delete(name);
        this.#parts.objections.forget(name);
        this.#parts.account.changed();
        return;
      default: unreachable(effect);
    }
  }

  /** What the ground refuses is the router's fault, never the pulse's end. */
  attempt(driver: RouterDriver, act: () => void): boolean {
    try {
      act();
      return true;
    } catch (error) {
      this.fail(driver, error);
      return false;
    }
  }

  fail(driver: RouterDriver, error: unknown): void {
    if (!(error instanceof GodwitError)) throw error;
    // Not from within the effects of the machine that is told.
    this.#parts.later(() => this.#parts.binder.refused(driver, 'seat', formatError(error)));
  }
}
