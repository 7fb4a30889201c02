/**
 * A BFD session (RFC 5880, 5881, 5883) that hosts keep with a neighbour: a router, a switch, any peer that speaks it. Those between the
 * hosts themselves are not declared: the policy has them (`detect.bfd`). `BfdSessionPlan` is one host's part of it, with its defaults
 * filled in: what its agent and its pulse work from.
 */
import { Type, type Static } from 'typebox';
import type { BfdDiagnostic, BfdPhase } from '../wire/bfd.ts';
import { Duration } from './quantity.ts';
import { closed, declaration, nameRule, type Resource } from './resource.ts';

/** What is meant where a declaration says nothing. */
export const bfdDefaults = { interval: '300ms', multiplier: 3, hops: 1, echoReceive: '50ms' } as const;

const Address = Type.String({ pattern: '^[0-9a-fA-F.:]+$', description: 'an IP address' });
const Device = Type.String({ pattern: '^[!-.0-9;-~]{1,15}$', description: 'name of an interface of this host' });

export const BfdKeySpec = Type.Object(
  {
    id: Type.Integer({ minimum: 0, maximum: 255 }),
    file: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$', description: 'a file in /etc/godwit/keys of the host, owned by root and readable by nobody else; its first line is the key' }),
  },
  closed,
);

export const BfdSessionSpec = Type.Object(
  {
    peer: Address,
    hosts: Type.Record(
      Type.String({ pattern: nameRule.pattern }),
      Type.Object(
        {
          interface: Type.Optional(Device),
          local: Type.Optional({ ...Address, description: 'its own address; over several hops needed, and by default that of the host' }),
        },
        closed,
      ),
      { minProperties: 1, maxProperties: 64, additionalProperties: false },
    ),
    interface: Type.Optional({ ...Device, description: 'on every host, where a host does not name its own; over one hop needed' }),
    hops: Type.Optional(Type.Integer({ minimum: 1, maximum: 255, default: bfdDefaults.hops, description: '1: the peer is on the same link (RFC 5881); more: at most so many away (RFC 5883)' })),
    interval: Type.Optional({ ...Duration, default: bfdDefaults.interval, description: 'how often this host would send' }),
    receive: Type.Optional({ ...Duration, description: 'how often the peer is to send at most; default: as interval' }),
    multiplier: Type.Optional(Type.Integer({ minimum: 1, maximum: 255, default: bfdDefaults.multiplier, description: 'so many missing ones and the peer takes this host for down' })),
    echo: Type.Optional({ ...Duration, description: 'how often echoes are sent that the peer loops back; default: never. Over one hop only' }),
    echoReceive: Type.Optional({ ...Duration, default: bfdDefaults.echoReceive, description: 'how often the peer may send echoes at most; 0ms: it may not' }),
    authentication: Type.Optional(Type.Object(
      {
        type: Type.Union([Type.Literal('simple'), Type.Literal('sha1'), Type.Literal('meticulous-sha1')]),
        keys: Type.Array(BfdKeySpec, { minItems: 1, maxItems: 8, description: 'it sends with the first, and takes them all' }),
      },
      closed,
    )),
    disabled: Type.Optional(Type.String({ minLength: 1, maxLength: 120, description: 'AdminDown, and why' })),
  },
  closed,
);
export type BfdSessionSpec = Static<typeof BfdSessionSpec>;
export const BfdSessionDeclaration = declaration('BfdSession', BfdSessionSpec);

/** One host's part. Text and numbers: it travels as JSON. Times in ms. Names of those between hosts are `PEER/PATH`. */
export interface BfdSessionPlan {
  readonly name: string;
  readonly peer: string;
  readonly way: { readonly hops: 'single'; readonly interface: string } | { readonly hops: 'multi'; readonly local: string; readonly minTtl: number };
  readonly interval: number;
  readonly receive: number;
  readonly multiplier: number;
  readonly echo?: number;
  readonly echoReceive: number;
  readonly authentication?: { readonly type: 'simple' | 'sha1' | 'meticulous-sha1'; readonly keys: readonly { readonly id: number; readonly file: string }[] };
  readonly disabled?: string;
  /** It is one between hosts: what it hears is evidence about that host on that path. */
  readonly watches?: { readonly host: string; readonly path: string };
}

/** What a session knew when it went down. Spans in ms. */
export interface BfdDown {
  /** ms since the epoch. */
  readonly at: number;
  readonly diagnostic: BfdDiagnostic;
  /** The rule that fired, with its section. */
  readonly rule: string;
  readonly silence?: number;
  readonly detectionTime?: number;
  readonly missed?: number;
  /** The latest that this process came to one of its deadlines meanwhile. */
  readonly ownLateness?: number;
}

/** How one host's session is. Times in ms. */
export interface BfdStatus {
  readonly state: BfdPhase;
  /** ms since the epoch. */
  readonly since: number;
  /** Why it is not what it could be, in words: no such interface, refused key, the peer's diagnostic. */
  readonly reason?: string;
  readonly diagnostic: BfdDiagnostic;
  readonly remote?: { readonly state: BfdPhase; readonly diagnostic: BfdDiagnostic; readonly discriminator: number };
  readonly discriminator: number;
  /** Agreed: it sends by, it is sent to by, and after which silence it is down. */
  readonly send: number;
  readonly receive: number;
  readonly detectionTime: number;
  readonly echo?: { readonly active: boolean; readonly interval: number; readonly roundTrip?: number };
  readonly counters: {
    readonly sent: number; readonly heard: number; readonly echoesSent: number; readonly echoesHeard: number; readonly ups: number; readonly downs: number;
    /** By reason. */
    readonly dropped: Readonly<Record<string, number>>;
    /** What could not be sent, by errno. */
    readonly unsent: Readonly<Record<string, number>>;
  };
  readonly lastDown?: BfdDown;
}

/** A change of a session's state, with what was known then. */
export interface BfdTransition {
  /** As a router's transition: of the same count. */
  readonly sequence: number;
  readonly pulse: string;
  readonly session: string;
  /** ms since the epoch. */
  readonly at: number;
  readonly from: BfdPhase;
  readonly to: BfdPhase;
  readonly diagnostic: BfdDiagnostic;
  readonly rule: string;
  readonly down?: BfdDown;
  readonly lateness: { readonly now: number; readonly worst: number };
}

export interface BfdSessionStatus {
  /** Those that have told of it. */
  readonly hosts: Readonly<Record<string, Omit<BfdStatus, 'state'> & { readonly state: BfdPhase | 'unknown' }>>;
}
export type BfdSessionResource = Resource<'BfdSession', BfdSessionSpec, BfdSessionStatus>;
