/** IP addresses of a host (RTM_*ADDR; linux/if_addr.h), and how it would reach another one (RTM_GETROUTE). */
import { type IpAddress } from '../wire/ip-address.ts';
import { AF_INET, AF_INET6, addressOf, familyOf } from './ip-value.ts';
import type { Netlink, Request } from './netlink.ts';
import {
  type Attribute, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, concat, decodeAttributes, readNumber, u32, u8,
} from './netlink-message.ts';

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const RTM_GETROUTE = 26;
const IFA = { address: 1, local: 2, cacheinfo: 6, flags: 8, proto: 11 } as const;
const IFA_F_NODAD = 0x02;
const IFA_F_NOPREFIXROUTE = 0x200;
/** INFINITY_LIFE_TIME */
const FOREVER = 0xffffffff;
const RTA = { dst: 1, oif: 4, gateway: 5, prefsrc: 7, metrics: 8, via: 18 } as const;
const RTAX_MTU = 2;

/** How a host reaches an address. */
export interface Route {
  /** Index of the interface by which the kernel reaches the destination. */
  readonly device: number;
  /** The next hop; undefined where the destination is on the link itself. */
  readonly via: IpAddress | undefined;
  /** The address it would use itself. */
  readonly source: IpAddress | undefined;
  /** Path MTU the kernel knows of, bytes; 0: that of the device. */
  readonly mtu: number;
}

export interface AddressOptions {
  /** Whole seconds, 1..2^32-2: then the kernel removes it, if nobody renews it; IPv4 up to some 2 s late. Without one it stays. */
  readonly lifetime?: number;
  /** IFA_PROTO, 1..255: who put it there. Kernels before 5.18 forget it. */
  readonly protocol?: number;
  /** IFA_F_NOPREFIXROUTE: no route to the prefix comes with the address. */
  readonly noPrefixRoute?: boolean;
}

export interface HostAddress {
  /** Index of the interface. */
  readonly device: number;
  readonly address: IpAddress;
  readonly prefixLength: number;
  /** IFA_F_*: 0x01 secondary (IPv6: temporary), 0x40 tentative, 0x80 permanent, 0x200 without prefix route, … */
  readonly flags: number;
  /** IFA_PROTO; 0 where none is known, else 1..3 are the kernel's own. */
  readonly protocol: number;
  /** Seconds left; undefined: it stays. */
  readonly lifetime: number | undefined;
}

export class Addresses {
  readonly #netlink: Netlink;

  constructor(netlink: Netlink) {
    this.#netlink = netlink;
  }

  /** Adds an address, IPv6 without duplicate detection. Throws KernelRefused EEXIST where it is there. */
  add(device: number, address: IpAddress, prefixLength: number, options: AddressOptions = {}): void {
    this.#netlink.change(putRequest('add', device, address, prefixLength, options));
  }

  /**
   * Begins its lifetime anew; with the options of `add`, since IPv6 forgets a flag that is not repeated. Where the kernel has removed it
   * meanwhile it is there again.
   */
  renew(device: number, address: IpAddress, prefixLength: number, options: AddressOptions): void {
    this.#netlink.change(renewalRequest(device, address, prefixLength, options));
  }

  /** Throws KernelRefused EADDRNOTAVAIL where it is not there. */
  remove(device: number, address: IpAddress, prefixLength: number): void {
    this.#netlink.change({
      what: `remove ${address}/${prefixLength} from interface ${device}`, type: RTM_DELADDR,
      header: ifaddrmsg(device, address, prefixLength), attributes: bothWays(address),
    });
  }

  /** Those of one interface, or of all. */
  list(device?: number): HostAddress[] {
    const header = concat(u8(0), new Uint8Array(7));
    return this.#netlink.dump({ what: 'list addresses', type: RTM_GETADDR, header }).flatMap(({ body }) => {
      const found = decodeAddress(body);
      return found && (device === undefined || found.device === device) ? [found] : [];
    });
  }

  /** How the kernel would reach `to`. Throws KernelRefused ENETUNREACH. */
  route(to: IpAddress): Route {
    const header = concat(u8(familyOf(to)), u8(to.bytes().length * 8), new Uint8Array(10));
    const { body } = this.#netlink.get({ what: `find a route to ${to}`, type: RTM_GETROUTE, header, attributes: [[RTA.dst, to.bytes()]] });
    const attributes = decodeAttributes(body.subarray(12));
    const metrics = decodeAttributes(attributes.get(RTA.metrics) ?? new Uint8Array());
    return {
      device: readNumber(attributes.get(RTA.oif) ?? new Uint8Array()),
      via: addressOf(attributes.get(RTA.gateway) ?? attributes.get(RTA.via)?.subarray(2)),
      source: addressOf(attributes.get(RTA.prefsrc)),
      mtu: readNumber(metrics.get(RTAX_MTU) ?? new Uint8Array()),
    };
  }
}

/** What `Addresses.renew` asks of the kernel, for who asks by other ways. */
export const renewalRequest = (device: number, address: IpAddress, prefixLength: number, options: AddressOptions): Request =>
  putRequest('renew', device, address, prefixLength, options);

function putRequest(verb: 'add' | 'renew', device: number, address: IpAddress, prefixLength: number, options: AddressOptions): Request {
  const { lifetime = FOREVER, protocol, noPrefixRoute = false } = options;
  const attributes: Attribute[] = [
    ...bothWays(address),
    [IFA.flags, u32(IFA_F_NODAD | (noPrefixRoute ? IFA_F_NOPREFIXROUTE : 0))],
    // struct ifa_cacheinfo: preferred, valid, and two times that only the kernel writes
    [IFA.cacheinfo, concat(u32(lifetime), u32(lifetime), u32(0), u32(0))],
  ];
  if (protocol !== undefined) attributes.push([IFA.proto, u8(protocol)]);
  return {
    what: `${verb} ${address}/${prefixLength} ${verb === 'add' ? 'to' : 'on'} interface ${device}`, type: RTM_NEWADDR,
    flags: NLM_F_CREATE | (verb === 'add' ? NLM_F_EXCL : NLM_F_REPLACE),
    header: ifaddrmsg(device, address, prefixLength), attributes,
  };
}

const bothWays = (address: IpAddress): Attribute[] => [[IFA.local, address.bytes()], [IFA.address, address.bytes()]];

/** struct ifaddrmsg; the flags are in an attribute. */
function ifaddrmsg(device: number, address: IpAddress, prefixLength: number): Uint8Array {
  return concat(u8(familyOf(address)), u8(prefixLength), u8(0), u8(0), u32(device));
}

/** The body of RTM_NEWADDR or RTM_DELADDR; undefined for a family that is not IP. */
export function decodeAddress(body: Uint8Array): HostAddress | undefined {
  const [family, prefixLength = 0, shortFlags = 0] = body;
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const attributes = decodeAttributes(body.subarray(8));
  // IFA_ADDRESS is the other end's on a point-to-point link; IPv6 has only that one otherwise.
  const address = addressOf(attributes.get(IFA.local) ?? attributes.get(IFA.address));
  if (address === undefined) return undefined;
  const flags = attributes.get(IFA.flags);
  const valid = readNumber(attributes.get(IFA.cacheinfo)?.subarray(4, 8) ?? u32(FOREVER));
  return {
    device: readNumber(body.subarray(4, 8)),
    address,
    prefixLength,
    flags: flags ? readNumber(flags) : shortFlags,
    protocol: readNumber(attributes.get(IFA.proto) ?? new Uint8Array()),
    lifetime: valid === FOREVER ? undefined : valid,
  };
}
