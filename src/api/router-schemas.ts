/** What agents say of virtual routers (model/virtual-router.ts), as schemas. A newer agent may say more. */
import { Type } from 'typebox';
import { Name } from '../model/resource.ts';
import { oneOf } from './one-of.ts';

const Text = Type.String({ maxLength: 8192 });
const Short = Type.String({ maxLength: 256 });
const Count = Type.Integer({ minimum: 0 });
/** By reason. */
const Counts = Type.Record(Type.String({ maxLength: 64 }), Count, { maxProperties: 64 });
/** ms */
const Span = Type.Number({ minimum: 0 });
const Priority = Type.Integer({ minimum: 0, maximum: 255 });
const State = oneOf(['initialize', 'fault', 'backup', 'active'] as const);

export const RouterTransitionSchema = Type.Object({
  sequence: Count,
  pulse: Type.String({ minLength: 1, maxLength: 64 }),
  router: Name,
  at: Type.Number(),
  from: State,
  to: State,
  rule: Text,
  priority: Priority,
  // The pulse says at most 5: an event stays as small as it is.
  adverts: Type.Array(Type.Object({ from: Short, priority: Priority, interval: Span, ago: Type.Number() }), { maxItems: 16 }),
  lateness: Type.Object({ now: Type.Number(), worst: Type.Number() }),
  link: oneOf(['up', 'down'] as const),
  down: Type.Array(Short, { maxItems: 64 }),
});

export const RouterStatusSchema = Type.Object({
  state: State,
  since: Type.Number(),
  reason: Type.Optional(Text),
  priority: Priority,
  effectivePriority: Priority,
  interval: Span,
  effectiveInterval: Span,
  active: Type.Optional(Type.Object({
    address: Short, priority: Priority, interval: Span, checksum: oneOf(['pseudo-header', 'rfc9568', 'version-2'] as const),
  })),
  differences: Type.Array(Text, { maxItems: 64 }),
  // `undefined` does not travel as JSON: not known is not there.
  tracks: Type.Array(Type.Object({ what: Short, up: Type.Optional(Type.Boolean()), weight: Type.Optional(Type.Integer()) }), { maxItems: 64 }),
  counters: Type.Object({ sent: Count, received: Count, dropped: Counts, unsent: Type.Optional(Counts), transitions: Count }),
  duels: Type.Object({ count: Count, lastHealed: Type.Optional(Span) }),
  timing: Type.Object({
    scheduling: oneOf(['realtime', 'nice', 'ordinary'] as const), because: Type.Optional(Text),
    ticks: Count, median: Span, p99: Span, worst: Span, smallestInterval: Span,
  }),
});
