/** Random losses by nft, which counts them, one way on each path: how much and which way, by the monitor's word. */
import { setTimeout as pause } from 'node:timers/promises';
import { askNft, runNft } from '../host/nft.ts';
import type { Host } from '../host/host.ts';
import type { Native } from '../native/native.ts';
import type { Part } from './bench-cluster.ts';
import { type HostName, MonitorLab, PROBING, deviceOf, pathNameOf } from './bench-monitor-lab.ts';
import { sum } from './statistics.ts';

const PROBES = 2000;
const ALLOWED = 0.003;
/** Each way at each share: those that reach `at` are dropped there. Per mille. */
const CASES = [5, 20, 50].flatMap((perMille) => [{ at: 'b', perMille }, { at: 'a', perMille }] as const);
const TABLE = 'godwit_bench';

interface Sums {
  sent: number;
  forward: number;
  backward: number;
  unknown: number;
}

export async function losses(native: Native, say: (line: string) => void): Promise<Part> {
  const lab = await MonitorLab.open(native, CASES.length);
  try {
    const monitor = await lab.start();
    const sums = CASES.map((): Sums => ({ sent: 0, forward: 0, backward: 0, unknown: 0 }));
    monitor.onReport(({ paths }) => {
      for (const [i, total] of sums.entries()) {
        const of = paths.find(({ path }) => path === pathNameOf(i))?.classes[0];
        total.sent += of?.sent ?? 0;
        for (const way of ['forward', 'backward', 'unknown'] as const) total[way] += of?.lost[way] ?? 0;
      }
    });
    for (const [name, host] of [['a', lab.a], ['b', lab.b]] as const) await runNft(host, rules(name));
    await monitor.until(`${PROBES} probes`, () => sums.every(({ sent }) => sent >= PROBES), (PROBES / PROBING.rate) * 1000 * 5);
    const [truthA, truthB] = [await dropped(lab.a), await dropped(lab.b)];
    for (const host of [lab.a, lab.b]) await runNft(host, `flush table inet ${TABLE}`);
    // Those under way are lost or found by then, and told of in the next report.
    await pause(PROBING.timeout + 2500);
    monitor.onReport(undefined);
    const found = CASES.map(({ at, perMille }, i) => {
      const total = sums[i] ?? { sent: 0, forward: 0, backward: 0, unknown: 0 };
      const drops = (at === 'a' ? truthA : truthB).get(deviceOf(i)) ?? NaN;
      const [right, wrong] = at === 'b' ? [total.forward, total.backward] : [total.backward, total.forward];
      const way = at === 'b' ? 'forward' : 'backward';
      return { perMille, way, sent: total.sent, drops, right, wrong, unknown: total.unknown, off: Math.abs(right - drops) / total.sent };
    });
    for (const { perMille, way, drops, right, wrong, unknown, sent } of found) {
      const otherwise = `${wrong} the other way, ${unknown} it does not know which`;
      say(`loss ${perMille / 10} % ${way}: nft dropped ${drops}, the monitor lost ${right} that way, ${otherwise}, of ${sent}`);
    }
    const worst = Math.max(...found.map(({ off }) => off));
    const [wrong, unknown] = [sum(found.map((one) => one.wrong)), sum(found.map((one) => one.unknown))];
    return {
      figures: {
        lossWorstPoints: worst * 100, lossWrongWay: wrong, lossUnknownWay: unknown, lossProbes: Math.min(...found.map(({ sent }) => sent)),
      },
      targets: [
        {
          name: `losses of 0.5, 2 and 5 % one way, ${PROBES} probes or more: off the truth by at most`, want: `<= ${ALLOWED * 100} points`,
          got: `${(worst * 100).toFixed(2)} points`, ok: worst <= ALLOWED,
        },
        {
          name: `the direction of each of ${sum(found.map(({ right }) => right)) + wrong + unknown} losses`, want: '0 wrong, 0 unknown',
          got: `${wrong} wrong, ${unknown} unknown`, ok: wrong === 0 && unknown === 0,
        },
      ],
    };
  } finally {
    await lab.close();
  }
}

/**
 * Before any socket: what comes in for the reflector at b, and what comes back at a; not the long probes for the MTU, which are not in
 * these figures.
 */
function rules(at: HostName): string {
  const port = at === 'b' ? `udp dport ${PROBING.port}` : `udp sport ${PROBING.port}`;
  const lines = CASES.flatMap((one, i) => {
    const device = `"${deviceOf(i)}"`;
    return one.at === at ? [`iifname ${device} ${port} meta length < 400 numgen random mod 1000 < ${one.perMille} counter drop comment ${device}`] : [];
  });
  return `table inet ${TABLE} { chain in { type filter hook prerouting priority raw; policy accept;\n${lines.join('\n')}\n}\n}\n`;
}

/** Of libnftables-json(5). */
interface ListedTable {
  readonly nftables: readonly {
    readonly rule?: { readonly comment?: string; readonly expr: readonly { readonly counter?: { readonly packets: number } }[] };
  }[];
}

/** By device. */
async function dropped(host: Host): Promise<ReadonlyMap<string, number>> {
  // What nft lists of the table above has this shape.
  const { nftables } = JSON.parse(await askNft(host, ['list', 'table', 'inet', TABLE])) as ListedTable;
  return new Map(nftables.flatMap(({ rule }) => {
    const counted = rule?.expr.find(({ counter }) => counter)?.counter;
    return rule?.comment === undefined || !counted ? [] : [[rule.comment, counted.packets] as const];
  }));
}
