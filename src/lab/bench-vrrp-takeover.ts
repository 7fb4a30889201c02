/** Every fault, at every advert interval, with and without virtual MAC, both programs in turn: how long past what the protocol allows. */
import { formatTable, left, right } from '../cli/cli.ts';
import type { Native } from '../native/native.ts';
import type { Part } from './bench-cluster.ts';
import type { Target } from './bench-result.ts';
import { FAULTS, PROGRAMS, Pair, type Takeover } from './bench-vrrp-pair.ts';
import { largest, median, quantile, sum } from './statistics.ts';

/** The longer the interval, the more pairs of labs may run at once without being in each other's way. */
const INTERVALS = [{ interval: 1000, lanes: 4 }, { interval: 100, lanes: 2 }, { interval: 10, lanes: 1 }] as const;

/** Of each cell of the table, `runs`, half of them with the virtual MAC. */
export async function takeovers(native: Native, runs: number, say: (line: string) => void): Promise<Part> {
  const seen: Takeover[] = [];
  for (const { interval, lanes } of INTERVALS) {
    for (const virtualMac of [true, false]) {
      const count = virtualMac ? Math.ceil(runs / 2) : Math.floor(runs / 2);
      const rounds = FAULTS.flatMap((fault) => Array.from({ length: count }, () => fault));
      // One round after the other is taken by whichever lane is free.
      const lane = async (): Promise<void> => {
        const pairs: Pair[] = [];
        try {
          for (const by of PROGRAMS) pairs.push(await Pair.open(native, { by, interval, virtualMac }));
          for (let fault = rounds.shift(); fault; fault = rounds.shift()) {
            for (const pair of rounds.length % 2 === 0 ? pairs : pairs.toReversed()) {
              const found = await pair.takeover(fault);
              seen.push(found);
              say(line(found));
            }
          }
        } finally {
          for (const pair of pairs) pair.close();
        }
      };
      const results = await Promise.allSettled(Array.from({ length: Math.min(lanes, rounds.length) }, lane));
      for (const result of results) if (result.status === 'rejected') throw result.reason;
    }
  }
  report(seen, say);
  return { figures: figures(seen), targets: targets(seen) };
}

const words = { silent: 'silent death', cut: 'link cut', kill: 'SIGKILL', stop: 'graceful stop' } as const;
const unit = (interval: number): string => (interval === 1000 ? '1 s' : `${interval} ms`);
const ms1 = (value: number): string => value.toFixed(1);
const addressWords = (t: Takeover): string => (t.addressLeft === undefined ? 'address stays' : `address left after ${(t.addressLeft / 1000).toFixed(1)} s`);

function line(t: Takeover): string {
  return `${unit(t.interval)} ${words[t.fault]} ${t.by}${t.virtualMac ? ' vmac' : ''}: lost ${t.lost}, past due ${ms1(t.past)} ms (first advert ${ms1(t.advertPast)} ms)${t.fault === 'kill' ? `, ${addressWords(t)}` : ''}${t.ownLateness > 2 ? `; the stream's sender was late by ${ms1(t.ownLateness)} ms` : ''}`;
}

const outages = (list: readonly Takeover[]): number[] => list.filter((t) => t.fault !== 'stop' && t.lost > 0).map((t) => t.past);

function figures(seen: readonly Takeover[]): Record<string, number> {
  const result: Record<string, number> = {};
  for (const by of PROGRAMS) {
    const mine = seen.filter((t) => t.by === by);
    for (const { interval } of INTERVALS) {
      const past = outages(mine.filter((t) => t.interval === interval));
      if (past.length === 0) continue;
      result[`${by}Past${interval}msMedian`] = median(past);
      result[`${by}Past${interval}msP95`] = quantile(past, 0.95);
    }
    const kills = mine.filter((t) => t.fault === 'kill');
    result[`${by}StopLost`] = sum(mine.filter((t) => t.fault === 'stop').map((t) => t.lost));
    result[`${by}KillAddressLeft`] = kills.filter((t) => t.addressLeft !== undefined).length;
    result[`${by}Kills`] = kills.length;
  }
  return result;
}

function targets(seen: readonly Takeover[]): Target[] {
  const mine = seen.filter((t) => t.by === 'godwit');
  const theirs = seen.filter((t) => t.by === 'keepalived');
  const perInterval = INTERVALS.map(({ interval }): Target => {
    const past = outages(mine.filter((t) => t.interval === interval));
    const [m, p95] = [median(past), quantile(past, 0.95)];
    const other = outages(theirs.filter((t) => t.interval === interval));
    const beside = other.length > 0 ? ` (keepalived ${ms1(median(other))} / ${ms1(quantile(other, 0.95))} ms)` : '';
    return {
      name: `adverts ${unit(interval)}: outage past last advert + down interval, median / p95 of ${past.length}${beside}`, want: '<= 2 / <= 5 ms',
      got: `${ms1(m)} / ${ms1(p95)} ms`, ok: m <= 2 && p95 <= 5,
    };
  });
  const lost = (list: readonly Takeover[]): number => sum(list.filter((t) => t.fault === 'stop').map((t) => t.lost));
  const stops = mine.filter((t) => t.fault === 'stop').length;
  const kills = mine.filter((t) => t.fault === 'kill');
  const gone = (list: readonly Takeover[]): number => list.filter((t) => t.fault === 'kill' && t.addressLeft !== undefined).length;
  const slowest = largest(kills.map((t) => t.addressLeft ?? Infinity)) / 1000;
  return [
    ...perInterval,
    { name: `graceful stop: lost in ${stops} (keepalived ${lost(theirs)})`, want: '0', got: `${lost(mine)}`, ok: stops > 0 && lost(mine) === 0 },
    {
      name: `SIGKILL: the address leaves the dead program's host (keepalived ${gone(theirs)} of ${theirs.filter((t) => t.fault === 'kill').length})`,
      want: `${kills.length} of ${kills.length}`, got: `${gone(mine)} of ${kills.length}, at the latest after ${slowest.toFixed(1)} s`, ok: kills.length > 0 && gone(mine) === kills.length,
    },
  ];
}

function report(seen: readonly Takeover[], say: (line: string) => void): void {
  const spread = (values: readonly number[]): string => (values.length === 0 ? '-' : `${ms1(median(values))} (${ms1(Math.min(...values))}-${ms1(largest(values))})`);
  const rows = INTERVALS.flatMap(({ interval }) => FAULTS.flatMap((fault) => [true, false].map((virtualMac) => [
    unit(interval), words[fault], virtualMac ? 'yes' : 'no',
    ...PROGRAMS.flatMap((by) => {
      const cell = seen.filter((t) => t.by === by && t.interval === interval && t.fault === fault && t.virtualMac === virtualMac);
      const past = cell.filter((t) => t.lost > 0).map((t) => t.past);
      return [spread(cell.map((t) => t.lost)), fault === 'stop' ? '' : spread(past), fault === 'kill' ? `${cell.filter((t) => t.addressLeft !== undefined).length}/${cell.length}` : ''];
    }),
  ])));
  const columns = PROGRAMS.flatMap((by) => [right(`${by} lost`), right('past due ms'), right('address left')]);
  for (const row of formatTable([left('adverts'), left('fault'), left('virtual MAC'), ...columns], rows)) say(row);
}
