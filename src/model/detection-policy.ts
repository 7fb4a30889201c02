/** How failures are seen, paths measured and judged, and what is done about them: the parts of the Policy that DETECT has. */
import { Type, type Static } from 'typebox';
import { STAMP_PORT } from '../wire/stamp.ts';
import { Duration, Rate } from './quantity.ts';
import { closed, nameRule } from './resource.ts';

/** What is meant where the policy says nothing. */
export const detectionDefaults = {
  paths: { capacity: '1Gbit/s', classes: [0] },
  detect: { bfd: true, interval: '100ms', multiplier: 3, falseAlarmsPerDay: 0.01, floor: '150ms', ceiling: '5s', observers: 2 },
  monitor: { probes: true, rate: 100, leastRate: 1, core: 0.05, link: 0.001, dwell: '60s', timeout: '1s', port: STAMP_PORT },
  quality: { loss: { rising: 0.02, falling: 0.005 }, history: 400, hold: '30s', holdMost: '15min', relapse: '30min' },
  act: { path: 'act', bandwidth: 'advise', target: 'act', evacuate: 'advise', priority: 'advise', limit: 4, within: '10min' },
  alert: { hold: '10s', severity: 'warning' },
} as const;

const share = (description: string, byDefault: number) => Type.Optional(Type.Number({ minimum: 0, maximum: 1, default: byDefault, description }));
const time = (description: string, byDefault: string) => Type.Optional({ ...Duration, description, default: byDefault });

export const PathPolicySpec = Type.Object(
  {
    capacity: Type.Optional({ ...Rate, default: detectionDefaults.paths.capacity, description: 'of the slowest link in it' }),
    classes: Type.Optional(Type.Array(Type.Integer({ minimum: 0, maximum: 63 }), { minItems: 1, maxItems: 8, uniqueItems: true, description: 'DSCPs that traffic really uses there; default: 0' })),
    mtu: Type.Optional(Type.Integer({ minimum: 576, maximum: 65535, description: 'IP packets that must get through; default: what the interface takes' })),
  },
  closed,
);

export const DetectSpec = Type.Object(
  {
    bfd: Type.Optional(Type.Boolean({ default: detectionDefaults.detect.bfd, description: 'a BFD session between every two hosts on each path' })),
    interval: time('of these sessions', detectionDefaults.detect.interval),
    multiplier: Type.Optional(Type.Integer({ minimum: 1, maximum: 255, default: detectionDefaults.detect.multiplier })),
    falseAlarmsPerDay: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1000, default: detectionDefaults.detect.falseAlarmsPerDay, description: 'of one path whose peer lives: what the measured jitter is held against' })),
    floor: time('a silence shorter than this is none', detectionDefaults.detect.floor),
    ceiling: time('one of this length always is', detectionDefaults.detect.ceiling),
    observers: Type.Optional(Type.Integer({ minimum: 2, maximum: 64, default: detectionDefaults.detect.observers, description: 'so many hosts must miss one before it is called dead' })),
  },
  closed,
);

export const MonitorSpec = Type.Object(
  {
    probes: Type.Optional(Type.Boolean({ default: detectionDefaults.monitor.probes, description: 'STAMP between the hosts (RFC 8762)' })),
    rate: Type.Optional(Type.Number({ minimum: 0.1, maximum: 1000, default: detectionDefaults.monitor.rate, description: 'probes a second on each path and class, as long as the budget has room' })),
    leastRate: Type.Optional(Type.Number({ minimum: 0.1, maximum: 1000, default: detectionDefaults.monitor.leastRate, description: 'rather than fewer than this to all, the paths take turns' })),
    core: share('of one processor that probing may take on a host', detectionDefaults.monitor.core),
    link: share('of each path\'s capacity', detectionDefaults.monitor.link),
    dwell: time('how long a turn takes', detectionDefaults.monitor.dwell),
    timeout: time('a probe unanswered for this long is lost', detectionDefaults.monitor.timeout),
    port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65535, default: detectionDefaults.monitor.port, description: 'UDP port of the reflectors' })),
    reflectTo: Type.Optional(Type.Array(Type.String({ pattern: '^[0-9a-fA-F.:]+(/\\d{1,3})?$' }), { maxItems: 64, description: 'addresses or prefixes of others whose probes are answered (STAMP, TWAMP Light)' })),
  },
  closed,
);

export const QualitySpec = Type.Object(
  {
    loss: Type.Optional(Type.Object({ rising: Type.Number({ exclusiveMinimum: 0, maximum: 1 }), falling: Type.Number({ minimum: 0, maximum: 1 }) }, closed)),
    latency: Type.Optional(Type.Object({ rising: Duration, falling: Duration }, { ...closed, description: 'RTT; default: not judged' })),
    history: Type.Optional(Type.Integer({ minimum: 20, maximum: 100_000, default: detectionDefaults.quality.history, description: 'probes that the quick average remembers' })),
    hold: time('a path that was taken out stays out for this long', detectionDefaults.quality.hold),
    holdMost: time('doubled each time it falls again, up to this', detectionDefaults.quality.holdMost),
    relapse: time('falling again within this is again', detectionDefaults.quality.relapse),
  },
  closed,
);

export type ActionMode = 'off' | 'advise' | 'act';
const mode = (description: string, byDefault: ActionMode) =>
  Type.Optional(Type.Union([Type.Literal('off'), Type.Literal('advise'), Type.Literal('act')], { default: byDefault, description }));

/** `advise` writes to the events what `act` would do. */
export const ActSpec = Type.Object(
  {
    path: mode('take a sick path between hosts out of use, and bring it back', detectionDefaults.act.path),
    bandwidth: mode('lower the bandwidth of a move that makes its path sick', detectionDefaults.act.bandwidth),
    target: mode('prefer hosts with sound paths for what is placed or moved without a host being named', detectionDefaults.act.target),
    evacuate: mode('move VMs live off a host whose VM network is sick', detectionDefaults.act.evacuate),
    priority: mode('lower the priority of the virtual routers of a host whose paths are sick', detectionDefaults.act.priority),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: detectionDefaults.act.limit, description: 'actions of one kind on one host (of paths: on one path between two hosts) …' })),
    within: time('… in this time', detectionDefaults.act.within),
  },
  closed,
);

export const alertMetrics = [
  'path.loss', 'path.rtt', 'path.jitter', 'link.utilization', 'link.drops', 'link.errors', 'nic.drops', 'host.softirq', 'host.lateness', 'tcp.retransmits',
] as const;
export type AlertMetric = (typeof alertMetrics)[number];

export const AlertSpec = Type.Object(
  {
    metric: Type.Unsafe<AlertMetric>(Type.Union(alertMetrics.map((word) => Type.Literal(word)), { description: 'shares 0..1 for loss, utilization, softirq, retransmits; ms for rtt, jitter, lateness; per second for drops and errors' })),
    rising: Type.Number({ minimum: 0, description: 'at or above: on' }),
    falling: Type.Number({ minimum: 0, description: 'at or below: off; less than rising' }),
    hold: time('for so long without a break, either way', detectionDefaults.alert.hold),
    severity: Type.Optional(Type.Union([Type.Literal('info'), Type.Literal('warning'), Type.Literal('alarm')], { default: detectionDefaults.alert.severity })),
    host: Type.Optional(Type.String({ pattern: nameRule.pattern, description: 'of this host alone' })),
    on: Type.Optional(Type.String({ minLength: 1, maxLength: 80, description: 'of this path, link or NIC (VM/N) alone' })),
  },
  closed,
);
export type AlertSpec = Static<typeof AlertSpec>;

const named = { additionalProperties: false } as const;
const NamePattern = Type.String({ pattern: nameRule.pattern });

/** To be spread into PolicySpec. */
export const detectionSpecs = {
  paths: Type.Optional(Type.Record(NamePattern, PathPolicySpec, { ...named, description: 'by name; `main` is that of the hosts\' addresses' })),
  detect: Type.Optional(DetectSpec),
  monitor: Type.Optional(MonitorSpec),
  quality: Type.Optional(QualitySpec),
  act: Type.Optional(ActSpec),
  alerts: Type.Optional(Type.Record(NamePattern, AlertSpec, named)),
  webhooks: Type.Optional(Type.Array(Type.String({ pattern: '^https?://[^\\s]{1,500}$', description: 'told of alerts, verdicts and actions: POST of JSON' }), { maxItems: 8 })),
} as const;
