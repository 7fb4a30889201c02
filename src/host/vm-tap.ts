/**
 * The tap of one NIC: made once with everything it will ever need, because a live tap gets filters only: clsact and a new queue length
 * each suspend the device, and frames are lost then.
 */
import { MacAddress } from '../wire/mac-address.ts';
import type { Native, Netns, Tap } from '../native/native.ts';
import type { Bridges } from './bridge.ts';
import { disableIpv6 } from './ipv6.ts';
import type { Links } from './link.ts';
import type { TrafficControl } from './traffic-control.ts';

/** Frames a paused guest's tap can hold: 10 s at 2000 frames/s. */
export const HOLD_FRAMES = 20_000;

export interface VmTap {
  readonly tap: Tap;
  readonly index: number;
  readonly bridge: number;
}

export interface VmTapOptions {
  readonly name: string;
  /** Name of the bridge to join. */
  readonly bridge: string;
  /** The guest's MAC; the host's side gets the same with the first byte fe, so that it never becomes the bridge's own. */
  readonly mac: MacAddress;
  readonly mtu: number;
  /** No frame in or out until the port is opened: a destination before the commit. */
  readonly mute: boolean;
  /** Nothing passes between it and other isolated ports of the bridge: only to and from the host. */
  readonly isolated?: boolean;
}

interface Parts {
  readonly native: Native;
  readonly netns: Netns;
  readonly links: Links;
  readonly bridges: Bridges;
  readonly traffic: TrafficControl;
}

/** Throws KernelRefused or SystemError; leaves nothing behind then. */
export function createVmTap({ native, netns, links, bridges, traffic }: Parts, options: VmTapOptions): VmTap {
  const bridge = links.get(options.bridge).index;
  const tap = native.createTap(netns, { name: options.name, vnetHeader: true });
  try {
    const { index } = links.get(options.name);
    links.set(index, {
      mtu: options.mtu, txQueueLength: HOLD_FRAMES, address: MacAddress.of(Uint8Array.of(0xfe, ...options.mac.bytes().subarray(1))),
    });
    disableIpv6(native, netns, options.name);
    traffic.attach(index);
    links.set(index, { master: bridge });
    if (options.isolated) bridges.isolate(index);
    links.set(index, { up: true });
    if (options.mute) {
      bridges.setPortState(index, 'disabled');
      // The port was open for a moment: what the bridge flooded into it then is not the guest's.
      while (tap.read()) continue;
    }
    return { tap, index, bridge };
  } catch (error) {
    tap.close();
    throw error;
  }
}
