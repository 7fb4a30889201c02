/** Faults that are found or not: full-size packets that vanish without a word, and a DSCP that somebody on the way rewrites. */
import { runNft } from '../host/nft.ts';
import type { Native } from '../native/native.ts';
import type { Part } from './bench-cluster.ts';
import { MonitorLab, deviceOf, pathNameOf } from './bench-monitor-lab.ts';
import { largest } from './statistics.ts';

const WITHIN = 10_000;
const PATIENCE = 30_000;
const HOLES = [1499, 1400, 1280] as const;
const EF = 46;
const CS1 = 8;
const TABLE = 'godwit_bench';

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

export async function finds(native: Native, runs: number, say: (line: string) => void): Promise<Part> {
  const [holes, rewritten] = [await blackHoles(native, runs, say), await rewrites(native, say)];
  return { figures: { ...holes.figures, ...rewritten.figures }, targets: [...holes.targets, ...rewritten.targets] };
}

async function blackHoles(native: Native, runs: number, say: (line: string) => void): Promise<Part> {
  const lab = await MonitorLab.open(native, 1);
  try {
    const monitor = await lab.start();
    const mtu = () => monitor.path(pathNameOf(0))?.mtu;
    const took: number[] = [];
    let wrong = 0;
    for (let n = 0; n < runs; n++) {
      await monitor.until('1500 bytes pass', () => mtu()?.passes === 1500 && mtu()?.blackHole === false, PATIENCE);
      const passes = HOLES[n % HOLES.length] ?? 1400;
      await lab.wire(0).set('left', { mtu: passes });
      const from = performance.now();
      await monitor.until('a black hole', () => mtu()?.blackHole === true, PATIENCE);
      const found = performance.now() - from;
      took.push(found);
      // The search narrows it down from report to report.
      await monitor.until('what passes', () => mtu()?.passes === passes, WITHIN).catch(() => wrong++);
      const sized = performance.now() - from;
      say(`black hole over ${passes} bytes: found after ${seconds(found)}, what passes (${mtu()?.passes ?? 'unknown'}) after ${seconds(sized)}`);
      await lab.wire(0).set('left', {});
    }
    return {
      figures: { blackHoleMostS: largest(took) / 1000, blackHoleWrongSize: wrong },
      targets: [{
        name: `an MTU black hole is found (${runs} times), with the size that passes`, want: `<= ${seconds(WITHIN)}, 0 wrong`,
        got: `at most ${seconds(largest(took))}, ${wrong} wrong`,
        ok: took.length === runs && largest(took) <= WITHIN && wrong === 0,
      }],
    };
  } finally {
    await lab.close();
  }
}

async function rewrites(native: Native, say: (line: string) => void): Promise<Part> {
  const lab = await MonitorLab.open(native, 1);
  try {
    const monitor = await lab.start({ classes: [0, EF] });
    const marking = (dscp: number) => monitor.path(pathNameOf(0))?.classes.find((one) => one.dscp === dscp)?.marking;
    await monitor.until('EF arrives as it is', () => marking(EF)?.atReflector === EF && marking(EF)?.returned === EF, PATIENCE);
    const rule = `iifname "${deviceOf(0)}" ip dscp ef ip dscp set cs1`;
    await runNft(lab.b, `table inet ${TABLE} { chain in { type filter hook prerouting priority mangle; ${rule}\n}\n}\n`);
    const from = performance.now();
    const turned = monitor.until('EF arrives as CS1', () => marking(EF)?.atReflector === CS1, PATIENCE);
    const found = await turned.then(() => performance.now() - from, () => Infinity);
    const other = marking(0);
    const untouched = other?.atReflector === 0 && other.returned === 0;
    say(`EF rewritten to CS1 on the way: found after ${seconds(found)}; default class ${untouched ? 'untouched' : JSON.stringify(other)}`);
    const ok = found < Infinity && untouched;
    return {
      figures: { dscpFoundS: found / 1000 },
      targets: [{ name: 'a DSCP rewritten on the way is found, in its class alone', want: 'found', got: ok ? `after ${seconds(found)}` : 'not so', ok }],
    };
  } finally {
    await lab.close();
  }
}
