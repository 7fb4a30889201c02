/** AgentReport (agent-protocol.ts) as a schema: whatever an agent sends, the control plane sees only what has this form. */
import { Type, type Static } from 'typebox';
import { sagaPhases } from '../model/migration.ts';
import type { Receipt } from '../model/move.ts';
import { Name } from '../model/resource.ts';
import { AddressesReportSchema } from './address-schemas.ts';
import type { AgentReport } from './agent-protocol.ts';
import { BfdStatusSchema, BfdTransitionSchema, PeerOpinionSchema, SESSION_NAME } from './bfd-schemas.ts';
import { MonitorReportSchema, PathTurnSchema } from './monitor-schemas.ts';
import { oneOf } from './one-of.ts';
import { RouterStatusSchema, RouterTransitionSchema } from './router-schemas.ts';

const Text = Type.String({ maxLength: 8192 });
const Short = Type.String({ maxLength: 256 });
const Amount = Type.Number({ minimum: 0 });

const Role = oneOf(['source', 'destination'] as const);
// A newer agent may say more than this server knows: additional properties are let through.
const Placement = Type.Object({ host: Name, epoch: Type.Integer({ minimum: 0 }), start: Type.Integer({ minimum: 0 }) });
const VmReport = Type.Object({
  name: Name,
  placement: Placement,
  state: oneOf(['starting', 'running', 'paused', 'incoming', 'in-doubt', 'stopped', 'ended', 'gone'] as const),
  reason: Type.Optional(Text),
  move: Type.Optional(Short),
});
const MigrationEnd = Type.Union([
  Type.Object({ kind: Type.Literal('moved'), undrained: Type.Optional(Text) }),
  Type.Object({ kind: Type.Literal('cancelled') }),
  Type.Object({ kind: Type.Literal('rolled-back'), reason: Text }),
  Type.Object({ kind: Type.Literal('dead'), reason: Text, at: Role }),
  Type.Object({ kind: Type.Literal('stranded'), reason: Text }),
  Type.Object({ kind: Type.Literal('refused'), reasons: Type.Array(Text, { maxItems: 1000 }) }),
  Type.Object(
    { kind: Type.Literal('possible'), warnings: Type.Array(Text, { maxItems: 1000 }), notes: Type.Array(Text, { maxItems: 1000 }) },
  ),
]);
const MigrationProgress = Type.Object({
  fraction: Type.Number({ minimum: 0, maximum: 1 }),
  pass: Amount, transferred: Amount, remaining: Amount, throughput: Amount, dirtyRate: Amount,
  timeLeft: Type.Optional(Amount),
  slow: Type.Optional(Text),
});
const MoveReport = Type.Object({
  migration: Type.String({ pattern: '^[a-z0-9-]{1,80}$' }),
  move: Type.String({ pattern: '^[0-9a-f]{6}$' }),
  role: Role,
  phase: oneOf(sagaPhases),
  inDoubt: Type.Optional(Text),
  progress: Type.Optional(MigrationProgress),
  decision: Type.Optional(oneOf(['committed', 'aborted'] as const)),
  end: Type.Optional(MigrationEnd),
  // Kept and shown as it is; nothing is decided from it.
  receipt: Type.Optional(Type.Unsafe<Receipt>({ type: 'object' })),
});
const HostFacts = Type.Object({
  agent: Type.Object({
    version: Short, instance: Short, startedAt: Type.Number(), cpuTime: Amount, residentMemory: Amount, lateness: Type.Optional(Amount),
  }),
  qemu: Short, kernel: Short, cpu: Short,
  cpus: Amount,
  accelerators: Type.Array(Short, { maxItems: 16 }),
  memory: Amount, freeMemory: Amount,
  bridges: Type.Record(Type.String(), Type.Object({ mtu: Amount })),
  missingFeatures: Type.Array(Text, { maxItems: 256 }),
});

export const AgentReportSchema = Type.Object({
  instance: Type.String({ minLength: 1, maxLength: 64 }),
  sequence: Type.Integer({ minimum: 0 }),
  host: HostFacts,
  vms: Type.Array(VmReport, { maxItems: 10_000 }),
  moves: Type.Array(MoveReport, { maxItems: 1000 }),
  routers: Type.Optional(Type.Record(Name, RouterStatusSchema, { maxProperties: 1000, additionalProperties: false })),
  addresses: Type.Optional(AddressesReportSchema),
  // What a pulse keeps unseen, twice over.
  transitions: Type.Optional(Type.Array(Type.Union([RouterTransitionSchema, BfdTransitionSchema]), { maxItems: 2000 })),
  sessions: Type.Optional(Type.Record(Type.String({ pattern: SESSION_NAME }), BfdStatusSchema, { maxProperties: 10_000, additionalProperties: false })),
  opinions: Type.Optional(Type.Array(PeerOpinionSchema, { maxItems: 1000 })),
  monitor: Type.Optional(MonitorReportSchema),
  troubles: Type.Optional(Type.Array(Text, { maxItems: 256 })),
  turns: Type.Optional(Type.Array(PathTurnSchema, { maxItems: 2000 })),
});

/** Does not compile when schema and protocol part ways. */
export const asAgentReport = (body: Static<typeof AgentReportSchema>): AgentReport => body;
export type AgentReportBody = Static<typeof AgentReportSchema>;
