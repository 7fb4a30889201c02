/** Bridge ports and the forwarding database (rtnetlink, family AF_BRIDGE; linux/if_bridge.h, linux/neighbour.h). */
import type { MacAddress } from '../wire/mac-address.ts';
import { ifinfomsg } from './link.ts';
import { ndmsg } from './neighbour.ts';
import { type Netlink } from './netlink.ts';
import { NLM_F_CREATE, NLM_F_REPLACE, decodeAttributes, readNumber, u8 } from './netlink-message.ts';

const RTM_SETLINK = 19;
const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;
const AF_BRIDGE = 7;
const IFLA_PROTINFO = 12;
const IFLA_BRPORT_STATE = 1;
const IFLA_BRPORT_ISOLATED = 33;
const NDA_LLADDR = 2;
const NTF_SELF = 0x02;
const NTF_MASTER = 0x04;
const NTF_STICKY = 0x40;
const NUD_REACHABLE = 0x02;
const NUD_PERMANENT = 0x80;

/** `disabled` (BR_STATE_DISABLED) lets nothing in or out: the port is mute. */
export type PortState = 'disabled' | 'forwarding';
const portStates: Readonly<Record<PortState, number>> = { disabled: 0, forwarding: 3 };

export interface ForwardingEntry {
  readonly mac: Uint8Array;
  /** Interface index of the port behind which the bridge believes `mac` to be. */
  readonly port: number;
}

export class Bridges {
  readonly #netlink: Netlink;

  constructor(netlink: Netlink) {
    this.#netlink = netlink;
  }

  setPortState(port: number, state: PortState): void {
    this.#netlink.change({
      what: `set bridge port ${port} ${state}`, type: RTM_SETLINK, header: ifinfomsg({ family: AF_BRIDGE, index: port }),
      attributes: [[IFLA_PROTINFO, [[IFLA_BRPORT_STATE, u8(portStates[state])]]]],
    });
  }

  /** The port and other isolated ones pass no frame to each other, only to and from the rest: the bridge itself among it. */
  isolate(port: number): void {
    this.#netlink.change({
      what: `isolate bridge port ${port}`, type: RTM_SETLINK, header: ifinfomsg({ family: AF_BRIDGE, index: port }),
      attributes: [[IFLA_PROTINFO, [[IFLA_BRPORT_ISOLATED, u8(1)]]]],
    });
  }

  /**
   * Teaches the bridge that `mac` is behind `port`, as if it had heard it there: the entry ages and moves like a learned one.
   * The port must be forwarding (the kernel answers EPERM otherwise).
   */
  learn(port: number, mac: MacAddress): void {
    this.#netlink.change({
      what: `put ${mac} behind bridge port ${port}`, type: RTM_NEWNEIGH, flags: NLM_F_CREATE | NLM_F_REPLACE,
      header: ndmsg(AF_BRIDGE, port, NUD_REACHABLE, NTF_MASTER), attributes: [[NDA_LLADDR, mac.bytes()]],
    });
  }

  /** As `learn`, and whatever the bridge hears from other ports does not change it (NTF_STICKY), until `learn`. */
  hold(port: number, mac: MacAddress): void {
    this.#netlink.change({
      what: `hold ${mac} behind bridge port ${port}`, type: RTM_NEWNEIGH, flags: NLM_F_CREATE | NLM_F_REPLACE,
      header: ndmsg(AF_BRIDGE, port, NUD_REACHABLE, NTF_MASTER | NTF_STICKY), attributes: [[NDA_LLADDR, mac.bytes()]],
    });
  }

  /**
   * Makes `mac` one of the bridge's own, until `disown` or the port's end: frames to it from any port go up to the bridge and no
   * further, for it is no device's MAC, and the host's stack drops them as another host's (PACKET_OTHERHOST). Of a mute port too.
   */
  own(port: number, mac: MacAddress): void {
    this.#netlink.change({
      what: `make ${mac} a local address of the bridge of port ${port}`, type: RTM_NEWNEIGH, flags: NLM_F_CREATE | NLM_F_REPLACE,
      header: ndmsg(AF_BRIDGE, port, NUD_PERMANENT, NTF_MASTER), attributes: [[NDA_LLADDR, mac.bytes()]],
    });
  }

  /** Throws KernelRefused when it is not there, or the port is gone. */
  disown(port: number, mac: MacAddress): void {
    this.#netlink.change({
      what: `unmake ${mac} a local address of the bridge of port ${port}`, type: RTM_DELNEIGH,
      header: ndmsg(AF_BRIDGE, port, NUD_PERMANENT, NTF_MASTER), attributes: [[NDA_LLADDR, mac.bytes()]],
    });
  }

  /** The forwarding database of all bridges of this namespace. */
  forwarding(): ForwardingEntry[] {
    return this.#netlink.dump({ what: 'list forwarding entries', type: RTM_GETNEIGH, header: ndmsg(AF_BRIDGE, 0, 0, 0) })
      .filter((m) => (readNumber(m.body.subarray(10, 11)) & NTF_SELF) === 0)
      .map((m) => ({
        mac: decodeAttributes(m.body.subarray(12)).get(NDA_LLADDR)?.slice() ?? new Uint8Array(),
        port: readNumber(m.body.subarray(4, 8)),
      }));
  }
}
