/** A monitor's ground in memory, for tests and the simulator: the MTU and the clock are what they are set to. */
import { ms } from '../base/units.ts';
import type { MemoryNetwork } from '../native/memory.ts';
import type { Native, Netns } from '../native/native.ts';
import { type ClockError, clockError } from '../wire/stamp-time.ts';
import type { MonitorGround } from './ground.ts';

export class MemoryGround implements MonitorGround {
  readonly native: Native;
  readonly netns: Netns;
  mtu: number | undefined = 1500;
  clockError: ClockError = clockError(false, ms(5000));

  /** @param native where a test stands between it and the network */
  constructor(network: MemoryNetwork, name: string, native: Native = network.native(name)) {
    this.native = native;
    this.netns = native.openNetns();
  }

  linkMtu(): number | undefined {
    return this.mtu;
  }

  clock(): ClockError {
    return this.clockError;
  }
}
