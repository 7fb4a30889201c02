/** IP addresses, routes and neighbours of a host (RTM_*ADDR, RTM_GETROUTE, RTM_GETNEIGH). */
import { type IpAddress, Ipv4Address, Ipv6Address } from '../wire/ip-address.ts';
import { type Netlink } from './netlink.ts';
import { NLM_F_CREATE, NLM_F_EXCL, concat, decodeAttributes, readNumber, u16, u32, u8 } from './netlink-message.ts';

const RTM_NEWADDR = 20;
const RTM_GETROUTE = 26;
const RTM_GETNEIGH = 30;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_F_NODAD = 0x02;
const RTA = { dst: 1, oif: 4, prefsrc: 7, metrics: 8 } as const;
const RTAX_MTU = 2;
const NDA_DST = 1;
const NDA_LLADDR = 2;

const familyNumber = (address: IpAddress): number => (address.family === 4 ? 2 : 10);

export interface Route {
  /** Index of the interface by which the kernel reaches the destination. */
  readonly device: number;
  /** The address it would use itself. */
  readonly source: IpAddress | undefined;
  /** Path MTU the kernel knows of, bytes; 0: that of the device. */
  readonly mtu: number;
}

export interface Neighbour {
  readonly device: number;
  readonly address: Uint8Array;
  readonly mac: Uint8Array;
}

export class Addresses {
  readonly #netlink: Netlink;

  constructor(netlink: Netlink) {
    this.#netlink = netlink;
  }

  /** Adds an address, IPv6 without duplicate detection. */
  add(device: number, address: IpAddress, prefixLength: number): void {
    const header = concat(u8(familyNumber(address)), u8(prefixLength), u8(IFA_F_NODAD), u8(0), u32(device));
    this.#netlink.change({
      what: `add ${address}/${prefixLength} to interface ${device}`, type: RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_EXCL, header,
      attributes: [[IFA_LOCAL, address.bytes()], [IFA_ADDRESS, address.bytes()]],
    });
  }

  /** How the kernel would reach `to`. Throws KernelRefused ENETUNREACH. */
  route(to: IpAddress): Route {
    const header = concat(u8(familyNumber(to)), u8(to.bytes().length * 8), u8(0), u8(0), u8(0), u8(0), u8(0), u8(0), u32(0));
    const { body } = this.#netlink.get({ what: `find a route to ${to}`, type: RTM_GETROUTE, header, attributes: [[RTA.dst, to.bytes()]] });
    const attributes = decodeAttributes(body.subarray(12));
    const source = attributes.get(RTA.prefsrc);
    const metrics = decodeAttributes(attributes.get(RTA.metrics) ?? new Uint8Array());
    return {
      device: readNumber(attributes.get(RTA.oif) ?? new Uint8Array()),
      source: source && (to.family === 4 ? Ipv4Address.of(source) : Ipv6Address.of(source)),
      mtu: readNumber(metrics.get(RTAX_MTU) ?? new Uint8Array()),
    };
  }

  neighbours(): Neighbour[] {
    const header = concat(u8(0), u8(0), u16(0), u32(0), u16(0), u8(0), u8(0));
    return this.#netlink.dump({ what: 'list neighbours', type: RTM_GETNEIGH, header }).map(({ body }) => {
      const attributes = decodeAttributes(body.subarray(12));
      return {
        device: readNumber(body.subarray(4, 8)),
        address: attributes.get(NDA_DST)?.slice() ?? new Uint8Array(),
        mac: attributes.get(NDA_LLADDR)?.slice() ?? new Uint8Array(),
      };
    });
  }
}
