/** Network interfaces: make, change, look at, delete (rtnetlink(7), RTM_*LINK). */
import { constants } from 'node:os';
import type { MacAddress } from '../wire/mac-address.ts';
import type { Netns } from '../native/native.ts';
import { KernelRefused, type Netlink, type Request } from './netlink.ts';
import {
  type Attribute, NLM_F_CREATE, NLM_F_EXCL, concat, decodeAttributes, encodeAttributes, readNumber, readText, text, u16, u32, u8,
} from './netlink-message.ts';

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const IFF_UP = 1;
const IFLA = {
  address: 1, ifname: 3, mtu: 4, link: 5, master: 10, txqlen: 13, linkinfo: 18, alias: 20, stats64: 23, afSpec: 26, group: 27, netNsFd: 28,
  carrier: 33, gsoMaxSegs: 40, gsoMaxSize: 41,
} as const;
const INFO_KIND = 1;
const INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const AF_INET6 = 10;
const INET6_ADDR_GEN_MODE = 8;

export interface Link {
  readonly index: number;
  readonly name: string;
  /** IFLA_INFO_KIND: `bridge`, `vxlan`, `veth`, `tun`; empty for hardware. */
  readonly kind: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly carrier: boolean;
  /** Index of the bridge this is a port of, or 0. */
  readonly master: number;
  /** Index of the device that carries this one's frames: a macvlan's or VLAN's; that of a veth is in its other end's namespace. 0: none. */
  readonly parent: number;
  readonly address: Uint8Array;
  /** What somebody noted on it (ip-link(8), alias); empty without. */
  readonly alias: string;
  readonly counters: LinkCounters;
}

/** From struct rtnl_link_stats64 (linux/if_link.h). */
export interface LinkCounters {
  readonly rxPackets: number;
  readonly txPackets: number;
  readonly rxErrors: number;
  readonly txErrors: number;
  readonly rxDropped: number;
  readonly txDropped: number;
}

export interface LinkChange {
  readonly up?: boolean;
  /** Index of a bridge, 0 to leave it. */
  readonly master?: number;
  readonly mtu?: number;
  /** Frames. On a live tap a change suspends the device for a moment and loses frames: set it when it is made. */
  readonly txQueueLength?: number;
  readonly address?: MacAddress;
  readonly alias?: string;
  /** No IPv6 link-local address, hence no DAD. A host that forwards IPv6 speaks MLD on the device all the same: see ipv6.ts. */
  readonly noIpv6Address?: boolean;
  /** Frames larger than this (bytes) are segmented in software before they enter the device. */
  readonly gsoMaxSize?: number;
}

export interface LinkMaking extends Omit<LinkChange, 'up' | 'noIpv6Address'> {
  /** Index of the device that is to carry its frames. */
  readonly parent?: number;
}

/** struct ifinfomsg. */
export function ifinfomsg(options: { family?: number; index?: number; flags?: number; change?: number } = {}): Uint8Array {
  return concat(u8(options.family ?? 0), u8(0), u16(0), u32(options.index ?? 0), u32(options.flags ?? 0), u32(options.change ?? 0));
}

function changeAttributes(change: LinkChange): Attribute[] {
  const attributes: Attribute[] = [];
  if (change.master !== undefined) attributes.push([IFLA.master, u32(change.master)]);
  if (change.mtu !== undefined) attributes.push([IFLA.mtu, u32(change.mtu)]);
  if (change.txQueueLength !== undefined) attributes.push([IFLA.txqlen, u32(change.txQueueLength)]);
  if (change.address !== undefined) attributes.push([IFLA.address, change.address.bytes()]);
  if (change.alias !== undefined) attributes.push([IFLA.alias, text(change.alias)]);
  if (change.gsoMaxSize !== undefined) attributes.push([IFLA.gsoMaxSize, u32(change.gsoMaxSize)], [IFLA.gsoMaxSegs, u32(1)]);
  if (change.noIpv6Address) attributes.push([IFLA.afSpec, [[AF_INET6, [[INET6_ADDR_GEN_MODE, u8(1)]]]]]);
  return attributes;
}

export class Links {
  readonly #netlink: Netlink;

  constructor(netlink: Netlink) {
    this.#netlink = netlink;
  }

  /** Throws KernelRefused ENODEV where there is none. */
  get(name: string): Link {
    return decodeLink(this.#netlink.get({
      what: `find interface ${name}`, type: RTM_GETLINK, header: ifinfomsg(), attributes: [[IFLA.ifname, text(name)]],
    }).body);
  }

  /** As `get`; undefined where there is none. */
  find(name: string): Link | undefined {
    try {
      return this.get(name);
    } catch (error) {
      if (error instanceof KernelRefused && error.errno === constants.errno.ENODEV) return undefined;
      throw error;
    }
  }

  list(): Link[] {
    return this.#netlink.dump({ what: 'list interfaces', type: RTM_GETLINK, header: ifinfomsg() }).map((m) => decodeLink(m.body));
  }

  set(index: number, change: LinkChange): void {
    if (change.up && change.noIpv6Address) {
      // The kernel raises the flag first and reads the rest after: the address would be there already.
      this.set(index, { noIpv6Address: true });
    }
    const up = change.up === undefined ? {} : { flags: change.up ? IFF_UP : 0, change: IFF_UP };
    this.#netlink.change({
      what: `change interface ${index}`, type: RTM_NEWLINK, header: ifinfomsg({ index, ...up }), attributes: changeAttributes(change),
    });
  }

  /** Makes an interface of a kind (`bridge`, `vxlan`, …) with the kind's own attributes; it is down. Throws KernelRefused EEXIST. */
  create(name: string, kind: string, data: readonly Attribute[], { parent, ...change }: LinkMaking = {}): Link {
    this.#netlink.change({
      what: `make ${kind} ${name}`, type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, header: ifinfomsg(),
      attributes: [
        [IFLA.ifname, text(name)],
        ...(parent === undefined ? [] : [[IFLA.link, u32(parent)] as const]),
        [IFLA.linkinfo, [[INFO_KIND, text(kind)], [INFO_DATA, data]]],
        ...changeAttributes(change),
      ],
    });
    return this.get(name);
  }

  /** A cable between two namespaces; both ends down. */
  createVeth(near: { name: string; netns: Netns; mtu: number }, far: { name: string; netns: Netns; mtu: number }): void {
    const end = (e: typeof near): Attribute[] => [[IFLA.ifname, text(e.name)], [IFLA.netNsFd, u32(e.netns.fd)], [IFLA.mtu, u32(e.mtu)]];
    const peer = concat(ifinfomsg(), encodeAttributes(end(far)));
    this.#netlink.change({
      what: `make veth ${near.name} - ${far.name}`, type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, header: ifinfomsg(),
      attributes: [...end(near), [IFLA.linkinfo, [[INFO_KIND, text('veth')], [INFO_DATA, [[VETH_INFO_PEER, peer]]]]]],
    });
  }

  delete(index: number): void {
    this.#netlink.change(deletion(index));
  }

  /** One of the requests below. */
  request(request: Request): void {
    this.#netlink.change(request);
  }
}

/** What `Links.delete` asks of the kernel, for who asks by other ways. */
export const deletion = (index: number): Request => ({ what: `delete interface ${index}`, type: RTM_DELLINK, header: ifinfomsg({ index }) });

/** What `Links.set` with `up` asks. */
export const raising = (index: number): Request =>
  ({ what: `raise interface ${index}`, type: RTM_NEWLINK, header: ifinfomsg({ index, flags: IFF_UP, change: IFF_UP }) });
export const takingDown = (index: number): Request =>
  ({ what: `take interface ${index} down`, type: RTM_NEWLINK, header: ifinfomsg({ index, flags: 0, change: IFF_UP }) });

/** `god`: devices are put in it in the same breath as they are deleted; nobody else's is. */
const DELETED_TOGETHER = 0x676f64;

/**
 * What deletes many devices for one wait of the kernel's, where each alone costs one of 10 to 20 ms (IFLA_GROUP). All are to be asked,
 * whether one was there (ENODEV) or not.
 */
export const deletionTogether = (indexes: readonly number[]): Request[] => [
  ...indexes.map((index) => ({
    what: `group interface ${index}`, type: RTM_NEWLINK, header: ifinfomsg({ index }), attributes: [[IFLA.group, u32(DELETED_TOGETHER)]] satisfies Attribute[],
  })),
  { what: `delete interfaces ${indexes.join(', ')}`, type: RTM_DELLINK, header: ifinfomsg(), attributes: [[IFLA.group, u32(DELETED_TOGETHER)]] },
];

/** The body of RTM_NEWLINK or RTM_DELLINK. */
export function decodeLink(body: Uint8Array): Link {
  const attributes = decodeAttributes(body.subarray(16));
  const info = decodeAttributes(attributes.get(IFLA.linkinfo) ?? new Uint8Array());
  const number = (type: number): number => readNumber(attributes.get(type) ?? new Uint8Array());
  const stats = attributes.get(IFLA.stats64) ?? new Uint8Array();
  const counter = (n: number): number => readNumber(stats.subarray(8 * n, 8 * n + 8));
  return {
    index: readNumber(body.subarray(4, 8)),
    name: readText(attributes.get(IFLA.ifname) ?? new Uint8Array()),
    kind: readText(info.get(INFO_KIND) ?? new Uint8Array()),
    mtu: number(IFLA.mtu),
    up: (readNumber(body.subarray(8, 12)) & IFF_UP) !== 0,
    carrier: number(IFLA.carrier) === 1,
    master: number(IFLA.master),
    parent: number(IFLA.link),
    address: attributes.get(IFLA.address)?.slice() ?? new Uint8Array(),
    alias: readText(attributes.get(IFLA.alias) ?? new Uint8Array()),
    counters: {
      rxPackets: counter(0), txPackets: counter(1), rxErrors: counter(4), txErrors: counter(5), rxDropped: counter(6),
      txDropped: counter(7),
    },
  };
}
