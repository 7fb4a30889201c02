/** What travels over HTTP, as schemas: they check requests and make the OpenAPI document. */
import { Type, type Static, type TSchema } from 'typebox';
import { BfdSessionDeclaration, BfdSessionSpec } from '../model/bfd-session.ts';
import { HostDeclaration, HostSpec } from '../model/host.ts';
import { MigrationSpec } from '../model/migration.ts';
import { NetworkDeclaration, NetworkSpec } from '../model/network.ts';
import { PolicyDeclaration, PolicySpec } from '../model/cluster-policy.ts';
import { Labels, Name, closed, kinds } from '../model/resource.ts';
import { VirtualRouterDeclaration, VirtualRouterSpec } from '../model/virtual-router.ts';
import { VmDeclaration, VmSpec } from '../model/vm-spec.ts';
import { MOST_POINTS, SERIES_NAME } from './monitor-schemas.ts';

/** Of any resource: migrations and events have longer names than what is declared. */
const AnyName = Type.String({ pattern: '^[a-z0-9]([a-z0-9-]{0,78}[a-z0-9])?$' });
export const NameParameter = Type.Object({ name: AnyName }, closed);
export type NameParameter = Static<typeof NameParameter>;
/** Of an address (NETWORK/ADDRESS) or a path (FROM/TO/PATH), in one piece of the URL's path (`web%2F10.1.0.5`). */
export const DerivedParameter = Type.Object({ name: Type.String({ minLength: 1, maxLength: 130 }) }, closed);

const Flag = Type.Union([Type.Literal('true'), Type.Literal('false')]);
export const ListQuery = Type.Object(
  {
    label: Type.Optional(
      Type.Union(
        [Type.String({ pattern: '^[^=]+=' }), Type.Array(Type.String({ pattern: '^[^=]+=' }), { maxItems: 32 })],
        { description: 'key=value; several must all hold' },
      ),
    ),
    last: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,5}$', description: 'the newest so many' })),
    since: Type.Optional(Type.String({ pattern: '^[0-9]{1,16}$', description: 'of events: those since then, ms since the epoch' })),
    watch: Type.Optional(
      { ...Flag, description: 'a stream of server-sent events `change` instead: all there is, `synced`, then every change' },
    ),
  },
  closed,
);
export type ListQuery = Static<typeof ListQuery>;
export const ApplyQuery = Type.Object({ dryRun: Type.Optional(Flag) }, closed);
export type ApplyQuery = Static<typeof ApplyQuery>;
export const StopQuery = Type.Object({ force: Type.Optional(Flag) }, closed);
export type StopQuery = Static<typeof StopQuery>;
export const HistoryQueryString = Type.Object(
  {
    series: Type.String({ pattern: SERIES_NAME, description: 'like path/PEER/PATH/rtt, link/NAME/rx, nic/VM/0/tx, host/softirq' }),
    from: Type.String({ pattern: '^[0-9]{1,16}$', description: 'ms since the epoch' }),
    to: Type.String({ pattern: '^[0-9]{1,16}$', description: 'ms since the epoch' }),
    points: Type.String({ pattern: '^[1-9][0-9]{0,3}$', description: `at most, 1 to ${MOST_POINTS}` }),
  },
  closed,
);
export const HistoryIdParameter = Type.Object({ id: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }) }, closed);
export type HistoryIdParameter = Static<typeof HistoryIdParameter>;
export type HistoryQueryString = Static<typeof HistoryQueryString>;
export const NoQuery = Type.Object({}, closed);

/** Only what makes it a document: the control plane finds all faults of all documents at once. */
export const ApplyBody = Type.Array(
  Type.Object({ kind: Type.String(), name: Type.String() }, { additionalProperties: true }), { maxItems: 10_000 },
);
export type ApplyBody = Static<typeof ApplyBody>;

export const TokenBody = Type.Object(
  { ttl: Type.Number({ description: 'ms until it expires, at most 24 h' }) }, closed,
);
export type TokenBody = Static<typeof TokenBody>;

export const JoinBody = Type.Object(
  {
    name: Name,
    spec: HostSpec,
    tokenId: Type.String({ pattern: '^[A-Za-z0-9_-]{4,64}$' }),
    secret: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }),
    request: Type.String({ maxLength: 4096, description: 'PKCS #10, PEM' }),
  },
  closed,
);
export type JoinBody = Static<typeof JoinBody>;
export const RenewBody = Type.Object({ request: Type.String({ maxLength: 4096, description: 'PKCS #10, PEM' }) }, closed);
export type RenewBody = Static<typeof RenewBody>;

/** A resource as the server answers with it. */
const resource = (kind: (typeof kinds)[number], spec: TSchema) =>
  Type.Object({
    kind: Type.Literal(kind), name: AnyName, labels: Type.Optional(Labels),
    spec, status: Type.Optional(Type.Unknown()), revision: Type.Integer(),
  });
export const resources = {
  Host: resource('Host', HostSpec), Network: resource('Network', NetworkSpec), Vm: resource('Vm', VmSpec),
  VirtualRouter: resource('VirtualRouter', VirtualRouterSpec),
  BfdSession: resource('BfdSession', BfdSessionSpec),
  Path: Type.Object({
    kind: Type.Literal('Path'), name: Type.String({ description: 'FROM/TO/PATH' }),
    spec: Type.Object({ from: Name, to: Name, path: Name, source: Type.String(), destination: Type.String() }),
    status: Type.Unknown(), revision: Type.Integer(),
  }),
  Address: Type.Object({
    kind: Type.Literal('Address'), name: Type.String(), spec: Type.Object({ network: Type.String(), address: Type.String() }),
    status: Type.Unknown(), revision: Type.Integer(),
  }),
  Migration: resource('Migration', MigrationSpec), Policy: resource('Policy', PolicySpec),
  Event: resource('Event', Type.Object({
    at: Type.Number(), severity: Type.String(), about: Type.Unknown(), host: Type.Optional(Type.String()),
    reason: Type.String(), message: Type.String(),
    evidence: Type.Optional(Type.Unknown({ description: 'what was known when it was decided: of a transition, a path\'s turn, a verdict, an alert, an action' })),
  })),
} as const;
/** Documents that may be applied, for whoever reads the OpenAPI document. */
export const declarations = {
  Host: HostDeclaration, Network: NetworkDeclaration, Vm: VmDeclaration, VirtualRouter: VirtualRouterDeclaration,
  BfdSession: BfdSessionDeclaration, Policy: PolicyDeclaration,
} as const;

export const listOf = (item: TSchema) => Type.Object({ items: Type.Array(item) });
const Change = Type.Union([Type.Literal('created'), Type.Literal('changed'), Type.Literal('unchanged')]);
export const AppliedList = Type.Array(Type.Object({ kind: Type.String(), name: Type.String(), change: Change }));
export const Token = Type.Object({ token: Type.String(), expiresAt: Type.Number() });
export const Version = Type.Object({ version: Type.String() });
export const Health = Type.Object({ status: Type.Literal('ok') });
export const Joined = Type.Object({ ca: Type.String(), certificate: Type.String() });
export type Joined = Static<typeof Joined>;
export const Acknowledged = Type.Object({
  acknowledged: Type.Array(Type.String()),
  transitions: Type.Optional(Type.Object({ pulse: Type.String(), sequence: Type.Integer() })),
  turns: Type.Optional(Type.Object({ monitor: Type.String(), sequence: Type.Integer() })),
});

const FaultSchema = Type.Object({ document: Type.Integer(), path: Type.String(), message: Type.String() });
export const Checked = Type.Object({ warnings: Type.Array(FaultSchema) });
export const ProblemSchema = Type.Object(
  {
    type: Type.String(), title: Type.String(), status: Type.Integer(), detail: Type.String(), code: Type.String(),
    faults: Type.Optional(Type.Array(FaultSchema)),
  },
  { description: 'Problem details (RFC 9457)' },
);
