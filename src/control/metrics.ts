/** What the server tells Prometheus. Every label is one of a bounded set: hosts and paths that there are, states, codes of this program. */
import type { EventSpec } from '../model/event.ts';
import type { VmState } from '../model/vm-spec.ts';
import { Metric, labelText } from '../monitor/metrics-exposition.ts';
import type { View } from './draft.ts';
import type { PathRecord, Row } from './records.ts';
import type { Verdicts } from './verdicts.ts';

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly type: 'gauge' | 'counter';
  readonly name: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** Occurrences since the server began, by labels. */
export class Tally {
  readonly #counts = new Map<string, { readonly labels: Sample['labels']; value: number }>();

  add(labels: Sample['labels']): void {
    const key = labelText(labels);
    const known = this.#counts.get(key);
    if (known) known.value++;
    else this.#counts.set(key, { labels, value: 1 });
  }

  samples(): readonly Sample[] {
    return [...this.#counts.values()];
  }
}

export const countEvents = (tally: Tally, events: readonly EventSpec[]): void => {
  for (const { reason, severity } of events) tally.add({ reason, severity });
};

const hostStates = ['ready', 'silent', 'unknown'] as const;
const verdictKinds = ['dead', 'path-down', 'one-way', 'gray', 'self', 'fine', 'unknown'] as const;
const vmStates = [
  'stopped', 'starting', 'running', 'paused', 'moving', 'in-doubt', 'failed', 'unknown',
] as const satisfies readonly VmState[];
const pathStates = ['fit', 'unfit', 'down', 'unknown'] as const;
const migrationEnds = ['moved', 'cancelled', 'rolled-back', 'dead', 'stranded', 'refused', 'possible', 'not-ended'] as const;

/** Of what is now; what counts up comes with `events`. */
export function families(view: View, paths: readonly Row<PathRecord>[], verdicts: Verdicts, events: Tally): readonly Family[] {
  const hosts = view.rows('hosts').map(({ record }) => record.status?.state ?? 'unknown');
  const vms = view.rows('vms').map(({ record }) => record.status.state);
  const ends = view.rows('migrations').map(({ record }) => record.status.end?.kind ?? 'not-ended');
  return [
    gauge('godwit_hosts', 'Hosts by state; unknown: not heard of yet.', byState(hostStates, hosts)),
    gauge('godwit_vms', 'VMs by state.', byState(vmStates, vms)),
    gauge('godwit_migrations', 'Migrations that are kept, by their end.', byState(migrationEnds, ends, 'end')),
    gauge('godwit_host_verdict', '1: the verdict on a host, of its observers together.', 
      [...verdicts.all()].flatMap(([host, { verdict }]) =>
        verdictKinds.map((kind) => ({ labels: { host, verdict: kind }, value: kind === verdict ? 1 : 0 })))),
    gauge('godwit_path_state', '1: how the path is, by the host that it begins at.', paths.flatMap(({ record: { spec, status } }) =>
      pathStates.map((state) => ({ labels: { ...ends2(spec), state }, value: state === status.report.quality.state ? 1 : 0 })))),
    gauge('godwit_path_in_use', 'Whether moves between the two hosts use the path.', paths.map(({ record: { spec, status } }) =>
      ({ labels: ends2(spec), value: status.inUse ? 1 : 0 }))),
    { type: 'counter', name: 'godwit_events_total', help: 'Events written since the server began.', samples: events.samples() },
  ];
}

const ends2 = ({ from, to, path }: PathRecord['spec']): Sample['labels'] => ({ from, to, path });
const gauge = (name: string, help: string, samples: readonly Sample[]): Family => ({ type: 'gauge', name, help, samples });

/** Of every state how many, also of those in which there are none: a series that comes and goes cannot be alarmed on. */
function byState(states: readonly string[], found: readonly string[], label = 'state'): Sample[] {
  return [...new Set([...states, ...found])].map((state) =>
    ({ labels: { [label]: state }, value: found.filter((one) => one === state).length }));
}

/** Prometheus' exposition format. */
export function exposition(all: readonly Family[]): string {
  const lines = all.flatMap(({ type, name, help, samples }) => {
    const metric = new Metric(type, name, help);
    for (const { labels, value } of samples) metric.set(labelText(labels), value, 0);
    return metric.lines(0);
  });
  return `${lines.join('\n')}\n`;
}
