/** What changes in a host's network, told by the kernel as it happens: rtnetlink's multicast groups (rtnetlink(7)). */
import type { Native, NetlinkSocket, Netns } from '../native/native.ts';
import { SystemError } from '../native/native.ts';
import { type HostAddress, decodeAddress } from './address.ts';
import { decodeLink } from './link.ts';
import { type Neighbour, decodeNeighbour } from './neighbour.ts';
import { type NetlinkMessage, NetlinkDecodeError, decodeMessages } from './netlink-message.ts';
import { type RouteEntry, decodeRoute } from './route.ts';

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;
/** RTMGRP_* of linux/rtnetlink.h: link, neigh, IPv4 address and route, IPv6 address and route. */
const GROUPS = 0x1 | 0x4 | 0x10 | 0x40 | 0x100 | 0x400;
/** Some thousands of changes at once. */
const RECEIVE_BUFFER = 1 << 20;

/** `removed`: it is gone; otherwise it is new or changed, and this is what it is now. */
export type NetworkChange =
  | {
    readonly kind: 'link'; readonly removed: boolean;
    readonly index: number; readonly name: string; readonly up: boolean; readonly carrier: boolean;
  }
  /** Also told each time a lifetime is renewed. */
  | { readonly kind: 'address'; readonly removed: boolean; readonly address: HostAddress }
  /** Of any table; `table` 254 is main. When a link goes down its routes go without a word: look at the link. */
  | { readonly kind: 'route'; readonly removed: boolean; readonly table: number; readonly route: RouteEntry }
  | { readonly kind: 'neighbour'; readonly removed: boolean; readonly neighbour: Neighbour }
  /** Changes were lost: look anew at everything. Comes after all that was heard. */
  | { readonly kind: 'overrun' };

export class Monitor {
  readonly #socket: NetlinkSocket;
  readonly #listener: (change: NetworkChange) => void;

  /** Hears from now on. `listener` is called from the event loop, in the kernel's order; what it throws is an uncaught exception. */
  constructor({ native, netns }: { readonly native: Native; readonly netns: Netns }, listener: (change: NetworkChange) => void) {
    this.#listener = listener;
    this.#socket = native.netlinkSocket(netns, { protocol: 0, groups: GROUPS, receiveBuffer: RECEIVE_BUFFER });
    this.#socket.onReadable(() => this.drain());
  }

  /** Tells at once what has been heard and not been told yet: before a decision that hangs on it. */
  drain(): void {
    const { changes, lost } = this.#receive();
    for (const change of changes) this.#listener(change);
    if (lost) this.#listener({ kind: 'overrun' });
  }

  /** Idempotent; also from inside the listener, which hears the rest of what came with it. */
  close(): void {
    this.#socket.close();
  }

  #receive(): { readonly changes: NetworkChange[]; readonly lost: boolean } {
    const changes: NetworkChange[] = [];
    let lost = false;
    for (;;) {
      try {
        const datagram = this.#socket.receive();
        if (!datagram) return { changes, lost };
        for (const message of decodeMessages(datagram)) {
          const change = decodeChange(message);
          if (change) changes.push(change);
        }
      } catch (error) {
        // What cannot be read is as good as lost.
        if (!(error instanceof NetlinkDecodeError) && !(error instanceof SystemError && error.errnoName === 'ENOBUFS')) throw error;
        lost = true;
      }
    }
  }
}

/** Undefined for what is told to the same groups and is none of these: bridge ports and their forwarding entries. */
function decodeChange({ type, body }: NetlinkMessage): NetworkChange | undefined {
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      // A bridge tells of its ports in messages of the same type; one leaving it is no link that ends.
      if (body[0] !== 0) return undefined;
      const { index, name, up, carrier } = decodeLink(body);
      return { kind: 'link', removed: type === RTM_DELLINK, index, name, up, carrier };
    }
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      const address = decodeAddress(body);
      return address && { kind: 'address', removed: type === RTM_DELADDR, address };
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      const route = decodeRoute(body);
      return route && !route.cloned && route.unicast
        ? { kind: 'route', removed: type === RTM_DELROUTE, table: route.table, route: route.entry } : undefined;
    }
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH: {
      const neighbour = decodeNeighbour(body);
      return neighbour && { kind: 'neighbour', removed: type === RTM_DELNEIGH, neighbour };
    }
    default: return undefined;
  }
}
