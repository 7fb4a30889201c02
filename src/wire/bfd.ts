/**
 * BFD control packets: RFC 5880 §4.1, over UDP as RFC 5881 (one hop) and RFC 5883 (several) have it. A § without an RFC is RFC 5880's.
 *
 *   |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
 *   |                       My Discriminator                        |
 *   |                      Your Discriminator                       |
 *   |                    Desired Min TX Interval                    |   microseconds, like the other two
 *   |                   Required Min RX Interval                    |
 *   |                 Required Min Echo RX Interval                 |
 *   |   Authentication Section, where A is set: bfd-auth.ts         |
 */
import { type Milliseconds, ms } from '../base/units.ts';
import { type BfdAuthentication, type LastSequence, type Sha1, authLength, authenticate, verify } from './bfd-auth.ts';
import { type BfdDrop, drop } from './bfd-drop.ts';
import { ByteReader, ByteWriter } from './cursor.ts';
import type { IpAddress } from './ip-address.ts';
import { EncodeError } from './wire.ts';

/** UDP destination ports: RFC 5881 §4 (control, echo), RFC 5883 §5. */
export const bfdPort = { single: 3784, echo: 3785, multi: 4784 } as const;
/** Source ports; a session keeps one of its own (RFC 5881 §4). Not looked at in what comes in: FRR's begin below. */
export const bfdSourcePorts = { first: 49_152, last: 65_535 } as const;
/** TTL or hop limit of all that is sent, and what one hop leaves of it (RFC 5881 §5, RFC 5082). */
export const BFD_TTL = 255;

/** Diag (§4.1), in the order of its codes, with the RFC's words. */
export const bfdDiagnostics = {
  none: 'No Diagnostic',
  'detection-expired': 'Control Detection Time Expired',
  'echo-failed': 'Echo Function Failed',
  'neighbor-down': 'Neighbor Signaled Session Down',
  'forwarding-reset': 'Forwarding Plane Reset',
  'path-down': 'Path Down',
  'concatenated-path-down': 'Concatenated Path Down',
  'admin-down': 'Administratively Down',
  'reverse-concatenated-path-down': 'Reverse Concatenated Path Down',
  /** 9..31: received, never sent. */
  reserved: 'reserved',
} as const;
export type BfdDiagnostic = keyof typeof bfdDiagnostics;

/** Sta (§4.1), in the order of its codes. */
export const bfdStates = ['admin-down', 'down', 'init', 'up'] as const;
export type BfdPhase = (typeof bfdStates)[number];

export interface BfdControl {
  /** Why the sender's session last changed its state. */
  readonly diagnostic: BfdDiagnostic;
  readonly state: BfdPhase;
  readonly poll: boolean;
  readonly final: boolean;
  /** Its BFD does not share its control plane's fate. */
  readonly controlPlaneIndependent: boolean;
  readonly demand: boolean;
  /** 1..255 */
  readonly detectMult: number;
  /** 1..2^32 - 1 */
  readonly myDiscriminator: number;
  /** 0: not known yet. */
  readonly yourDiscriminator: number;
  /** In steps of 1 µs up to 2^32 - 1 µs, like the next two. */
  readonly desiredMinTx: Milliseconds;
  /** 0: no periodic packets. */
  readonly requiredMinRx: Milliseconds;
  /** 0: does not loop echo packets back. */
  readonly requiredMinEchoRx: Milliseconds;
}

/** A UDP datagram to one of BFD's ports. */
export interface BfdDatagram {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** Where it came in. */
  readonly interface: string;
  /** Destination port. */
  readonly port: number;
  /** IPv6: hop limit. */
  readonly ttl: number;
  readonly payload: Uint8Array;
}

/** Between which ends a session runs. Multihop is known by both addresses, one hop by peer and interface (RFC 5881 §3, RFC 5883 §4). */
export type BfdPath =
  | { readonly hops: 'single'; readonly peer: IpAddress; readonly interface: string }
  /** `minTtl` 1..255: 255 less the routers there may be between. */
  | { readonly hops: 'multi'; readonly peer: IpAddress; readonly local: IpAddress; readonly minTtl: number };

/** What a session takes. */
export interface BfdExpected {
  readonly path: BfdPath;
  readonly authentication: BfdAuthentication | undefined;
  readonly lastSequence: LastSequence;
}

/** The session of a discriminator; at 0 by the path that the datagram came. */
export type BfdLookup<S extends BfdExpected> = (yourDiscriminator: number, datagram: BfdDatagram) => S | undefined;

export interface HeardBfd<S extends BfdExpected> {
  readonly kind: 'control';
  readonly session: S;
  readonly control: BfdControl;
  /** Of its authentication, where that has one. */
  readonly sequence: number | undefined;
}

const what = 'BFD control packet';
const VERSION = 1;
const LENGTH = 24;
/** With A set: a section's type and length at least. */
const AUTH_LEAST = 2;
const bit = { poll: 0x20, final: 0x10, independent: 0x08, authentication: 0x04, demand: 0x02, multipoint: 0x01 } as const;
const diagnosticNames = Object.keys(bfdDiagnostics).filter((name): name is BfdDiagnostic => name !== 'reserved');
const diagnosticCodes = new Map(diagnosticNames.map((name, code) => [name, code]));

/**
 * §6.8.6, as far as it says what to discard. Never throws, whatever the bytes. Nothing that a session remembers may change but by
 * what this lets through.
 */
export function decodeBfd<S extends BfdExpected>(datagram: BfdDatagram, lookup: BfdLookup<S>, sha1: Sha1): HeardBfd<S> | BfdDrop {
  const { payload } = datagram;
  if (payload.length < LENGTH) return drop('truncated', `${payload.length} bytes`);
  const reader = new ByteReader(what, payload);
  const first = reader.u8();
  const flags = reader.u8();
  const detectMult = reader.u8();
  const length = reader.u8();
  const authenticated = (flags & bit.authentication) !== 0;
  if (first >> 5 !== VERSION) return drop('version', `version ${first >> 5}`);
  if (length < LENGTH + (authenticated ? AUTH_LEAST : 0)) return drop('length', `length ${length}`);
  if (length > payload.length) return drop('truncated', `length ${length} in ${payload.length} bytes`);
  if (detectMult === 0) return drop('detect-mult', 'detect multiplier 0');
  if ((flags & bit.multipoint) !== 0) return drop('multipoint', 'multipoint bit');
  const myDiscriminator = reader.u32();
  if (myDiscriminator === 0) return drop('my-discriminator', 'My Discriminator 0');
  const yourDiscriminator = reader.u32();
  const state = bfdStates[flags >> 6] ?? 'down';
  if (yourDiscriminator === 0 && state !== 'down' && state !== 'admin-down') {
    return drop('your-discriminator', `Your Discriminator 0 in ${state}`);
  }

  const session = lookup(yourDiscriminator, datagram);
  if (!session) return drop('no-session', yourDiscriminator === 0 ? `from ${datagram.source}` : `discriminator ${yourDiscriminator}`);
  const strayed = faultOfPath(datagram, session.path);
  if (strayed) return strayed;
  const { authentication } = session;
  if (authenticated && !authentication) return drop('auth-unexpected', 'authenticated');
  let sequence: number | undefined;
  if (authentication) {
    if (!authenticated) return drop('auth-missing', 'not authenticated');
    const packet = payload.length === length ? payload : payload.subarray(0, length);
    const verified = verify(packet, LENGTH, authentication, session.lastSequence, 3 * detectMult, sha1);
    if (typeof verified === 'object') return verified;
    sequence = verified;
  }
  const control: BfdControl = {
    diagnostic: diagnosticNames[first & 0x1f] ?? 'reserved', state,
    poll: (flags & bit.poll) !== 0, final: (flags & bit.final) !== 0,
    controlPlaneIndependent: (flags & bit.independent) !== 0, demand: (flags & bit.demand) !== 0,
    detectMult, myDiscriminator, yourDiscriminator,
    desiredMinTx: ms(reader.u32() / 1000), requiredMinRx: ms(reader.u32() / 1000), requiredMinEchoRx: ms(reader.u32() / 1000),
  };
  return { kind: 'control', session, control, sequence };
}

/** A discriminator alone does not make a packet the session's: it has to come the session's way, or GTSM could be gone round. */
function faultOfPath(datagram: BfdDatagram, path: BfdPath): BfdDrop | undefined {
  if (datagram.port !== bfdPort[path.hops]) return drop('port', `port ${datagram.port}, wanted ${bfdPort[path.hops]}`);
  if (!datagram.source.equals(path.peer)) return drop('source', `from ${datagram.source}, wanted ${path.peer}`);
  if (path.hops === 'single' && datagram.interface !== path.interface) {
    return drop('interface', `by ${datagram.interface}, wanted ${path.interface}`);
  }
  const least = path.hops === 'single' ? BFD_TTL : path.minTtl;
  return datagram.ttl < least ? drop('ttl', `TTL ${datagram.ttl}, wanted ${least}`) : undefined;
}

/**
 * What goes behind the UDP header.
 * @param signed how it is authenticated, where it is
 * @throws EncodeError when a field is out of its range, both P and F are set (§6.5), or an interval is no whole number of microseconds
 */
export function encodeBfd(
  control: BfdControl, signed?: { readonly by: BfdAuthentication; readonly sequence: number; readonly sha1: Sha1 },
): Uint8Array {
  if (control.poll && control.final) throw new EncodeError(`${what}: poll and final exclude each other. Answer a poll without asking.`);
  const diagnostic = diagnosticCodes.get(control.diagnostic);
  if (diagnostic === undefined) throw new EncodeError(`${what}: the diagnostic is ${control.diagnostic}. Give one that the RFC defines.`);
  for (const field of ['detectMult', 'myDiscriminator'] as const) {
    if (control[field] === 0) throw new EncodeError(`${what}: ${field} is 0. Every receiver would drop it; give at least 1.`);
  }
  const flags = bfdStates.indexOf(control.state) << 6
    | (control.poll ? bit.poll : 0) | (control.final ? bit.final : 0) | (control.controlPlaneIndependent ? bit.independent : 0)
    | (signed ? bit.authentication : 0) | (control.demand ? bit.demand : 0);
  const writer = new ByteWriter(what, LENGTH + (signed ? authLength(signed.by) : 0));
  const out = writer.finish();
  writer.u8('version', VERSION << 5 | diagnostic);
  writer.u8('flags', flags);
  writer.u8('detectMult', control.detectMult);
  writer.u8('length', out.length);
  writer.u32('myDiscriminator', control.myDiscriminator);
  writer.u32('yourDiscriminator', control.yourDiscriminator);
  for (const field of ['desiredMinTx', 'requiredMinRx', 'requiredMinEchoRx'] as const) {
    writer.u32(field, microseconds(field, control[field]));
  }
  if (signed) authenticate(out, signed.by, signed.sequence, signed.sha1);
  return out;
}

/** Never rounded away: what differs from a whole number by more than binary fractions do is refused. */
function microseconds(field: string, interval: Milliseconds): number {
  const whole = Math.round(interval * 1000);
  if (Math.abs(whole - interval * 1000) > 1e-3) {
    throw new EncodeError(`${what}: ${field} is ${interval} ms; give a whole number of microseconds.`);
  }
  return whole;
}
