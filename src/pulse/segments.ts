/** The segments of a pulse: one per device and family that a router uses, shared by all routers there. */
import type { Binding, RouterDriver } from './router-driver.ts';
import type { Device, PulseGround } from './ground.ts';
import { Proof } from './proof.ts';
import { type Arrival, Segment } from './segment.ts';

interface Listeners {
  readonly readable: () => void;
  /** A neighbour was seen to use this host for a router's address. */
  readonly used: (router: string) => void;
}

/** A segment and whose routers are on it, by VRID. */
export interface SharedSegment {
  readonly routers: ReadonlyMap<number, RouterDriver>;
  drain(hear: (arrival: Arrival) => void): void;
  overruns(): number;
}

interface Shared extends SharedSegment {
  readonly routers: Map<number, RouterDriver>;
  readonly segment: Segment;
  readonly proof: Proof;
}

export class Segments {
  readonly #ground: PulseGround;
  readonly #listeners: Listeners;
  readonly #shared = new Map<string, Shared>();
  /** Of devices that are gone: to be closed. */
  readonly #dead: { close(): void }[] = [];

  constructor(ground: PulseGround, listeners: Listeners) {
    this.#ground = ground;
    this.#listeners = listeners;
  }

  all(): Iterable<SharedSegment> {
    return this.#shared.values();
  }

  /** Throws SystemError. */
  join(device: Device, family: 4 | 6, driver: RouterDriver): Pick<Binding, 'segment' | 'proof'> {
    const key = keyOf(device, family);
    const shared = this.#shared.get(key) ?? this.#open(device, family);
    this.#shared.set(key, shared);
    shared.routers.set(driver.read.plan.vrid, driver);
    return shared;
  }

  leave({ segment }: Pick<Binding, 'segment'>, driver: RouterDriver): void {
    for (const { segment: one, routers } of this.#shared.values()) {
      // Its VRID may be another's by now.
      if (one === segment && routers.get(driver.read.plan.vrid) === driver) routers.delete(driver.read.plan.vrid);
    }
  }

  /** Its device went: what is on it hears nothing any more, and one that comes back with its index needs others. */
  lost({ segment }: Pick<Binding, 'segment'>): void {
    for (const [key, shared] of this.#shared) {
      if (shared.segment !== segment) continue;
      this.#shared.delete(key);
      this.#dead.push(shared.proof, segment);
    }
  }

  /** Default routes may be others. */
  learn(): void {
    for (const { proof } of this.#shared.values()) proof.learn();
  }

  /** Closes one of those that are dead: some 10 ms, in which the kernel waits for its readers. */
  bury(): void {
    this.#dead.shift()?.close();
  }

  /** Some 10 ms for each. */
  close(): void {
    for (const { segment, proof } of this.#shared.values()) this.#dead.push(proof, segment);
    this.#shared.clear();
    for (const dead of this.#dead.splice(0)) dead.close();
  }

  #open(device: Device, family: 4 | 6): Shared {
    const segment = new Segment(this.#ground, device, family, this.#listeners.readable);
    try {
      const proof = new Proof(this.#ground, device, family, this.#listeners.used);
      return { segment, proof, routers: new Map(), drain: (hear) => segment.drain(hear), overruns: () => segment.overruns() };
    } catch (error) {
      segment.close();
      throw error;
    }
  }
}

const keyOf = ({ index }: Device, family: 4 | 6): string => `${index} ${family}`;
