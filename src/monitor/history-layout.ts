/**
 * What series there are, and the rings of each: seconds, minutes of 3 days, hours of 8 weeks. How many seconds is what the budget decides:
 * at grade 0 a day of them of a path and 6 hours of everything else, at each further grade half of that.
 *
 * Bytes of a path (RTT, loss in either direction and of all), of a rate, and what fits 200 MB of paths alone and of rates alone:
 *
 * | grade | seconds kept of a path | path | paths | seconds kept of a rate | rate | rates |
 * |---|---|---|---|---|---|---|
 * | 0 | 24 h | 2 582 kB | 77 | 6 h | 382 kB | 523 |
 * | 1 | 12 h | 1 459 kB | 137 | 3 h | 231 kB | 867 |
 * | 2 | 6 h | 898 kB | 222 | 90 min | 155 kB | 1290 |
 * | 3 | 3 h | 617 kB | 324 | 45 min | 117 kB | 1707 |
 * | 4 | 90 min | 476 kB | 419 | 22 min | 98 kB | 2035 |
 * | 5 | 45 min | 406 kB | 491 | 11 min | 89 kB | 2252 |
 *
 * 32 hosts with 2 paths are 62 paths of each: 160 MB at grade 0, which leaves room for the host's own and for 51 links and NICs, both ways.
 */
import { seconds } from '../base/units.ts';
import { type Ring, type SeriesKind, seriesBytes } from '../protocol/time-series.ts';

export const WORST_GRADE = 5;

export interface Layout {
  readonly kind: SeriesKind;
  readonly rings: readonly Ring[];
  readonly bytes: number;
}

type Sort = 'latency' | 'share' | 'rate';

const sorts: readonly (readonly [pattern: RegExp, sort: Sort])[] = [
  [/^path\/[^/]+\/[^/]+\/rtt$/, 'latency'],
  [/^path\/[^/]+\/[^/]+\/loss(?:-forward|-backward)?$/, 'share'],
  [/^(?:link\/[^/]+|nic\/[^/]+\/\d+)\/[rt]x$/, 'rate'],
  [/^host\/(?:softirq|lateness)$/, 'rate'],
];

const DAY = 86_400;
const MINUTES = { step: seconds(60), slots: 3 * 1440 };
const HOURS = { step: seconds(3600), slots: 8 * 7 * 24 };

/** A fine ring counts enough for an hour of a rate, one sample a second. Of answers there are more, and their classes count. */
function ringsOf(sort: Sort, grade: number): readonly Ring[] {
  const slots = Math.floor((sort === 'rate' ? DAY / 4 : DAY) / 2 ** grade);
  return [{ step: seconds(1), slots, fine: true }, { ...MINUTES, fine: sort !== 'share' }, { ...HOURS, fine: sort === 'rate' }];
}

const layouts: Readonly<Record<Sort, readonly Layout[]>> = {
  latency: layoutsOf('latency'), share: layoutsOf('share'), rate: layoutsOf('rate'),
};

function layoutsOf(sort: Sort): readonly Layout[] {
  const kind = sort === 'share' ? 'ratio' : 'gauge';
  return Array.from({ length: WORST_GRADE + 1 }, (_, grade) => {
    const rings = ringsOf(sort, grade);
    return { kind, rings, bytes: seriesBytes(kind, rings) };
  });
}

/** By grade, 0..WORST_GRADE. Undefined: no series has such a name (model/history.ts). */
export function layoutsOfSeries(name: string): readonly Layout[] | undefined {
  const sort = sorts.find(([pattern]) => pattern.test(name))?.[1];
  return sort && layouts[sort];
}
