/** What a pulse tells of itself and of its routers: who it is, how they are, what they did, and what it could not do. */
import { type Milliseconds, ms } from '../base/units.ts';
import type { PulseTiming, RouterStatus, RouterTransition } from '../model/virtual-router.ts';
import type { Native } from '../native/native.ts';
import type { HostEffect, VrrpHost } from '../protocol/vrrp-host.ts';
import { Epochs } from './epochs.ts';
import type { PulseMessage } from './pulse-protocol.ts';
import type { RouterDriver } from './router-driver.ts';
import { type ImpossiblePlan, impossibleStatus, routerStatus } from './router-status.ts';
import type { Untold } from './untold.ts';

/** Between two statuses. */
const GAP = ms(50);

export interface AccountParts {
  readonly native: Native;
  readonly hello: Omit<Extract<PulseMessage, { kind: 'hello' }>, 'kind'>;
  /** To all who listen. */
  readonly tell: (message: PulseMessage) => void;
  /** One line for its log. */
  readonly log: (line: string) => void;
  readonly host: VrrpHost;
  readonly drivers: ReadonlyMap<string, RouterDriver>;
  readonly timing: () => PulseTiming;
  /** Shared with BFD's sessions: one count. */
  readonly untold: Untold;
}

export class Account {
  readonly #parts: AccountParts;
  /** Plans that could not be read, and why. */
  readonly #impossible = new Map<string, { readonly plan: ImpossiblePlan; readonly reason: string; readonly since: number }>();
  /** When a router came into its state. */
  readonly #since: Epochs;
  /** Of routers whose plan cannot be carried out, why. */
  readonly #refused = new Map<string, string>();
  #last = ms(0);
  #changed = false;

  constructor(parts: AccountParts) {
    this.#parts = parts;
    this.#since = new Epochs(parts.native);
  }

  /** What a new listener is told first. */
  greeting(): PulseMessage[] {
    return [
      { kind: 'hello', ...this.#parts.hello },
      this.#status(),
      ...[...this.#impossible].map(([router, { reason }]) => ({ kind: 'refused', router, reason }) as const),
      ...[...this.#refused].map(([router, reason]) => ({ kind: 'refused', router, reason }) as const),
      ...this.#parts.untold.all().map((transition): PulseMessage =>
        ('router' in transition ? { kind: 'transition', transition } : { kind: 'session-transition', transition })),
    ];
  }

  /** When a status is due. */
  get due(): number {
    return this.#changed ? this.#last + GAP : Infinity;
  }

  /** There is something new. */
  changed(): void {
    this.#changed = true;
  }

  tellStatus(now: Milliseconds): void {
    this.#changed = false;
    this.#last = now;
    this.#parts.tell(this.#status());
  }

  seen(sequence: number): void {
    this.#parts.untold.seen(sequence);
  }

  line(text: string): void {
    this.#parts.log(text);
  }

  record(driver: RouterDriver, effect: Extract<HostEffect, { do: 'transition' }>, worst: number): void {
    const { from, to, rule, evidence: { priority, adverts, late, link, down } } = effect;
    const { native, hello: { pulse }, tell, log, untold } = this.#parts;
    driver.transitions++;
    const transition: RouterTransition = untold.add({
      pulse, router: driver.name, at: native.now(), from, to, rule, priority,
      adverts: adverts.map((advert) => ({ ...advert, from: advert.from.toString() })), lateness: { now: late, worst }, link, down,
    });
    this.#changed = true;
    tell({ kind: 'transition', transition });
    log(`${driver.name}: ${from} to ${to}: ${rule}`);
  }

  /** A new list of plans: what was said of earlier ones that could not be read is void. */
  begin(): void {
    this.#impossible.clear();
  }

  impossible(plan: ImpossiblePlan, reason: string): void {
    const { native, tell, log } = this.#parts;
    this.#impossible.set(plan.name, { plan, reason, since: Math.round(native.now()) });
    log(`${plan.name}: refused: ${reason}`);
    tell({ kind: 'refused', router: plan.name, reason });
  }

  refusal(router: string): string | undefined {
    return this.#refused.get(router);
  }

  /** Without a reason: it is refused no longer. */
  refuse(router: string, reason: string | undefined): void {
    if (this.#refused.get(router) === reason) return;
    this.#changed = true;
    if (reason === undefined) {
      this.#refused.delete(router);
      return;
    }
    this.#refused.set(router, reason);
    this.#parts.log(`${router}: refused: ${reason}`);
    this.#parts.tell({ kind: 'refused', router, reason });
  }

  #status(): PulseMessage {
    const { drivers, host } = this.#parts;
    const timing = this.#parts.timing();
    const routers: Record<string, RouterStatus> = {};
    for (const [name, driver] of drivers) {
      const machine = host.status(name);
      if (machine) routers[name] = routerStatus(driver, machine, this.#since.of(name, machine.since), timing);
    }
    for (const [name, { plan, reason, since }] of this.#impossible) routers[name] = impossibleStatus(plan, reason, since, timing);
    this.#since.keep((name) => drivers.has(name));
    return { kind: 'status', routers };
  }
}
