/** The real host under the monitor's probing. */
import { statSync } from 'node:fs';
import { ms, seconds } from '../base/units.ts';
import type { Host } from '../host/host.ts';
import { KernelRefused } from '../host/netlink.ts';
import type { Native, Netns } from '../native/native.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { type ClockError, clockError } from '../wire/stamp-time.ts';
import type { MonitorGround } from './ground.ts';

/**
 * systemd-timesyncd touches it with each answer of its server (systemd-timesyncd.service(8)). Other daemons tell nobody by a file whether
 * they are synchronized, and so the clock is not, as far as is known here: no one-way delay is claimed then.
 */
const SYNCHRONIZED = '/run/systemd/timesync/synchronized';
/** It asks every 2048 s at most (PollIntervalMaxSec). */
const STALE = seconds(2 * 2048);
/** It takes no server that may be further off (RootDistanceMaxSec). */
const ERROR = seconds(5);
/** Between two looks. */
const LOOK = seconds(10);

export class KernelGround implements MonitorGround {
  readonly native: Native;
  readonly netns: Netns;
  readonly #host: Host;
  #clock = clockError(false, ERROR);
  #lookedAt = -Infinity;

  /** `host` stays the caller's. */
  constructor(host: Host) {
    this.#host = host;
    this.native = host.native;
    this.netns = host.netns;
  }

  linkMtu(to: IpAddress): number | undefined {
    try {
      const { device } = this.#host.addresses.route(to);
      return this.#host.links.list().find(({ index }) => index === device)?.mtu;
    } catch (error) {
      if (error instanceof KernelRefused) return undefined;
      throw error;
    }
  }

  clock(): ClockError {
    const now = this.native.monotonic();
    if (now - this.#lookedAt < LOOK) return this.#clock;
    this.#lookedAt = now;
    const touched = statSync(SYNCHRONIZED, { throwIfNoEntry: false })?.mtimeMs;
    this.#clock = clockError(touched !== undefined && this.native.now() - touched < STALE, ms(ERROR));
    return this.#clock;
  }
}
