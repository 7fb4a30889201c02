/** Reads what an agent tells its monitor: all of it is looked at, since it decides where packets go. */
import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { alertMetrics } from '../model/detection-policy.ts';
import type { WatchPlan } from '../model/watch-plan.ts';
import { MonitorLineInvalid } from './errors.ts';
import type { MonitorCommand } from './monitor-protocol.ts';

const Text = Type.String({ minLength: 1, maxLength: 253 });
const Amount = Type.Number({ minimum: 0 });
const Positive = Type.Number({ exclusiveMinimum: 0 });
const Share = Type.Number({ minimum: 0, maximum: 1 });
const Addresses = Type.Record(Type.String(), Text);
const Limits = Type.Object({ rising: Amount, falling: Amount });

const Plan = Type.Object({
  host: Text,
  local: Addresses,
  peers: Type.Array(Type.Object({ host: Text, addresses: Addresses })),
  paths: Type.Record(Type.String(), Type.Object({
    capacity: Positive, classes: Type.Array(Type.Integer({ minimum: 0, maximum: 63 })),
    mtu: Type.Optional(Type.Integer({ minimum: 68, maximum: 65535 })),
  })),
  detector: Type.Object({ falseAlarmsPerDay: Positive, floor: Amount, ceiling: Amount }),
  probing: Type.Object({
    enabled: Type.Boolean(), rate: Positive, leastRate: Positive, core: Share, link: Share, dwell: Positive, timeout: Positive,
    port: Type.Integer({ minimum: 1, maximum: 65535 }), reflectTo: Type.Array(Text),
  }),
  quality: Type.Object({
    loss: Limits, latency: Type.Optional(Limits), history: Type.Integer({ minimum: 1 }), hold: Amount, holdMost: Amount, relapse: Amount,
  }),
  alerts: Type.Record(Type.String(), Type.Object({
    metric: Type.Union(alertMetrics.map((word) => Type.Literal(word))), rising: Amount, falling: Amount, hold: Amount,
    severity: Type.Union([Type.Literal('info'), Type.Literal('warning'), Type.Literal('alarm')]), on: Type.Optional(Text),
  })),
});

// What passes the check is a WatchPlan for the compiler, too.
type Same<A, B> = A extends B ? true : never;
true satisfies Same<Static<typeof Plan>, WatchPlan>;

const check = Compile(Type.Union([
  Type.Object({
    kind: Type.Literal('plan'), plan: Plan,
    nics: Type.Array(Type.Object({ device: Text, vm: Text, nic: Type.Integer({ minimum: 0 }) })),
  }),
  Type.Object({
    kind: Type.Literal('query'), id: Type.Integer({ minimum: 0 }),
    query: Type.Object({
      host: Text, series: Text, from: Type.Number(), to: Type.Number(), points: Type.Integer({ minimum: 1, maximum: 2000 }),
    }),
  }),
]));

/** @throws MonitorLineInvalid */
export function decodeCommand(value: unknown): MonitorCommand {
  if (check.Check(value)) return value;
  const fault = ({ instancePath, message }: { readonly instancePath: string; readonly message: string }): string =>
    `${instancePath === '' ? 'the command' : instancePath} ${message}`;
  const places = new Set(check.Errors(value).map(fault));
  throw new MonitorLineInvalid([...places].slice(0, 3).join(', '));
}
