/**
 * What two agents say to each other in a move: JSON, one message a line, over one connection that the source's agent opens.
 *
 * The first line is the caller's hello, which names the move and shows its token; the answer is the journal's word on that move so
 * far. Then requests and answers, matched by number, and events of the destination in between. Sizes are bounded: a frame of a tap is
 * at most 64 KiB and few wait at a time, yet a tap's queue of 100 000 may have to come back, which it does in portions.
 */
import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { GodwitError } from '../base/error.ts';
import { Name } from '../model/resource.ts';
import { NetworkSpec } from '../model/network.ts';
import { VmSpec } from '../model/vm-spec.ts';
import { shortestProbe } from '../wire/path-probe.ts';

export const PEER_PROTOCOL = 1;
/** Of one message, bytes. */
export const LONGEST_LINE = 16 * 2 ** 20;

const Placement = Type.Object({ host: Type.String(), epoch: Type.Integer(), start: Type.Integer() });

/** A VM with all that its next host has to know of it. */
export const Declared = Type.Object({ name: Name, spec: VmSpec, networks: Type.Record(Type.String(), NetworkSpec), placement: Placement });
export type Declared = Static<typeof Declared>;

const MoveId = Type.String({ pattern: '^[0-9a-f]{6}$' });
export const Hello = Type.Object({ hello: Type.Literal(PEER_PROTOCOL), move: MoveId, token: Type.String({ maxLength: 100 }) });
export type Hello = Static<typeof Hello>;

const Nothing = Type.Object({});
const Bridge = Type.String({ minLength: 1, maxLength: 15 });
/** What the source's agent may ask for. */
export const peerRequests = {
  facts: Type.Object({ vm: Declared }),
  /** Of the pre-flight (preflight.ts): frames out of a bridge here, and who answers for an address on its network. */
  sendFrames: Type.Object({
    bridge: Bridge, nonce: Type.Integer({ minimum: 0, maximum: 0xffff_ffff }), to: Type.String({ pattern: '^[0-9a-f]{2}(:[0-9a-f]{2}){5}$' }),
    sizes: Type.Array(Type.Integer({ minimum: shortestProbe, maximum: 65535 }), { maxItems: 4 }),
  }),
  gateway: Type.Object({ bridge: Bridge, address: Type.String({ maxLength: 64 }) }),
  prepare: Type.Object({ vm: Declared, source: Type.String(), destination: Type.String(), maxBandwidth: Type.Number({ minimum: 1 }) }),
  /** There is an end of this move here, from an earlier connection: where its QEMU listens. */
  attach: Nothing,
  permit: Nothing,
  abort: Nothing,
  commit: Nothing,
  announce: Nothing,
  takeHeld: Type.Object({ nic: Type.Integer({ minimum: 0, maximum: 31 }) }),
  deliveredFrames: Nothing,
  summary: Nothing,
  finish: Nothing,
} as const;
export type PeerMethod = keyof typeof peerRequests;
export type PeerParams<M extends PeerMethod> = Static<(typeof peerRequests)[M]>;

const requestChecks = Object.fromEntries(Object.entries(peerRequests).map(([method, schema]) => [method, Compile(schema)]));
const helloCheck = Compile(Hello);

/** What came is not of this protocol. */
export class PeerMessageError extends GodwitError {
  constructor(what: string, cause?: unknown) {
    super('MOVE_PEER_MESSAGE', `What came from the other agent is no message of this protocol: ${what}; are both of the same version?`, cause === undefined ? undefined : { cause });
  }
}

export type PeerMessage =
  | { readonly kind: 'request'; readonly id: number; readonly method: PeerMethod; readonly params: unknown }
  | { readonly kind: 'result'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly code: string; readonly message: string; readonly reasons?: readonly string[] }
  | { readonly kind: 'event'; readonly event: unknown }
  /** Says nothing but that its sender is there. */
  | { readonly kind: 'alive' };

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null;

/** One line, without its end. Throws PeerMessageError. */
export function decodePeerMessage(line: string): PeerMessage {
  const value = decodeValue(line);
  if (!isObject(value)) throw new PeerMessageError('not an object');
  const { kind, id, method } = value;
  if (kind === 'alive') return { kind };
  if (kind === 'event') return { kind, event: value['event'] };
  if (typeof id !== 'number' || !Number.isSafeInteger(id)) throw new PeerMessageError('it has no number');
  switch (kind) {
    case 'request': {
      if (typeof method !== 'string' || !isMethod(method)) throw new PeerMessageError(`there is no request ${JSON.stringify(method)}`);
      if (!requestChecks[method]?.Check(value['params'])) throw new PeerMessageError(`${method} with parameters that it does not take`);
      return { kind, id, method, params: value['params'] };
    }
    case 'result': return { kind, id, result: value['result'] };
    case 'error': {
      const { code, message, reasons } = value;
      if (typeof code !== 'string' || typeof message !== 'string') throw new PeerMessageError('an error without code or message');
      return { kind, id, code, message, ...(Array.isArray(reasons) ? { reasons: reasons.filter((r) => typeof r === 'string') } : {}) };
    }
    default: throw new PeerMessageError(`there is no kind ${JSON.stringify(kind)}`);
  }
}

/** Throws PeerMessageError. */
export function decodeHello(line: string): Hello {
  const value = decodeValue(line);
  if (helloCheck.Check(value)) return value;
  if (isObject(value) && typeof value['hello'] === 'number' && value['hello'] !== PEER_PROTOCOL) {
    throw new PeerMessageError(`it speaks version ${value['hello']} and this agent ${PEER_PROTOCOL}: upgrade the older one`);
  }
  throw new PeerMessageError('no hello');
}

const isMethod = (method: string): method is PeerMethod => Object.hasOwn(peerRequests, method);

/** JSON, in which maps and bytes come along: `{"$map":[[k,v],…]}`, `{"$bytes":"base64"}`. */
export function encodeValue(value: unknown): string {
  return JSON.stringify(value, (_, v: unknown) => {
    if (v instanceof Map) return { $map: [...v] };
    if (v instanceof Uint8Array) return { $bytes: Buffer.from(v).toString('base64') };
    // What Buffer's own toJSON has made of it before it came here.
    if (isObject(v) && v['type'] === 'Buffer' && Array.isArray(v['data'])) return { $bytes: Buffer.from(v['data'].map(Number)).toString('base64') };
    return v;
  });
}

/** Throws PeerMessageError. */
export function decodeValue(text: string): unknown {
  try {
    return JSON.parse(text, (_, v: unknown) => {
      if (isObject(v) && Array.isArray(v['$map'])) return new Map(v['$map'].map((pair: unknown) => (Array.isArray(pair) ? [pair[0], pair[1]] : [undefined, undefined])));
      if (isObject(v) && typeof v['$bytes'] === 'string') return new Uint8Array(Buffer.from(v['$bytes'], 'base64'));
      return v;
    });
  } catch (cause) {
    throw new PeerMessageError('no JSON', cause);
  }
}
