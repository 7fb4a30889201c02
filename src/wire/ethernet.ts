/** Ethernet II frames, without preamble and frame check sequence: what a packet socket or a tap carries. */
import { ByteReader, ByteWriter } from './cursor.ts';
import { MacAddress } from './mac-address.ts';

/** The IEEE 802 numbers of the payloads that Godwit speaks. */
export const EtherType = {
  ipv4: 0x0800,
  arp: 0x0806,
  rarp: 0x8035,
  ipv6: 0x86dd,
  /** IEEE 802 Local Experimental Ethertype 1: nobody listens to it. */
  localExperimental1: 0x88b5,
} as const;

export interface EthernetFrame {
  readonly destination: MacAddress;
  readonly source: MacAddress;
  /** 0..0xffff. Below 0x0600 it is the length of an IEEE 802.3 frame (spanning tree speaks so), not a type. */
  readonly etherType: number;
  /**
   * A view. What is shorter than 46 bytes was padded by the sender's driver, and only the payload's own decoder knows
   * where the packet ends: the decoders of this room ignore what follows it.
   */
  readonly payload: Uint8Array;
}

const headerLength = 14;

/** @throws DecodeError `WIRE_TRUNCATED` below 14 bytes */
export function decodeEthernet(bytes: Uint8Array): EthernetFrame {
  const reader = new ByteReader('Ethernet frame', bytes);
  return {
    destination: MacAddress.of(reader.take(6)),
    source: MacAddress.of(reader.take(6)),
    etherType: reader.u16(),
    payload: reader.take(reader.remaining),
  };
}

/**
 * Adds no padding: the driver of a real link does, and a tap or veth needs none.
 * @throws EncodeError when `etherType` does not fit
 */
export function encodeEthernet(frame: EthernetFrame): Uint8Array {
  const writer = new ByteWriter('Ethernet frame', headerLength + frame.payload.length);
  writer.bytes(frame.destination.bytes());
  writer.bytes(frame.source.bytes());
  writer.u16('etherType', frame.etherType);
  writer.bytes(frame.payload);
  return writer.finish();
}
