/** Paths as the hosts at their beginnings tell of them: in no store (derived.ts), a name is FROM/TO/PATH. */
import type { Clock } from '../base/clock.ts';
import { type PathReport, pathName } from '../model/path.ts';
import type { PathOpinion } from '../protocol/failure-detector.ts';
import { Derived } from './derived.ts';
import type { View } from './draft.ts';
import type { Liveness } from './liveness.ts';
import type { PathRecord } from './records.ts';

/** Whether moves and tunnels from one to the other use it, and why not (or why, although it is sick). */
export type PathUse = (view: View, from: string, to: string, path: string) => { readonly use: boolean; readonly because?: string };

export const pathsOf = (live: Liveness, clock: Clock, inUse: PathUse): Derived<'Path'> =>
  new Derived('Path', clock, { records: (view, now) => recordsOf(view, live, clock, now, inUse), lasting });

/** Figures come every second, and are no change: who wants them lists. */
function lasting({ spec, status }: PathRecord): unknown {
  const { report: { quality, mtu }, heard, inUse, because } = status;
  return { spec, state: quality.state, since: quality.since, mtu, heard, inUse, because };
}

function recordsOf(view: View, live: Liveness, clock: Clock, now: number, inUse: PathUse): Map<string, PathRecord> {
  const records = new Map<string, PathRecord>();
  for (const { host: from, report } of live.reports(clock.monotonic())) {
    const host = view.get('hosts', from);
    if (!host) continue;
    for (const said of report.monitor?.paths ?? []) {
      if (!view.get('hosts', said.peer)) continue;
      const opinion = report.opinions?.find(({ peer }) => peer === said.peer)?.paths.find(({ path }) => path === said.path);
      const { path, peer: to, source, destination } = said;
      const { use, because } = inUse(view, from, to, path);
      const silent = host.status?.state === 'silent';
      records.set(pathName({ from, to, path }), {
        spec: { from, to, path, source, destination },
        status: {
          report: silent ? outdated(said, from, now) : said, ...(opinion ? heardOf(opinion, silent) : {}),
          inUse: use, ...(because === undefined ? {} : { because }),
        },
      });
    }
  }
  return new Map([...records].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Its figures are what they were. */
function outdated(said: PathReport, from: string, now: number): PathReport {
  const because = `${from} is silent: this is what it said ${Math.round((now - said.at) / 1000)} s ago (${said.quality.state})`;
  return { ...said, quality: { ...said.quality, state: 'unknown', because } };
}

function heardOf({ state, phi, timeout, falseAlarmsPerDay }: PathOpinion, silent: boolean): Partial<PathRecord['status']> {
  return { heard: silent ? 'unknown' : state, phi, timeout, ...(falseAlarmsPerDay === undefined ? {} : { falseAlarmsPerDay }) };
}
