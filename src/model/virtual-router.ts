/**
 * A virtual router: addresses that several hosts can answer for, one at a time (VRRP, RFC 9568; version 2: RFC 3768). `RouterPlan` is
 * one host's part of it, looked up and with its defaults filled in: what its agent and its pulse work from.
 */
import { Type, type Static } from 'typebox';
import { Duration } from './quantity.ts';
import { Name, closed, declaration, nameRule, type Resource } from './resource.ts';

/** What is meant where a declaration says nothing: for the schema, and for the plan. */
export const routerDefaults = {
  priority: 100, version: 3, interval: '1s', virtualMac: true, preempt: true, preemptDelay: '0s', accept: true, checksum: 'pseudo-header', unicast: false, minTtl: 255,
  announce: { count: 5, interval: '100ms' },
  script: { interval: '2s', timeout: '2s', rise: 1, fall: 1 },
} as const;

const Cidr = Type.String({ pattern: '^[0-9a-fA-F.:]+(/\\d{1,3})?$', description: 'an IP address, with its prefix length where it is not a single one: 192.0.2.1/24' });
const Address = Type.String({ pattern: '^[0-9a-fA-F.:]+$', description: 'an IP address' });
const Device = Type.String({ pattern: '^[!-.0-9;-~]{1,15}$', description: 'name of an interface of this host' });
/** A name, not a path: what an agent runs lies in its own host's directory of scripts, owned by root. */
const Script = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$', description: 'a file in /etc/godwit/scripts of the host, owned by root and writable by nobody else' });
const Weight = Type.Optional(Type.Integer({ minimum: -253, maximum: 253, description: 'added to the priority while it is up (positive) or down (negative); without, being down is a fault and the router gives up its addresses' }));

/** What a router's readiness hangs on. `process`: a running process of this name (comm, /proc/PID/comm). */
export const TrackSpec = Type.Union([
  Type.Object({ interface: Device, weight: Weight }, closed),
  Type.Object({ route: Cidr, weight: Weight }, closed),
  Type.Object({ bfd: Type.String({ pattern: nameRule.pattern, description: 'a BfdSession of this host: up while that is Up' }), weight: Weight }, closed),
  Type.Object({ process: Type.String({ minLength: 1, maxLength: 15 }), weight: Weight }, closed),
  Type.Object(
    {
      script: Script, weight: Weight,
      interval: Type.Optional({ ...Duration, default: routerDefaults.script.interval }), timeout: Type.Optional({ ...Duration, default: routerDefaults.script.timeout }),
      rise: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: routerDefaults.script.rise })),
      fall: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: routerDefaults.script.fall })),
    },
    closed,
  ),
]);
export type TrackSpec = Static<typeof TrackSpec>;

export const RouterHostSpec = Type.Object(
  {
    interface: Type.Optional(Device),
    priority: Type.Optional(Type.Integer({ minimum: 1, maximum: 255, default: routerDefaults.priority, description: '255: the host owns the addresses' })),
    source: Type.Optional({ ...Address, description: 'address that adverts come from; default: the first of the interface; with unicast the address of the host' }),
    track: Type.Optional(Type.Array(TrackSpec, { maxItems: 32 })),
  },
  closed,
);
export type RouterHostSpec = Static<typeof RouterHostSpec>;

export const VirtualRouterSpec = Type.Object(
  {
    vrid: Type.Integer({ minimum: 1, maximum: 255 }),
    addresses: Type.Array(Cidr, { minItems: 1, maxItems: 255, description: 'all IPv4 or all IPv6; of IPv6 the first is link-local' }),
    /** Interface on every host, where a host does not name its own. */
    interface: Type.Optional(Device),
    version: Type.Optional(Type.Union([Type.Literal(2), Type.Literal(3)], { default: routerDefaults.version })),
    interval: Type.Optional({ ...Duration, default: routerDefaults.interval, description: 'between adverts: version 3 10ms to 40.95s in steps of 10 ms, version 2 whole seconds' }),
    virtualMac: Type.Optional(Type.Boolean({ default: routerDefaults.virtualMac, description: '00:00:5e:00:01:VRID on an interface of its own; without, the host\'s own MAC' })),
    preempt: Type.Optional(Type.Boolean({ default: routerDefaults.preempt })),
    preemptDelay: Type.Optional({ ...Duration, default: routerDefaults.preemptDelay }),
    accept: Type.Optional(Type.Boolean({ default: routerDefaults.accept, description: 'answer what is addressed to the addresses themselves (ping, services), not only forward' })),
    checksum: Type.Optional(Type.Union([Type.Literal('pseudo-header'), Type.Literal('rfc9568')], { default: routerDefaults.checksum, description: 'how IPv4 adverts of version 3 are summed: as keepalived and FRR do it, or without pseudo header' })),
    unicast: Type.Optional(Type.Boolean({ default: routerDefaults.unicast, description: 'adverts go to each of the other hosts\' sources instead of the multicast group' })),
    peers: Type.Optional(Type.Array(Address, { maxItems: 64, description: 'with unicast: others than Godwit\'s hosts' })),
    minTtl: Type.Optional(Type.Integer({ minimum: 1, maximum: 255, default: routerDefaults.minTtl, description: 'adverts with a lower TTL are refused; below 255 only with unicast, for peers behind routers' })),
    group: Type.Optional({ ...Name, description: 'routers of one group are Active together or not at all' }),
    announce: Type.Optional(Type.Object(
      {
        count: Type.Optional(Type.Integer({ minimum: 1, maximum: 20, default: routerDefaults.announce.count })),
        interval: Type.Optional({ ...Duration, default: routerDefaults.announce.interval, description: 'between the first two; doubled each time' }),
        refresh: Type.Optional({ ...Duration, description: 'again and again while Active; default: never' }),
      },
      closed,
    )),
    notify: Type.Optional({ ...Script, description: 'run on every transition, with the arguments ROUTER STATE PRIORITY REASON' }),
    track: Type.Optional(Type.Array(TrackSpec, { maxItems: 32 })),
    hosts: Type.Record(Type.String({ pattern: nameRule.pattern }), RouterHostSpec, { minProperties: 1, maxProperties: 64, additionalProperties: false }),
  },
  closed,
);
export type VirtualRouterSpec = Static<typeof VirtualRouterSpec>;
export const VirtualRouterDeclaration = declaration('VirtualRouter', VirtualRouterSpec);

/** One host's part. Everything in it is text or number: it travels to the agent, to its disk and to the pulse as JSON. Times in ms. */
export interface RouterPlan {
  readonly name: string;
  readonly vrid: number;
  readonly version: 2 | 3;
  readonly family: 4 | 6;
  readonly device: string;
  /** In the order in which adverts list them. */
  readonly addresses: readonly { readonly address: string; readonly prefixLength: number }[];
  /** Of its family; absent: the first of the device, for IPv6 the first link-local one. */
  readonly source?: string;
  readonly priority: number;
  readonly interval: number;
  readonly virtualMac: boolean;
  readonly preempt: boolean;
  readonly preemptDelay: number;
  readonly accept: boolean;
  readonly checksum: 'pseudo-header' | 'rfc9568';
  /** Where adverts go to, and who may send some. Empty: multicast. */
  readonly peers: readonly string[];
  readonly minTtl: number;
  readonly group?: string;
  readonly announce: { readonly count: number; readonly interval: number; readonly refresh?: number };
  readonly notify?: string;
  readonly track: readonly Track[];
}

/** `weight` absent: down is a fault. */
export type Track =
  | { readonly kind: 'interface'; readonly interface: string; readonly weight?: number }
  | { readonly kind: 'route'; readonly route: string; readonly weight?: number }
  /** The session's name. */
  | { readonly kind: 'bfd'; readonly bfd: string; readonly weight?: number }
  | { readonly kind: 'process'; readonly process: string; readonly weight?: number }
  | { readonly kind: 'script'; readonly script: string; readonly interval: number; readonly timeout: number; readonly rise: number; readonly fall: number; readonly weight?: number };

/** `fault`: RFC 9568's Initialize, because something it hangs on is down. */
export type RouterState = 'initialize' | 'fault' | 'backup' | 'active';

/** Why a router changed its state, with what it knew then. Times in ms since the epoch, spans in ms. */
export interface RouterTransition {
  /** Rises with each transition of a pulse; with `pulse` it names one for good. */
  readonly sequence: number;
  /** New with every start of a pulse. */
  readonly pulse: string;
  readonly router: string;
  readonly at: number;
  readonly from: RouterState;
  readonly to: RouterState;
  /** The rule that fired, with its section: `Active_Down_Timer expired (RFC 9568 §6.4.2 (170))`. */
  readonly rule: string;
  readonly priority: number;
  /** The last adverts it saw, newest first, at most 5; `ago` counts from the transition. */
  readonly adverts: readonly { readonly from: string; readonly priority: number; readonly interval: number; readonly ago: number }[];
  /** How late this process itself was: at this decision, and at worst in the last minute. */
  readonly lateness: { readonly now: number; readonly worst: number };
  readonly link: 'up' | 'down';
  /** What is down of that which it tracks. */
  readonly down: readonly string[];
}

/** How one host's part of a virtual router is. */
export interface RouterStatus {
  readonly state: RouterState;
  /** ms since the epoch. */
  readonly since: number;
  /** Why it is not what it could be: the link that is down, the address that another host uses. */
  readonly reason?: string;
  /** Configured, and what tracking left of it. */
  readonly priority: number;
  readonly effectivePriority: number;
  /** Configured, and what it sends by: longer where this host could not hold that (see `lateness`). ms. */
  readonly interval: number;
  readonly effectiveInterval: number;
  /** The last that was heard of whoever is Active. */
  readonly active?: { readonly address: string; readonly priority: number; readonly interval: number; readonly checksum: 'pseudo-header' | 'rfc9568' | 'version-2' };
  /** In what a peer differs from this host: interval, list of addresses, checksum. For people. */
  readonly differences: readonly string[];
  readonly tracks: readonly { readonly what: string; readonly up?: boolean | undefined; readonly weight?: number }[];
  readonly counters: RouterCounters;
  /** Two Actives at a time, how often, and of the last one how long until a neighbour was seen to use this host again. */
  readonly duels: { readonly count: number; readonly lastHealed?: number };
  readonly timing: PulseTiming;
}

export interface RouterCounters {
  readonly sent: number;
  readonly received: number;
  /** By reason: `checksum`, `ttl`, `version`, `truncated`, … */
  readonly dropped: Readonly<Record<string, number>>;
  /** Adverts that could not be sent, by errno, or `peers` while no peer's MAC was known. */
  readonly unsent?: Readonly<Record<string, number>>;
  readonly transitions: number;
}

/** What the pulse measured of itself. Times in ms. */
export interface PulseTiming {
  readonly scheduling: 'realtime' | 'nice' | 'ordinary';
  /** Why not real-time, where it is not. */
  readonly because?: string;
  /** Of its ticks in the last minute. */
  readonly ticks: number;
  readonly median: number;
  readonly p99: number;
  readonly worst: number;
  /** The smallest interval that this host can hold. */
  readonly smallestInterval: number;
}

/** `unknown`: its host is silent, or its agent hears nothing of its pulse; all but `state`, `since` and `reason` is what was heard last. */
export type ShownRouterStatus = Omit<RouterStatus, 'state'> & { readonly state: RouterState | 'unknown' };

export interface VirtualRouterStatus {
  /** Those that have told of it. */
  readonly hosts: Readonly<Record<string, ShownRouterStatus>>;
  /** Hosts that say they are Active: one, if all is well. */
  readonly active: readonly string[];
}
export type VirtualRouterResource = Resource<'VirtualRouter', VirtualRouterSpec, VirtualRouterStatus>;
