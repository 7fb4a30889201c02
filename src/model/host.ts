/** A host: comes into being when its agent joins; the administrator may change what is in its spec. */
import { Type, type Static } from 'typebox';
import { Rate } from './quantity.ts';
import { closed, declaration, nameRule, type Resource } from './resource.ts';
import type { CounterReport } from './counters.ts';
import type { VerdictReport } from './event.ts';

/** Of what is optional in a host's spec. */
export const hostDefaults = { peerPort: 7444, maxBandwidth: '1Gbit/s', moves: 2 } as const;

export const HostSpec = Type.Object(
  {
    address: Type.String({ description: 'IP address on the network that carries migrations and tunnels' }),
    paths: Type.Optional(Type.Record(
      Type.String({ pattern: nameRule.pattern }), Type.String({ pattern: '^[0-9a-fA-F.:]+$', description: 'IP address' }),
      { maxProperties: 8, additionalProperties: false, description: 'further ways between the hosts, by name, each with this host\'s address there; `main` is `address`' },
    )),
    peerPort: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 65535, default: hostDefaults.peerPort, description: 'where the other agents reach this one' }),
    ),
    maxBandwidth: Type.Optional({ ...Rate, default: hostDefaults.maxBandwidth, description: 'of all moves of this host together, per direction' }),
    moves: Type.Optional(Type.Integer({ minimum: 1, maximum: 16, default: hostDefaults.moves, description: 'moves at a time, in and out together' })),
  },
  closed,
);
export type HostSpec = Static<typeof HostSpec>;
export const HostDeclaration = declaration('Host', HostSpec);

/** What the agent found when it started and measures since. All sizes in bytes, times in ms. */
export interface HostStatus {
  /** `silent`: its agent has not reported for longer than the policy allows; what runs there is not known, and not touched. */
  readonly state: 'ready' | 'silent';
  /** By the server's clock. */
  readonly lastReport: number;
  readonly agent: {
    readonly version: string;
    /** New at every start of the agent. */
    readonly instance: string;
    readonly startedAt: number;
    /** User + system time since its start, and resident memory: the agent's own cost. */
    readonly cpuTime: number;
    readonly residentMemory: number;
    /** The longest its event loop was late since its last report, in ms. */
    readonly lateness?: number;
  };
  readonly qemu: string;
  readonly kernel: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly accelerators: readonly string[];
  readonly memory: number;
  readonly freeMemory: number;
  readonly bridges: Readonly<Record<string, { readonly mtu: number }>>;
  readonly missingFeatures: readonly string[];
  /** What the other hosts came to; formed by the server, from memory. */
  readonly verdict?: VerdictReport;
  /** What its monitor counted last, and could not do, in words; from memory, and only where one host is asked for by name. */
  readonly counters?: CounterReport;
  readonly troubles?: readonly string[];
}
/** What an agent says of its host; the rest is the server's. */
export type ReportedHost = Omit<HostStatus, 'state' | 'lastReport' | 'verdict' | 'counters' | 'troubles'>;
export type HostResource = Resource<'Host', HostSpec, HostStatus>;
