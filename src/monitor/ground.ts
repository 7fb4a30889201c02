/** What the monitor's probing stands on: sockets and time (native/), and the two facts of a host that those do not know. */
import type { Native, Netns } from '../native/native.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { ClockError } from '../wire/stamp-time.ts';

export interface MonitorGround {
  readonly native: Native;
  readonly netns: Netns;
  /** Bytes of the largest IP packet that the link towards `to` takes; undefined: there is no way to it. */
  linkMtu(to: IpAddress): number | undefined;
  /** How far this host's clock may be off. */
  clock(): ClockError;
}
