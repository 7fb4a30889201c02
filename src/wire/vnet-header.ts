/**
 * The header in front of each frame on a tap with IFF_VNET_HDR and on a packet socket with PACKET_VNET_HDR: what the sender
 * left to the device, checksum and segmentation. `struct virtio_net_hdr` of linux/virtio_net.h, 10 bytes, and the same with
 * num_buffers, 12 bytes (TUNGETVNETHDRSZ says which; a packet socket's has 10). Little endian, the native layout of the
 * machines Godwit runs on and that of virtio 1.
 */
import { ByteReader, ByteWriter } from './cursor.ts';
import { DecodeError } from './wire.ts';

/** Bits of `flags`, VIRTIO_NET_HDR_F_*. */
export const VnetFlag = {
  /** The checksum at checksumStart + checksumOffset is still to be completed. */
  needsChecksum: 1,
  /** The checksum was verified. */
  dataValid: 2,
} as const;

/** Values of `gsoType`, VIRTIO_NET_HDR_GSO_*; `ecn` is a bit that goes with the TCP ones. */
export const VnetGso = {
  none: 0,
  tcpv4: 1,
  /** Fragmentation of one UDP datagram, IPv4 or IPv6. */
  udp: 3,
  tcpv6: 4,
  /** Segmentation into many UDP datagrams; linux/virtio_net.h since 6.2. */
  udpL4: 5,
  ecn: 0x80,
} as const;

/** Every number is kept as it came, bits unknown here too: a frame handed on must not lose what its sender asked for. */
export interface VnetHeader {
  /** VnetFlag bits, 0..0xff. */
  readonly flags: number;
  /** A VnetGso value, 0..0xff. */
  readonly gsoType: number;
  /** Bytes of the Ethernet, IP and transport headers; a hint, 0..0xffff. */
  readonly headerLength: number;
  /** Bytes of payload per segment, 0..0xffff. */
  readonly gsoSize: number;
  /** Bytes from the start of the frame to where checksumming starts, 0..0xffff. */
  readonly checksumStart: number;
  /** Bytes from there to where the checksum goes, 0..0xffff. */
  readonly checksumOffset: number;
  /** Merged receive buffers, 0..0xffff; undefined in the header of 10 bytes. */
  readonly numBuffers: number | undefined;
}

const what = 'virtio-net header';
const shortLength = 10;
const longLength = 12;

/**
 * From exactly the header's bytes, 10 or 12 of them; nothing is a view.
 * @throws DecodeError `WIRE_TRUNCATED` below 10 bytes, `WIRE_UNSUPPORTED` for another length
 */
export function decodeVnetHeader(bytes: Uint8Array): VnetHeader {
  const reader = new ByteReader(what, bytes);
  const fixed = {
    flags: reader.u8(),
    gsoType: reader.u8(),
    headerLength: reader.u16LittleEndian(),
    gsoSize: reader.u16LittleEndian(),
    checksumStart: reader.u16LittleEndian(),
    checksumOffset: reader.u16LittleEndian(),
  };
  if (bytes.length !== shortLength && bytes.length !== longLength) {
    throw new DecodeError('WIRE_UNSUPPORTED', `${what} has ${bytes.length} bytes, not 10 or 12. Set one of them with TUNSETVNETHDRSZ.`);
  }
  return { ...fixed, numBuffers: bytes.length === longLength ? reader.u16LittleEndian() : undefined };
}

/**
 * 12 bytes with numBuffers, 10 without.
 * @throws EncodeError when a field is out of its range
 */
export function encodeVnetHeader(header: VnetHeader): Uint8Array {
  const writer = new ByteWriter(what, header.numBuffers === undefined ? shortLength : longLength);
  writer.u8('flags', header.flags);
  writer.u8('gsoType', header.gsoType);
  writer.u16LittleEndian('headerLength', header.headerLength);
  writer.u16LittleEndian('gsoSize', header.gsoSize);
  writer.u16LittleEndian('checksumStart', header.checksumStart);
  writer.u16LittleEndian('checksumOffset', header.checksumOffset);
  if (header.numBuffers !== undefined) writer.u16LittleEndian('numBuffers', header.numBuffers);
  return writer.finish();
}
