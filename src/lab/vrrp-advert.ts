/**
 * VRRP adverts as the lab's switch sees them. On purpose not Godwit's codec: the referee does not read with the eyes of a player.
 * Nothing is checked but that it is VRRP.
 */
export interface WireAdvert {
  /** The kernel's receive stamp, ms since the epoch. */
  readonly at: number;
  /** The router at whose cable it was seen. */
  readonly router: string;
  /** `from` the router, or `to` it: what reached it. */
  readonly direction: 'from' | 'to';
  readonly family: 4 | 6;
  readonly version: number;
  readonly vrid: number;
  readonly priority: number;
  /** ms. */
  readonly interval: number;
  /** Hex. */
  readonly sourceMac: string;
  readonly destinationMac: string;
  /** Hex of the IP source address. */
  readonly source: string;
  readonly ttl: number;
}

const VRRP = 112;

export function readAdvert(frame: Uint8Array): Omit<WireAdvert, 'at' | 'router' | 'direction'> | undefined {
  const data = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  if (data.length < 42) return undefined;
  const ipv4 = data.readUInt16BE(12) === 0x0800 && data[23] === VRRP;
  const ipv6 = data.readUInt16BE(12) === 0x86dd && data[20] === VRRP;
  if (!ipv4 && !ipv6) return undefined;
  const body = data.subarray(ipv4 ? 14 + (data.readUInt8(14) & 0xf) * 4 : 54);
  if (body.length < 8) return undefined;
  const version = body.readUInt8(0) >> 4;
  return {
    family: ipv4 ? 4 : 6, version, vrid: body.readUInt8(1), priority: body.readUInt8(2),
    interval: version === 2 ? body.readUInt8(5) * 1000 : (body.readUInt16BE(4) & 0xfff) * 10,
    sourceMac: data.toString('hex', 6, 12), destinationMac: data.toString('hex', 0, 6), source: ipv4 ? data.toString('hex', 26, 30) : data.toString('hex', 22, 38),
    ttl: data.readUInt8(ipv4 ? 22 : 21),
  };
}

/** Active_Down_Interval of a Backup of this priority that hears adverts of this interval: RFC 9568 §6.1, RFC 3768 §6.1. ms. */
export function downInterval(version: number, interval: number, priority: number): number {
  return 3 * interval + skew(version, interval, priority);
}

function skew(version: number, interval: number, priority: number): number {
  return version === 2 ? (1000 * (256 - priority)) / 256 : ((256 - priority) * interval) / 256;
}
