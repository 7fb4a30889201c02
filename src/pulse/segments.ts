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

  leave(device: Device, family: 4 | 6, driver: RouterDriver): void {
    const routers = this.#shared.get(keyOf(device, family))?.routers;
    // Its VRID may be another's by now.
    if (routers?.get(driver.read.plan.vrid) === driver) routers.delete(driver.read.plan.vrid);
  }

  /** Some 10 ms for each: the kernel waits for its readers. */
  close(): void {
    for (const { segment, proof } of this.#shared.values()) {
      proof.close();
      segment.close();
    }
    this.#shared.clear();
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
