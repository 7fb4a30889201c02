/** The real host under the monitor's probing. */
import { ms, seconds } from '../base/units.ts';
import type { Host } from '../host/host.ts';
import { KernelRefused } from '../host/netlink.ts';
import type { Native, Netns } from '../native/native.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { type ClockError, clockError } from '../wire/stamp-time.ts';
import type { MonitorGround } from './ground.ts';

/** Between two looks. */
const LOOK = seconds(1);
/** MAXFREQ of the kernel's NTP code: by so much a clock drifts at most, and maxerror grows. */
const DRIFT = 500e-6;

export class KernelGround implements MonitorGround {
  readonly native: Native;
  readonly netns: Netns;
  readonly #host: Host;
  #clock: ClockError | undefined;
  #lookedAt = -Infinity;
  /** By index. */
  #mtus: ReadonlyMap<number, number> = new Map();
  #listedAt = -Infinity;

  /** `host` stays the caller's. */
  constructor(host: Host) {
    this.#host = host;
    this.native = host.native;
    this.netns = host.netns;
  }

  linkMtu(to: IpAddress): number | undefined {
    try {
      const { device } = this.#host.addresses.route(to);
      return this.#links().get(device ?? 0);
    } catch (error) {
      if (error instanceof KernelRefused) return undefined;
      throw error;
    }
  }

  /** Listed once for all paths that are looked at together. */
  #links(): ReadonlyMap<number, number> {
    const now = this.native.monotonic();
    if (now - this.#listedAt < LOOK) return this.#mtus;
    this.#mtus = new Map(this.#host.links.list().map(({ index, mtu }) => [index, mtu]));
    this.#listedAt = now;
    return this.#mtus;
  }

  clock(): ClockError {
    const now = this.native.monotonic();
    const known = this.#clock;
    if (known && now - this.#lookedAt < LOOK) return known;
    this.#lookedAt = now;
    const { synchronized, error } = this.native.clockError();
    const found = clockError(synchronized, ms(error + LOOK * DRIFT));
    // The same value for the same error: probes are made anew where it is another one (stamp-sender.ts).
    if (known?.synchronized === synchronized && known.scale === found.scale && known.multiplier === found.multiplier) return known;
    this.#clock = found;
    return found;
  }
}
