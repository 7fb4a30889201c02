/** Both programs beside loops that take all the CPU there is, with the right to real-time scheduling and without: nobody may fall for it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import type { Native } from '../native/native.ts';
import type { Part } from './bench-cluster.ts';
import type { Target } from './bench-result.ts';
import { type By, PROGRAMS, Pair, type Takeover } from './bench-vrrp-pair.ts';
import { largest, median } from './statistics.ts';
import type { WireAdvert } from './vrrp-advert.ts';
import { STILL_WANTED } from './vrrp-watch.ts';

const INTERVAL = 10;
const LOOPS = 4;
/** ms. */
const SOAK = 60_000;
/** Beyond 3 effective intervals and skew, ms. */
const ALLOWED = 5;
/** Adverts of the Backup that are closer to each other belong to one takeover, ms. */
const EPISODE = 1000;

interface Side {
  readonly by: By;
  readonly realtime: boolean;
  readonly pair: Pair;
}

export async function busy(native: Native, deaths: number, say: (line: string) => void): Promise<Part> {
  const sides: Side[] = [];
  const loops: ChildProcess[] = [];
  try {
    for (const by of PROGRAMS) {
      for (const realtime of [true, false]) sides.push({ by, realtime, pair: await Pair.open(native, { by, realtime, interval: INTERVAL, virtualMac: true }) });
    }
    for (const { pair } of sides) pair.watch.forget(STILL_WANTED);
    const from = Date.now();
    for (let i = 0; i < LOOPS; i++) loops.push(spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' }));
    await pause(SOAK);
    const found: Found[] = [];
    for (const side of sides) found.push({ ...side, takeovers: falseTakeovers(side.pair.watch.drain(), from), effective: effective(side.pair), deaths: [] });
    for (const one of found) say(`${LOOPS} loops, ${SOAK / 1000} s, ${words(one)}: ${one.takeovers} false takeovers, adverts every ${one.effective} ms`);
    for (let n = 0; n < deaths; n++) {
      for (const one of found) {
        const death = await one.pair.takeover('silent');
        one.deaths.push(death);
        say(`${LOOPS} loops, silent death ${n + 1}/${deaths}, ${words(one)}: past due ${death.past.toFixed(1)} ms (first advert ${death.advertPast.toFixed(1)} ms), lost ${death.lost}`);
      }
    }
    return { figures: figures(found), targets: found.filter(({ by }) => by === 'godwit').flatMap((one) => targets(one, found)) };
  } finally {
    for (const loop of loops) loop.kill('SIGKILL');
    for (const { pair } of sides) pair.close();
  }
}

interface Found extends Side {
  readonly takeovers: number;
  /** Of r1's last advert, ms. */
  readonly effective: number;
  readonly deaths: Takeover[];
}

const words = ({ by, realtime }: Side): string => `${by} ${realtime ? 'real-time' : 'without real-time'}`;

/** How often r2 began to speak, although r1 lives. */
function falseTakeovers(adverts: readonly WireAdvert[], from: number): number {
  const spoken = adverts.filter((a) => a.at >= from && a.router === 'r2' && a.direction === 'from' && a.priority > 0);
  return spoken.filter((a, i) => a.at - (spoken[i - 1]?.at ?? 0) > EPISODE).length;
}

const effective = (pair: Pair): number => pair.watch.drain().findLast((a) => a.router === 'r1' && a.direction === 'from')?.interval ?? NaN;

function figures(found: readonly Found[]): Record<string, number> {
  return Object.fromEntries(found.flatMap(({ by, realtime, takeovers, effective: interval, deaths }) => {
    const name = `${by}Busy${realtime ? 'Realtime' : 'Ordinary'}`;
    const past = deaths.map((death) => death.past);
    return [[`${name}False`, takeovers], [`${name}Interval`, interval], [`${name}PastMedian`, median(past)], [`${name}PastMax`, largest(past)]];
  }));
}

function targets(mine: Found, found: readonly Found[]): Target[] {
  const theirs = found.find((one) => one.by === 'keepalived' && one.realtime === mine.realtime);
  const how = mine.realtime ? 'with real-time scheduling' : 'without real-time scheduling';
  const past = largest(mine.deaths.map((death) => death.past));
  return [
    {
      name: `${LOOPS} busy loops, ${how}, adverts ${INTERVAL} ms: false takeovers in ${SOAK / 1000} s (keepalived ${theirs?.takeovers ?? '-'})`, want: '0',
      got: `${mine.takeovers}, effective interval ${mine.effective} ms`, ok: mine.takeovers === 0,
    },
    {
      name: `the same, ${mine.deaths.length} silent deaths: outage past 3 effective intervals + skew (keepalived ${largest(theirs?.deaths.map((death) => death.past) ?? []).toFixed(1)} ms)`,
      want: `<= ${ALLOWED} ms`, got: `at most ${past.toFixed(1)} ms`, ok: mine.deaths.length > 0 && past <= ALLOWED,
    },
  ];
}
