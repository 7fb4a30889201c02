/** DHCP, as much of it as tells who got which address: RFC 2131 and RFC 2132 for IPv4, RFC 8415 for IPv6. Read only. */
import { ByteReader } from './cursor.ts';
import { Ipv4Address, Ipv6Address } from './ip-address.ts';
import { IpProtocol } from './ip-protocol.ts';
import type { Ipv4Packet } from './ipv4.ts';
import type { Ipv6Packet } from './ipv6.ts';
import { MacAddress } from './mac-address.ts';
import { DecodeError } from './wire.ts';

/** RFC 2132 §9.6, from 1 on. */
const messageTypes = ['discover', 'offer', 'request', 'decline', 'ack', 'nak', 'release', 'inform'] as const;

export interface Dhcpv4Message {
  readonly operation: 'request' | 'reply';
  readonly messageType: (typeof messageTypes)[number];
  /** chaddr: of the client, also where a relay or the server sends. */
  readonly clientMac: MacAddress;
  /** ciaddr: what the client has already; 0.0.0.0 else. */
  readonly clientAddress: Ipv4Address;
  /** yiaddr: what the server gives; 0.0.0.0 in requests. */
  readonly yourAddress: Ipv4Address;
  /** Seconds; 0xffffffff is for ever. */
  readonly leaseTime: number | undefined;
  readonly server: Ipv4Address | undefined;
}

export interface Dhcpv6Reply {
  /** Those of its IA_NAs that it gives, not those that it takes back (valid lifetime 0). */
  readonly addresses: readonly Ipv6Address[];
}

type Carried = Pick<Ipv4Packet, 'protocol' | 'fragmentOffset' | 'moreFragments' | 'payload'>;

const v4 = 'DHCP message';
const v6 = 'DHCPv6 message';
const ports4 = [67, 68];
const ports6 = [546, 547];
const magic = 0x6382_5363;
const ethernet = 1;
const option4 = { pad: 0, leaseTime: 51, overload: 52, messageType: 53, server: 54, end: 255 } as const;
const option6 = { iaNa: 3, iaAddress: 5 } as const;
const reply6 = 7;

/**
 * From an IPv4 packet. The UDP checksum is not looked at: on a tap it may not have been computed yet.
 * @throws DecodeError `WIRE_UNSUPPORTED` for what is not DHCP over Ethernet, `WIRE_TRUNCATED`, `WIRE_MALFORMED`
 */
export function decodeDhcpv4({ protocol, fragmentOffset, moreFragments, payload }: Carried): Dhcpv4Message {
  if (fragmentOffset !== 0 || moreFragments) throw new DecodeError('WIRE_UNSUPPORTED', `${v4} is a fragment. Drop it.`);
  const reader = udpPayload(v4, protocol, payload, ports4);
  const op = reader.u8();
  const [hardware, hardwareLength] = [reader.u8(), reader.u8()];
  if (op !== 1 && op !== 2) throw new DecodeError('WIRE_MALFORMED', `${v4} has op ${op}, neither 1 nor 2. Drop it.`);
  if (hardware !== ethernet || hardwareLength !== 6) {
    throw new DecodeError('WIRE_UNSUPPORTED', `${v4} is for hardware ${hardware} with addresses of ${hardwareLength} bytes, not for Ethernet. Drop it.`);
  }
  reader.take(9); // hops, xid, secs, flags
  const clientAddress = Ipv4Address.of(reader.take(4));
  const yourAddress = Ipv4Address.of(reader.take(4));
  reader.take(8); // siaddr, giaddr
  const clientMac = MacAddress.of(reader.take(6));
  reader.take(10);
  const [sname, file] = [reader.take(64), reader.take(128)];
  const cookie = reader.u32();
  if (cookie !== magic) throw new DecodeError('WIRE_UNSUPPORTED', `${v4} has no options of RFC 2132: it is plain BOOTP. Drop it.`);
  const options = new Map<number, Uint8Array>();
  readOptions4(reader, options);
  // RFC 2132 §9.3: more options in these fields, `file` first (RFC 2131 §4.1).
  const overload = options.get(option4.overload)?.[0] ?? 0;
  if (overload & 1) readOptions4(new ByteReader(v4, file), options);
  if (overload & 2) readOptions4(new ByteReader(v4, sname), options);
  const type = messageTypes[(sized(options.get(option4.messageType), 1)?.getUint8(0) ?? 0) - 1];
  if (type === undefined) throw new DecodeError('WIRE_UNSUPPORTED', `${v4} is of no type of RFC 2132. Drop it.`);
  const server = options.get(option4.server);
  return {
    operation: op === 1 ? 'request' : 'reply', messageType: type, clientMac, clientAddress, yourAddress,
    leaseTime: sized(options.get(option4.leaseTime), 4)?.getUint32(0),
    server: sized(server, 4) && server && Ipv4Address.of(server),
  };
}

/** The first of each; RFC 3396's split ones are none of those that are read here. */
function readOptions4(reader: ByteReader, into: Map<number, Uint8Array>): void {
  while (reader.remaining > 0) {
    const code = reader.u8();
    if (code === option4.end) return;
    if (code === option4.pad) continue;
    const body = reader.take(reader.u8());
    if (!into.has(code)) into.set(code, body);
  }
}

function sized(body: Uint8Array | undefined, length: number): DataView | undefined {
  if (body === undefined) return undefined;
  if (body.length !== length) throw new DecodeError('WIRE_MALFORMED', `${v4} has an option of ${body.length} bytes that should have ${length}. Drop it.`);
  return new DataView(body.buffer, body.byteOffset, body.byteLength);
}

/**
 * A server's Reply (RFC 8415 §16.10) from an IPv6 packet whose UDP header follows directly; relayed ones are for the relay.
 * @throws DecodeError `WIRE_UNSUPPORTED` for any other message, `WIRE_TRUNCATED`
 */
export function decodeDhcpv6({ nextHeader, payload }: Pick<Ipv6Packet, 'nextHeader' | 'payload'>): Dhcpv6Reply {
  const reader = udpPayload(v6, nextHeader, payload, ports6);
  const type = reader.u8();
  if (type !== reply6) throw new DecodeError('WIRE_UNSUPPORTED', `${v6} is of type ${type}, not a Reply. Drop it.`);
  reader.take(3); // transaction-id
  const addresses: Ipv6Address[] = [];
  for (const { code, body } of options6(reader)) {
    if (code !== option6.iaNa) continue;
    body.take(12); // IAID, T1, T2
    for (const inner of options6(body)) {
      if (inner.code !== option6.iaAddress) continue;
      const address = Ipv6Address.of(inner.body.take(16));
      inner.body.u32(); // preferred lifetime
      if (inner.body.u32() > 0) addresses.push(address);
    }
  }
  return { addresses };
}

function* options6(reader: ByteReader): Generator<{ readonly code: number; readonly body: ByteReader }> {
  while (reader.remaining > 0) {
    const [code, length] = [reader.u16(), reader.u16()];
    yield { code, body: new ByteReader(v6, reader.take(length)) };
  }
}

/** Between these two ports, in either direction. */
function udpPayload(what: string, protocol: number, packet: Uint8Array, ports: readonly number[]): ByteReader {
  if (protocol !== IpProtocol.udp) throw new DecodeError('WIRE_UNSUPPORTED', `${what} has IP protocol ${protocol}, not 17 for UDP. Drop it.`);
  const reader = new ByteReader(what, packet);
  const [source, destination, length] = [reader.u16(), reader.u16(), reader.u16()];
  reader.u16();
  if (!ports.includes(source) && !ports.includes(destination)) {
    throw new DecodeError('WIRE_UNSUPPORTED', `${what} goes from port ${source} to ${destination}, not between ${ports.join(' and ')}. Drop it.`);
  }
  if (length < 8) throw new DecodeError('WIRE_MALFORMED', `${what} says its UDP datagram has ${length} bytes, fewer than 8. Drop it.`);
  return new ByteReader(what, reader.take(length - 8));
}
