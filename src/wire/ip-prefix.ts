/** IP prefixes (RFC 4632 §3.1, RFC 4291 §2.3), and addresses that are written with the length of theirs. */
import { type IpAddress, Ipv4Address, Ipv6Address, parseIpAddress } from './ip-address.ts';
import { DecodeError } from './wire.ts';

export interface IpPrefix {
  /** May have bits behind the prefix: then it is an address in it. */
  readonly address: IpAddress;
  /** 0..32, of IPv6 0..128. */
  readonly prefixLength: number;
}

/** Of a prefix that is one address: 32 or 128. */
export const longestPrefix = ({ family }: IpAddress): number => (family === 4 ? 32 : 128);

/**
 * `192.0.2.1/24`; without a length the address alone.
 * @throws DecodeError `WIRE_MALFORMED`
 */
export function parseIpPrefix(text: string): IpPrefix {
  const slash = text.indexOf('/');
  const address = parseIpAddress(slash < 0 ? text : text.slice(0, slash));
  const longest = longestPrefix(address);
  if (slash < 0) return { address, prefixLength: longest };
  const length = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(length) || Number(length) > longest) {
    throw new DecodeError('WIRE_MALFORMED', `${JSON.stringify(text)} is not an IP prefix. Write a length in 0..${longest} behind the slash.`);
  }
  return { address, prefixLength: Number(length) };
}

/** The prefix that the address is in: no bits behind it. */
export function enclosingPrefix({ address, prefixLength }: IpPrefix): IpPrefix {
  const bytes = address.bytes().map((byte, at) => byte & 0xff00 >> Math.min(8, Math.max(0, prefixLength - 8 * at)));
  return { address: address.family === 4 ? Ipv4Address.of(bytes) : Ipv6Address.of(bytes), prefixLength };
}

/** Equal ones have equal texts. */
export const prefixText = ({ address, prefixLength }: IpPrefix): string => `${address}/${prefixLength}`;
