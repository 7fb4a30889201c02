/** Neighbours: which MAC an IP address has (RTM_*NEIGH; linux/neighbour.h). */
import { constants } from 'node:os';
import type { IpAddress } from '../wire/ip-address.ts';
import { MacAddress } from '../wire/mac-address.ts';
import { AF_INET, AF_INET6, addressOf, familyOf } from './ip-value.ts';
import { KernelRefused, type Netlink } from './netlink.ts';
import { NLM_F_CREATE, NLM_F_REPLACE, concat, decodeAttributes, readNumber, u16, u32, u8 } from './netlink-message.ts';

const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NTF_USE = 0x01;
const NTF_PROXY = 0x08;
const NTF_ROUTER = 0x80;
const NUD_NONE = 0;
const NUD_PERMANENT = 0x80;

const states = {
  none: 0, incomplete: 0x01, reachable: 0x02, stale: 0x04, delay: 0x08, probe: 0x10, failed: 0x20, noarp: 0x40, permanent: 0x80,
} as const;
/** NUD_* as ip-neighbour(8) names them. */
export type NeighbourState = keyof typeof states;

export interface Neighbour {
  /** Index of the interface. */
  readonly device: number;
  readonly address: IpAddress;
  /** Undefined while it is asked for, and once nobody answered. What a `failed` one once had is not told. */
  readonly mac: MacAddress | undefined;
  readonly state: NeighbourState;
  /** It said of itself that it is a router (IPv6). */
  readonly router: boolean;
}

/** An address for which the host answers though it is not its own. */
export interface ProxyEntry {
  readonly device: number;
  readonly address: IpAddress;
}

export class Neighbours {
  readonly #netlink: Netlink;

  constructor(netlink: Netlink) {
    this.#netlink = netlink;
  }

  /** Those of one interface, or of all. Groups and what needs no asking (`noarp`) are among them. */
  list(device?: number): Neighbour[] {
    return this.#netlink.dump({ what: 'list neighbours', type: RTM_GETNEIGH, header: ndmsg(0, 0, NUD_NONE, 0) }).flatMap(({ body }) => {
      const found = decodeNeighbour(body);
      return found && (device === undefined || found.device === device) ? [found] : [];
    });
  }

  /** What the kernel knows now; it asks nobody. */
  mac(device: number, address: IpAddress): MacAddress | undefined {
    try {
      const { body } = this.#netlink.get({
        what: `find neighbour ${address} on interface ${device}`, type: RTM_GETNEIGH,
        header: ndmsg(familyOf(address), device, NUD_NONE, 0), attributes: [[NDA_DST, address.bytes()]],
      });
      return decodeNeighbour(body)?.mac;
    } catch (error) {
      if (error instanceof KernelRefused && error.errno === constants.errno.ENOENT) return undefined;
      throw error;
    }
  }

  /**
   * Has the kernel ask for the address, or confirm what it has (NTF_USE), and does not wait for the answer: `mac` has it later, and the
   * monitor tells when. IPv6 asks from the device's link-local address; without one nothing is sent (ndisc_send_ns of net/ipv6/ndisc.c).
   */
  resolve(device: number, address: IpAddress): void {
    this.#netlink.change({
      what: `resolve ${address} on interface ${device}`, type: RTM_NEWNEIGH, flags: NLM_F_CREATE,
      header: ndmsg(familyOf(address), device, NUD_NONE, NTF_USE), attributes: [[NDA_DST, address.bytes()]],
    });
  }

  /** Fixed until it is deleted, in place of what was there. */
  set(device: number, address: IpAddress, mac: MacAddress): void {
    this.#netlink.change({
      what: `set neighbour ${address} on interface ${device} to ${mac}`, type: RTM_NEWNEIGH, flags: NLM_F_CREATE | NLM_F_REPLACE,
      header: ndmsg(familyOf(address), device, NUD_PERMANENT, 0), attributes: [[NDA_DST, address.bytes()], [NDA_LLADDR, mac.bytes()]],
    });
  }

  /** Throws KernelRefused ENOENT where there is none. */
  delete(device: number, address: IpAddress): void {
    this.#delete(`delete neighbour ${address} of interface ${device}`, device, address, 0);
  }

  /**
   * Has the host answer ARP requests and neighbour solicitations for `address` on `device`, where it forwards (and, for IPv6, where
   * proxy_ndp is set). Again is fine.
   */
  addProxy(device: number, address: IpAddress): void {
    this.#netlink.change({
      what: `answer for ${address} on interface ${device}`, type: RTM_NEWNEIGH, flags: NLM_F_CREATE | NLM_F_REPLACE,
      header: ndmsg(familyOf(address), device, NUD_PERMANENT, NTF_PROXY), attributes: [[NDA_DST, address.bytes()]],
    });
  }

  /** Throws KernelRefused ENOENT where there is none. */
  deleteProxy(device: number, address: IpAddress): void {
    this.#delete(`answer no more for ${address} on interface ${device}`, device, address, NTF_PROXY);
  }

  proxies(device?: number): ProxyEntry[] {
    return this.#netlink.dump({ what: 'list proxy entries', type: RTM_GETNEIGH, header: ndmsg(0, 0, NUD_NONE, NTF_PROXY) })
      .flatMap(({ body }) => {
        const found = decodeNeighbour(body);
        return found && (device === undefined || found.device === device) ? [{ device: found.device, address: found.address }] : [];
      });
  }

  #delete(what: string, device: number, address: IpAddress, flags: number): void {
    this.#netlink.change({
      what, type: RTM_DELNEIGH, header: ndmsg(familyOf(address), device, NUD_NONE, flags), attributes: [[NDA_DST, address.bytes()]],
    });
  }
}

/** struct ndmsg: of IP neighbours, and of bridges' forwarding entries. */
export function ndmsg(family: number, device: number, state: number, flags: number): Uint8Array {
  return concat(u8(family), u8(0), u16(0), u32(device), u16(state), u8(flags), u8(0));
}

/** The body of RTM_NEWNEIGH or RTM_DELNEIGH; undefined for what is no IP neighbour: an entry of a bridge. */
export function decodeNeighbour(body: Uint8Array): Neighbour | undefined {
  const [family] = body;
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const attributes = decodeAttributes(body.subarray(12));
  const address = addressOf(attributes.get(NDA_DST));
  if (address === undefined) return undefined;
  const number = readNumber(body.subarray(8, 10));
  const state = stateNames.find(([, value]) => value === number)?.[0] ?? 'none';
  const mac = attributes.get(NDA_LLADDR);
  return {
    device: readNumber(body.subarray(4, 8)),
    address,
    mac: mac?.length === 6 && !unanswered.has(state) ? MacAddress.of(mac) : undefined,
    state,
    router: ((body[10] ?? 0) & NTF_ROUTER) !== 0,
  };
}

// Object.entries gives names as strings: these are the keys of a constant.
const stateNames = Object.entries(states) as [NeighbourState, number][];
const unanswered: ReadonlySet<NeighbourState> = new Set(['none', 'incomplete', 'failed']);
