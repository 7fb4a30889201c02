/** The packet that ARP (RFC 826) and RARP (RFC 903) share, for IPv4 over Ethernet; they differ in opcodes and EtherType. */
import { ByteReader, ByteWriter } from './cursor.ts';
import { EtherType } from './ethernet.ts';
import { Ipv4Address } from './ip-address.ts';
import { MacAddress } from './mac-address.ts';
import { DecodeError } from './wire.ts';

export interface AddressResolution {
  readonly operation: 'request' | 'reply';
  readonly senderMac: MacAddress;
  readonly senderIp: Ipv4Address;
  readonly targetMac: MacAddress;
  readonly targetIp: Ipv4Address;
}

/** The opcodes that tell one protocol's request and reply from the other's. */
export type Opcodes = Readonly<Record<AddressResolution['operation'], number>>;

const length = 28;
const ethernet = 1;

export function decodeAddressResolution(what: string, opcodes: Opcodes, bytes: Uint8Array): AddressResolution {
  const reader = new ByteReader(what, bytes);
  const hardware = reader.u16();
  const protocol = reader.u16();
  if (hardware !== ethernet || protocol !== EtherType.ipv4) {
    throw new DecodeError(
      'WIRE_UNSUPPORTED',
      `${what} is for hardware ${hardware} and protocol 0x${protocol.toString(16)}, not for Ethernet and IPv4. Drop it.`,
    );
  }
  const hardwareLength = reader.u8();
  const protocolLength = reader.u8();
  if (hardwareLength !== 6 || protocolLength !== 4) {
    throw new DecodeError(
      'WIRE_MALFORMED',
      `${what} has addresses of ${hardwareLength} and ${protocolLength} bytes, not 6 and 4. Drop it.`,
    );
  }
  return {
    operation: operationOf(what, opcodes, reader.u16()),
    senderMac: MacAddress.of(reader.take(6)),
    senderIp: Ipv4Address.of(reader.take(4)),
    targetMac: MacAddress.of(reader.take(6)),
    targetIp: Ipv4Address.of(reader.take(4)),
  };
}

function operationOf(what: string, opcodes: Opcodes, opcode: number): AddressResolution['operation'] {
  if (opcode === opcodes.request) return 'request';
  if (opcode === opcodes.reply) return 'reply';
  throw new DecodeError('WIRE_UNSUPPORTED', `${what} has opcode ${opcode}, neither ${opcodes.request} nor ${opcodes.reply}. Drop it.`);
}

export function encodeAddressResolution(what: string, opcodes: Opcodes, packet: AddressResolution): Uint8Array {
  const writer = new ByteWriter(what, length);
  writer.u16('hardware', ethernet);
  writer.u16('protocol', EtherType.ipv4);
  writer.u8('hardware address length', 6);
  writer.u8('protocol address length', 4);
  writer.u16('opcode', opcodes[packet.operation]);
  writer.bytes(packet.senderMac.bytes());
  writer.bytes(packet.senderIp.bytes());
  writer.bytes(packet.targetMac.bytes());
  writer.bytes(packet.targetIp.bytes());
  return writer.finish();
}
