/**
 * BFD packets as the lab's switch sees them. On purpose not Godwit's codec: the referee does not read with the eyes of a player. Nothing
 * is checked but that it is UDP to one of BFD's ports.
 */
export interface WireBfd {
  /** The kernel's receive stamp, ms since the epoch. */
  readonly at: number;
  /** The host at whose cable it was seen. */
  readonly host: string;
  /** `from` the host, or `to` it: what reached it. */
  readonly direction: 'from' | 'to';
  readonly family: 4 | 6;
  readonly port: number;
  readonly ttl: number;
  /** Dotted, or hex of IPv6. */
  readonly source: string;
  readonly destination: string;
  /** Of control packets; an echo has what its sender likes. */
  readonly control: ControlFields | undefined;
  /** Behind the UDP header. */
  readonly payload: Uint8Array;
}

export interface ControlFields {
  readonly state: 'admin-down' | 'down' | 'init' | 'up';
  readonly diagnostic: number;
  readonly multiplier: number;
  readonly discriminator: number;
  /** ms. */
  readonly desiredMinTx: number;
  readonly requiredMinRx: number;
}

const UDP = 17;
const CONTROL: ReadonlySet<number> = new Set([3784, 4784]);
const ECHO = 3785;
const STATES = ['admin-down', 'down', 'init', 'up'] as const;

export function readBfd(frame: Uint8Array): Omit<WireBfd, 'at' | 'host' | 'direction'> | undefined {
  const data = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  if (data.length < 42) return undefined;
  const ipv4 = data.readUInt16BE(12) === 0x0800 && data[23] === UDP;
  const ipv6 = data.readUInt16BE(12) === 0x86dd && data[20] === UDP && data.length >= 62;
  if (!ipv4 && !ipv6) return undefined;
  const udp = data.subarray(ipv4 ? 14 + (data.readUInt8(14) & 0xf) * 4 : 54);
  if (udp.length < 8) return undefined;
  const port = udp.readUInt16BE(2);
  if (port !== ECHO && !CONTROL.has(port)) return undefined;
  const payload = udp.subarray(8, Math.max(8, udp.readUInt16BE(4)));
  const address = (from: number): string => (ipv4 ? data.subarray(from, from + 4).join('.') : data.toString('hex', from, from + 16));
  const [source, destination] = ipv4 ? [address(26), address(30)] : [address(22), address(38)];
  return {
    family: ipv4 ? 4 : 6, port, ttl: data.readUInt8(ipv4 ? 22 : 21), source, destination,
    control: port === ECHO || payload.length < 24 ? undefined : controlFields(payload), payload: Uint8Array.from(payload),
  };
}

function controlFields(payload: Buffer): ControlFields {
  return {
    state: STATES[payload.readUInt8(1) >> 6] ?? 'down', diagnostic: payload.readUInt8(0) & 0x1f, multiplier: payload.readUInt8(2),
    discriminator: payload.readUInt32BE(4), desiredMinTx: payload.readUInt32BE(12) / 1000, requiredMinRx: payload.readUInt32BE(16) / 1000,
  };
}

/** After which silence of its peer a host whose last own packet was `own` has to be down (RFC 5880 §6.8.4), ms. */
export const detectionTime = (own: ControlFields, peer: ControlFields): number =>
  peer.multiplier * Math.max(own.requiredMinRx, peer.desiredMinTx);
