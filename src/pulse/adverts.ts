/** A router's own adverts as frames, made once and sent again and again as long as they say the same. */
import type { Milliseconds } from '../base/units.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { MacAddress } from '../wire/mac-address.ts';
import type { VrrpDialect } from '../wire/vrrp.ts';
import { vrrpFrame } from '../wire/vrrp-frame.ts';

export interface AdvertFacts {
  readonly vrid: number;
  readonly version: 2 | 3;
  readonly checksum: VrrpDialect;
  readonly addresses: readonly IpAddress[];
  readonly source: IpAddress;
  /** What frames come from, where `frames` is not told otherwise. */
  readonly sourceMac: MacAddress;
  /** Empty: multicast. */
  readonly peers: readonly IpAddress[];
}

/** The MAC of the next hop to a peer; undefined while it is not known. */
export type NextHop = (peer: IpAddress) => MacAddress | undefined;

export class Adverts {
  readonly #facts: AdvertFacts;
  readonly #nextHop: NextHop;
  #made: {
    readonly priority: number; readonly interval: Milliseconds; readonly mac: MacAddress;
    readonly frames: readonly Uint8Array[]; readonly whole: boolean;
  } | undefined;

  constructor(facts: AdvertFacts, nextHop: NextHop) {
    this.#facts = facts;
    this.#nextHop = nextHop;
  }

  /** One, or one for each peer whose next hop is known. Priority 0 leaves. */
  frames(priority: number, interval: Milliseconds, mac = this.#facts.sourceMac): readonly Uint8Array[] {
    const made = this.#made;
    if (made?.whole === true && made.priority === priority && made.interval === interval && made.mac.equals(mac)) return made.frames;
    const { vrid, version, checksum, addresses, source, peers } = this.#facts;
    const message = { version, vrid, priority, interval, addresses };
    const frame = (to?: { readonly address: IpAddress; readonly mac: MacAddress }): Uint8Array =>
      vrrpFrame({ message, checksum, sourceMac: mac, source, ...(to && { to }) });
    const frames = peers.length === 0 ? [frame()] : peers.flatMap((address) => {
      const hop = this.#nextHop(address);
      return hop ? [frame({ address, mac: hop })] : [];
    });
    this.#made = { priority, interval, mac, frames, whole: frames.length === Math.max(1, peers.length) };
    return frames;
  }

  /** A next hop may be another one now. */
  forget(): void {
    this.#made = undefined;
  }
}
