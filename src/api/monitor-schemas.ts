/** What agents say of paths, counters, alerts and history (model/), as schemas. Closed and bounded. */
import { Type, type Static, type TProperties } from 'typebox';
import { Name, closed } from '../model/resource.ts';
import { oneOf } from './one-of.ts';

const Text = Type.String({ maxLength: 8192 });
const Word = Type.String({ maxLength: 128 });
const Address = Type.String({ pattern: '^[0-9a-f.:]{2,45}$' });
const Count = Type.Integer({ minimum: 0 });
/** A figure: of packets, bytes, ms, a rate, a share. */
const Amount = Type.Number({ minimum: 0 });
const Instant = Type.Number();
const exactly = <const P extends TProperties>(properties: P) => Type.Object(properties, closed);

const ClassFigures = exactly({
  dscp: Type.Integer({ minimum: 0, maximum: 63 }),
  sent: Amount, answered: Amount,
  lost: exactly({ forward: Amount, backward: Amount, unknown: Amount }),
  late: Amount, duplicates: Amount,
  reordered: exactly({ forward: Amount, backward: Amount }),
  rtt: Type.Optional(exactly({ min: Amount, mean: Amount, max: Amount, p50: Amount, p90: Amount, p99: Amount, jitter: Amount })),
  // Clocks may be off by more than the way takes.
  oneWay: Type.Optional(exactly({ forward: Type.Number(), backward: Type.Number(), error: Type.Optional(Amount) })),
  marking: Type.Optional(exactly({ atReflector: Count, returned: Count })),
});

const State = oneOf(['fit', 'unfit', 'down', 'unknown'] as const);
const PathReport = exactly({
  peer: Name, path: Name, source: Address, destination: Address,
  at: Instant, rate: Amount,
  classes: Type.Array(ClassFigures, { maxItems: 8 }),
  window: ClassFigures,
  mtu: exactly({ wanted: Count, passes: Type.Optional(Count), blackHole: Type.Boolean() }),
  quality: exactly({
    state: State, since: Instant, because: Type.Optional(Text), loss: Amount, slowLoss: Amount, latency: Type.Optional(Amount),
    suspicious: Type.Boolean(), heldUntil: Type.Optional(Instant),
  }),
});

export const PathTurnSchema = exactly({
  sequence: Count,
  monitor: Type.String({ minLength: 1, maxLength: 64 }),
  peer: Name, path: Name, at: Instant, from: State, to: State, because: Text, window: ClassFigures,
});

const rates = {
  rxBytes: Amount, txBytes: Amount, rxPackets: Amount, txPackets: Amount,
  rxDrops: Amount, txDrops: Amount, rxErrors: Amount, txErrors: Amount,
} as const;
const Counters = exactly({
  at: Instant,
  links: Type.Array(exactly({
    ...rates, name: Word, capacity: Type.Optional(Amount), utilization: Type.Optional(Amount),
    queues: Type.Array(exactly({ class: Word, bytes: Amount, packets: Amount, drops: Amount, backlog: Amount }), { maxItems: 4096 }),
  }), { maxItems: 4096 }),
  nics: Type.Array(exactly({ ...rates, vm: Name, nic: Count }), { maxItems: 10_000 }),
  tcp: Type.Array(exactly({
    what: oneOf(['migration', 'server', 'peer'] as const), to: Word, rtt: Amount, rttVariation: Amount,
    retransmitted: Amount, sent: Amount, deliveryRate: Amount, congestionWindow: Amount,
  }), { maxItems: 10_000 }),
  host: exactly({ softirq: Amount, backlogDrops: Amount, squeezed: Amount, lateness: Amount, cost: Amount }),
});

const Alert = exactly({
  alert: Name, on: Word, state: oneOf(['on', 'off'] as const), since: Instant, value: Amount, last: Amount, because: Text,
  severity: oneOf(['info', 'warning', 'alarm'] as const),
});

/** 8 paths and `main` to each of 500 other hosts. */
const MOST_PATHS = 4500;

export const MonitorReportSchema = exactly({
  paths: Type.Array(PathReport, { maxItems: MOST_PATHS }),
  counters: Counters,
  alerts: Type.Array(Alert, { maxItems: 4096 }),
  troubles: Type.Array(Text, { maxItems: 256 }),
});

/** Of a chart: more is not asked for. */
export const MOST_POINTS = 2000;
/** Link names and the like: of a network interface anything but a slash and white space. */
export const SERIES_NAME = '^[!-~]{1,160}$';

const Value = Type.Union([Type.Number(), Type.Null()]);
export const HistorySchema = exactly({
  host: Name, series: Type.String({ pattern: SERIES_NAME }), from: Instant, to: Instant, points: Count,
  kind: oneOf(['gauge', 'ratio'] as const),
  data: Type.Array(exactly({ at: Instant, span: Amount, count: Amount, value: Value, min: Value, max: Value }), { maxItems: MOST_POINTS }),
});
export const HistoryAnswerSchema = Type.Union([
  HistorySchema, exactly({ code: Type.String({ pattern: '^[A-Z0-9_]{1,64}$' }), message: Text }),
]);
export type HistoryAnswerBody = Static<typeof HistoryAnswerSchema>;
