/** The policy's alerts, held against what this host measured: which figure of which thing each is about, and what is said of it. */
import type { CounterReport, LinkFigures, TcpFigures } from '../model/counters.ts';
import type { AlertMetric } from '../model/detection-policy.ts';
import type { ClassFigures, PathReport } from '../model/path.ts';
import type { AlertPlan, AlertReport } from '../model/watch-plan.ts';
import { type AlertState, judgeAlert } from '../policy/alert.ts';

/** Of one thing in the last second. `judged` undefined: it is there, and nothing was measured. */
interface Figure {
  readonly on: string;
  /** What is averaged: an average itself where a second alone says little. */
  readonly judged: number | undefined;
  readonly last: number | undefined;
}

interface Entry {
  readonly plan: AlertPlan;
  readonly state: AlertState | undefined;
  /** ms since the epoch: in the last report that had this thing. */
  readonly seen: number;
  readonly report: AlertReport | undefined;
}

/** ms: so long a report says of an alert that it is off. */
const OFF_TOLD = 60_000;
/** ms: a thing that was not there for so long, and for its alert's hold time, has gone. */
const LEAST_GONE = 5000;
/** Segments of all connections in a second: of fewer no share is told. */
const LEAST_SEGMENTS = 20;

const units: Readonly<Record<AlertMetric, 'share' | 'ms' | '/s'>> = {
  'path.loss': 'share', 'path.rtt': 'ms', 'path.jitter': 'ms', 'link.utilization': 'share', 'link.drops': '/s', 'link.errors': '/s',
  'nic.drops': '/s', 'host.softirq': 'share', 'host.lateness': 'ms', 'tcp.retransmits': 'share',
};

export class Alerts {
  #host = '';
  #plans: Readonly<Record<string, AlertPlan>> = {};
  /** By alert, then by thing. */
  readonly #entries = new Map<string, Map<string, Entry>>();

  /** Begins those anew that changed; what went is no longer told of. */
  plan(host: string, plans: Readonly<Record<string, AlertPlan>>): void {
    for (const alert of this.#entries.keys()) {
      const [before, after] = [this.#plans[alert], Object.hasOwn(plans, alert) ? plans[alert] : undefined];
      if (!after || JSON.stringify(before) !== JSON.stringify(after)) this.#entries.delete(alert);
    }
    if (host !== this.#host) this.#entries.clear();
    this.#host = host;
    this.#plans = plans;
  }

  /** Once a second. @param now ms since the epoch @returns those that are on, and those that went off within the last minute */
  second(paths: readonly PathReport[], counters: CounterReport, now: number): AlertReport[] {
    for (const [alert, plan] of Object.entries(this.#plans)) {
      const entries = this.#entries.get(alert) ?? new Map<string, Entry>();
      this.#entries.set(alert, entries);
      for (const figure of figuresOf(plan.metric, paths, counters, this.#host)) {
        const { on } = figure;
        if (plan.on === undefined || plan.on === on) entries.set(on, judged(alert, plan, figure, entries.get(on), now));
      }
      for (const [on, entry] of entries) if (now - entry.seen > Math.max(plan.hold, LEAST_GONE)) this.#gone(entries, on, entry, now);
    }
    return [...this.#entries.values()].flatMap((entries) => [...entries.values()].flatMap(({ report }) =>
      (report && (report.state === 'on' || now - report.since < OFF_TOLD) ? [report] : [])));
  }

  /** An alert on what is no longer there ends, is told of as long as others are, and is forgotten. */
  #gone(entries: Map<string, Entry>, on: string, entry: Entry, now: number): void {
    const { report, plan } = entry;
    if (report?.state === 'on') {
      const because = `${plan.metric} of ${on} is no longer measured: it was last seen ${((now - entry.seen) / 1000).toFixed(0)} s ago`;
      entries.set(on, { ...entry, state: undefined, report: { ...report, state: 'off', since: now, because } });
    } else if (!report || now - report.since >= OFF_TOLD) entries.delete(on);
  }
}

function judged(alert: string, plan: AlertPlan, { on, judged: figure, last }: Figure, entry: Entry | undefined, now: number): Entry {
  if (figure === undefined) return { plan, state: entry?.state, seen: now, report: entry?.report };
  const before = entry?.state;
  const state = judgeAlert(before, plan, figure, now);
  if (state.on === (before?.on ?? false)) return { plan, state, seen: now, report: entry?.report };
  const value = state.on ? state.average : state.judged;
  const [unit, limit] = [units[plan.metric], state.on ? plan.rising : plan.falling];
  const lasted = now - ((state.on ? state.over : state.under) ?? now);
  const because = `${plan.metric} of ${on} ${text(value, unit)}, limit ${text(limit, unit)}, for ${(lasted / 1000).toFixed(0)} s`;
  const report: AlertReport = {
    alert, on, state: state.on ? 'on' : 'off', since: now, value, last: last ?? figure, because, severity: plan.severity,
  };
  return { plan, state, seen: now, report };
}

function text(value: number, unit: 'share' | 'ms' | '/s'): string {
  const number = unit === 'share' ? value * 100 : value;
  const digits = number === 0 || Math.abs(number) >= 100 ? 0 : Math.abs(number) >= 1 ? 1 : 2;
  return `${Number(number.toFixed(digits))}${unit === '/s' ? '/s' : unit === 'ms' ? ' ms' : ' %'}`;
}

function figuresOf(metric: AlertMetric, paths: readonly PathReport[], { links, nics, tcp, host }: CounterReport, name: string): Figure[] {
  const figure = (on: string, value: number | undefined): Figure => ({ on, judged: value, last: value });
  const pathFigures = (value: (report: PathReport) => Omit<Figure, 'on'>): Figure[] =>
    paths.map((report) => ({ on: `${report.peer}/${report.path}`, ...value(report) }));
  const ofLinks = (value: (link: LinkFigures) => number | undefined): Figure[] => links.map((link) => figure(link.name, value(link)));
  switch (metric) {
    case 'path.loss': return pathFigures(({ classes, quality }) => {
      const last = lossOf(classes);
      // A second of few probes says little: the average by probes is judged. It knows nothing of a path of which nothing ever came back.
      return { judged: last === undefined || quality.state === 'unknown' ? last : quality.loss, last };
    });
    case 'path.rtt': return pathFigures(({ classes }) => worst(classes, (rtt) => rtt.mean));
    case 'path.jitter': return pathFigures(({ classes }) => worst(classes, (rtt) => rtt.jitter));
    case 'link.utilization': return ofLinks(({ utilization }) => utilization);
    case 'link.drops': return ofLinks(({ rxDrops, txDrops, queues: [root] }) => rxDrops + txDrops + (root?.drops ?? 0));
    case 'link.errors': return ofLinks(({ rxErrors, txErrors }) => rxErrors + txErrors);
    case 'nic.drops': return nics.map(({ vm, nic, rxDrops, txDrops }) => figure(`${vm}/${nic}`, rxDrops + txDrops));
    case 'host.softirq': return [figure(name, host.softirq)];
    case 'host.lateness': return [figure(name, host.lateness)];
    case 'tcp.retransmits': return [figure(name, retransmits(tcp))];
  }
}

/** Of the class where it is worst. */
function worst(classes: readonly ClassFigures[], value: (rtt: NonNullable<ClassFigures['rtt']>) => number): Omit<Figure, 'on'> {
  const values = classes.flatMap(({ rtt }) => (rtt ? [value(rtt)] : []));
  const most = values.length === 0 ? undefined : Math.max(...values);
  return { judged: most, last: most };
}

/** Of what was settled in that second, all classes together; undefined: nothing was. */
function lossOf(classes: readonly ClassFigures[]): number | undefined {
  const lost = classes.reduce((sum, { lost: { forward, backward, unknown } }) => sum + forward + backward + unknown, 0);
  const settled = classes.reduce((sum, { answered }) => sum + answered, lost);
  return settled === 0 ? undefined : lost / settled;
}

function retransmits(tcp: readonly TcpFigures[]): number | undefined {
  const sent = tcp.reduce((sum, connection) => sum + connection.sent, 0);
  return sent < LEAST_SEGMENTS ? undefined : tcp.reduce((sum, { retransmitted }) => sum + retransmitted, 0) / sent;
}
