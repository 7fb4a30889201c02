/**
 * Silent splits that heal: for a while both hosts have the service's address, then one gives it up. How long until the clients of the one
 * that gave it up are with the other. The hosts do not forward, so that what still goes to the wrong one is lost, and seen.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Native } from '../native/native.ts';
import type { Part } from './bench-cluster.ts';
import { type By, PROGRAMS, Pair } from './bench-vrrp-pair.ts';
import { largest, median } from './statistics.ts';
import { STILL_WANTED } from './vrrp-watch.ts';

const INTERVAL = 100;
/** After the other became Active, and after the split has healed, ms. */
const SPLIT = 300;
const HEALED = 2000;
const ALLOWED = 200;

interface Split {
  readonly by: By;
  readonly virtualMac: boolean;
  /** Largest gap of the stream since the split healed; as long as it was watched when nothing came any more. ms. */
  readonly gap: number;
}

export async function splits(native: Native, count: number, say: (line: string) => void): Promise<Part> {
  const series = PROGRAMS.flatMap((by) => [true, false].map((virtualMac) => ({ by, virtualMac })));
  const results = await Promise.allSettled(series.map(async ({ by, virtualMac }) => {
    const pair = await Pair.open(native, { by, virtualMac, interval: INTERVAL, forwarding: false });
    try {
      const seen: Split[] = [];
      while (seen.length < count) {
        const gap = await split(pair);
        seen.push({ by, virtualMac, gap });
        say(`split ${seen.length}/${count} ${by}${virtualMac ? ' vmac' : ''}: gap after healing ${gap.toFixed(0)} ms${gap > HEALED * 0.9 ? ' and longer' : ''}`);
      }
      return seen;
    } finally {
      pair.close();
    }
  }));
  const seen = results.flatMap((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
  const gaps = (by: By, virtualMac: boolean): number[] => seen.filter((s) => s.by === by && s.virtualMac === virtualMac).map((s) => s.gap);
  const over = (values: readonly number[]): number => values.filter((gap) => gap > ALLOWED).length;
  return {
    figures: Object.fromEntries(series.flatMap(({ by, virtualMac }) => {
      const values = gaps(by, virtualMac);
      const name = `${by}Heal${virtualMac ? 'Vmac' : ''}`;
      return [[`${name}Median`, median(values)], [`${name}Max`, largest(values)], [`${name}Over${ALLOWED}ms`, over(values)]];
    })),
    targets: [true, false].map((virtualMac) => {
      const [mine, theirs] = [gaps('godwit', virtualMac), gaps('keepalived', virtualMac)];
      return {
        name: `${count} silent splits healed, ${virtualMac ? 'with' : 'without'} virtual MAC: gap after healing (keepalived median ${median(theirs).toFixed(0)} ms, ${over(theirs)} over ${ALLOWED} ms)`,
        want: `<= ${ALLOWED} ms in each`, got: `at most ${largest(mine).toFixed(0)} ms, median ${median(mine).toFixed(0)} ms`, ok: largest(mine) <= ALLOWED,
      };
    }),
  };
}

/** r1 is cut off until r2 is Active as well; resolves to the largest gap after the healing. */
async function split(pair: Pair): Promise<number> {
  await pair.ready();
  pair.watch.forget(STILL_WANTED);
  pair.lab.forgetNeighbours();
  const flow = await pair.lab.serviceFlow();
  try {
    const both = pair.watch.until(`r2 of ${pair.options.by} is Active in a split`, (a) => a.router === 'r2' && a.direction === 'from' && a.priority > 0);
    await Promise.all([both, pair.lab.silence(pair.r1)]);
    await pause(SPLIT);
    await flow.report();
    await pair.lab.heal(pair.r1);
    await pause(HEALED);
    const { largestGapMs } = await flow.report();
    return largestGapMs;
  } finally {
    flow.kill();
  }
}
