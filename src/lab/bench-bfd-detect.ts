/**
 * A silent cut of a pair of each program, of both by one transaction: how long after the moment at which a side had to notice (its last
 * packet in and its detection time) its own Down is on the wire.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { formatTable, left, right } from '../cli/cli.ts';
import type { Native } from '../native/native.ts';
import type { Part } from './bench-cluster.ts';
import { type By, MULTIPLIER, PROGRAMS, Pairs } from './bench-bfd-pair.ts';
import { type WireBfd, detectionTime } from './bfd-packet.ts';
import { largest, median, quantile } from './statistics.ts';

const INTERVALS = [300, 50, 10] as const;
const ALLOWED = { median: 2, p95: 5 } as const;
/** ms. */
const PATIENCE = 10_000;

interface Detection {
  readonly by: By;
  readonly interval: number;
  /** ms; below 0: it said so before it was due. */
  readonly past: number;
}

/** `cuts` at each interval; each is seen by the two ends of a pair. */
export async function detections(native: Native, cuts: number, say: (line: string) => void): Promise<Part> {
  const seen: Detection[] = [];
  for (const interval of INTERVALS) {
    const pairs = await Pairs.open(native, { intervals: [interval] });
    try {
      for (let n = 0; n < cuts; n++) {
        const found = await cut(pairs, interval);
        seen.push(...found);
        const words = PROGRAMS.map((by) => `${by} ${pasts(found, by, interval).map((past) => past.toFixed(2)).join(' ')}`);
        say(`${interval} ms x ${MULTIPLIER}, cut ${n + 1}/${cuts}: past due ${words.join(', ')} ms`);
      }
    } finally {
      pairs.close();
    }
  }
  report(seen, say);
  return { figures: figures(seen), targets: targets(seen) };
}

export async function cut(pairs: Pairs, interval: number): Promise<Detection[]> {
  await pairs.ready();
  pairs.watch.forget();
  // At any phase of the interval; and each end has said and heard something since, by which its detection time is known.
  await pause(4 * interval + Math.random() * interval);
  const ends = pairs.programs.flatMap((by) => pairs.hosts(by).map((host) => ({ by, host: host.name })));
  const isDown = (p: WireBfd): boolean => p.direction === 'from' && p.control?.state === 'down';
  const all = Promise.all(ends.map(({ host }) => pairs.watch.until(`${host} says Down`, (p) => p.host === host && isDown(p), PATIENCE)));
  // One end of each pair: neither hears the other.
  const victims = pairs.programs.map((by) => pairs.hosts(by)[0]);
  await Promise.all([all, pairs.lab.silence(...victims)]);
  const said = await all;
  const packets = pairs.watch.drain();
  await pairs.lab.heal(...victims);
  if (pairs.watch.drops() > 0) throw new Error('The lab\'s own sockets lost frames: the figures mean nothing');
  return ends.map(({ by, host }, i) => {
    const down = said[i];
    const before = packets.filter((p) => p.host === host && p.control && down && p.at < down.at);
    const [heard, own] = (['to', 'from'] as const).map((direction) => before.findLast((p) => p.direction === direction));
    if (!down || !heard?.control || !own?.control) throw new Error(`${host} had neither heard nor said anything before it was down`);
    return { by, interval, past: down.at - heard.at - detectionTime(own.control, heard.control) };
  });
}

const pasts = (seen: readonly Detection[], by: By, interval: number): number[] =>
  seen.filter((d) => d.by === by && d.interval === interval).map(({ past }) => past);

function figures(seen: readonly Detection[]): Record<string, number> {
  return Object.fromEntries(PROGRAMS.flatMap((by) => INTERVALS.flatMap((interval) => {
    const past = pasts(seen, by, interval);
    const name = `${by}Past${interval}ms`;
    return [[`${name}Median`, median(past)], [`${name}P95`, quantile(past, 0.95)], [`${name}Min`, Math.min(...past)]];
  })));
}

function targets(seen: readonly Detection[]): Part['targets'] {
  return INTERVALS.map((interval) => {
    const [mine, theirs] = [pasts(seen, 'godwit', interval), pasts(seen, 'bfdd', interval)];
    const [m, p95] = [median(mine), quantile(mine, 0.95)];
    const beside = `bfdd ${median(theirs).toFixed(1)} / ${quantile(theirs, 0.95).toFixed(1)} ms`;
    return {
      name: `silent cut, ${interval} ms x ${MULTIPLIER}: Down past last packet + detection time, median / p95 of ${mine.length} (${beside})`,
      want: `<= ${ALLOWED.median} / <= ${ALLOWED.p95} ms`, got: `${m.toFixed(1)} / ${p95.toFixed(1)} ms`,
      // One that does not wait its detection time has not detected anything.
      ok: m <= ALLOWED.median && p95 <= ALLOWED.p95 && Math.min(...mine) >= 0,
    };
  });
}

function report(seen: readonly Detection[], say: (line: string) => void): void {
  const rows = INTERVALS.flatMap((interval) => PROGRAMS.map((by) => {
    const past = pasts(seen, by, interval);
    const spread = [Math.min(...past), median(past), quantile(past, 0.95), largest(past)];
    return [`${interval} ms x ${MULTIPLIER}`, by, String(past.length), ...spread.map((value) => value.toFixed(2))];
  }));
  const columns = [left('interval'), left('program'), right('n'), ...['least', 'median', 'p95', 'most'].map((head) => right(`${head} ms`))];
  for (const line of formatTable(columns, rows)) say(line);
}
