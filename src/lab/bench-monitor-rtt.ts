/** Paths with delays of several kinds, which the emulator counts: the monitor's percentiles of the last minute, against the truth. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Native } from '../native/native.ts';
import type { Part } from './bench-cluster.ts';
import { MonitorLab, pathNameOf } from './bench-monitor-lab.ts';
import { type Faults, delayQuantile } from './link-emulator.ts';

const ALLOWED = 0.05;
/** Probes a second. */
const RATE = 200;
/** The probes for the MTU are longer, and not in the figures. */
const COUNTED = { countedTo: 200 } as const;
/** That of `PathReport.window`, ms. */
const WINDOW = 60_000;
const SHARES = [['p50', 0.5], ['p90', 0.9], ['p99', 0.99]] as const;

/** Faults of one way; the other delays by so much always, so that quantiles add up. */
const CASES: readonly { readonly name: string; readonly faults: Faults; readonly back: number }[] = [
  { name: 'uniform', faults: { delay: 5, jitter: 2, seed: 1 }, back: 2 },
  { name: 'normal', faults: { delay: 20, jitter: 4, distribution: 'normal', seed: 2 }, back: 5 },
  { name: 'exponential', faults: { delay: 2, jitter: 3, distribution: 'exponential', seed: 3 }, back: 1 },
  { name: 'reordered', faults: { delay: 4, reorder: 0.05, reorderBy: 12, seed: 4 }, back: 2 },
  { name: 'shaped', faults: { delay: 1, rate: 50_000, queue: 20_000, seed: 5 }, back: 1 },
];

export async function roundTrips(native: Native, say: (line: string) => void): Promise<Part> {
  const lab = await MonitorLab.open(native, CASES.length);
  try {
    for (const [i, { faults, back }] of CASES.entries()) {
      await lab.wire(i).set('left', { ...faults, ...COUNTED });
      await lab.wire(i).set('right', { delay: back, ...COUNTED });
    }
    const monitor = await lab.start({ probing: { rate: RATE }, oneWay: true });
    for (const wire of lab.wires) await wire.forget();
    await pause(WINDOW);
    const before = monitor.report;
    await monitor.until('the report of that minute', () => monitor.report !== before, 5000);
    const figures: Record<string, number> = {};
    let worst = 0;
    let misordered = 0;
    for (const [i, { name, faults }] of CASES.entries()) {
      const { left, right } = await lab.wire(i).truth();
      const astray = [left, right].reduce((n, side) => n + side.overflow + side.sendErrors + side.socketDrops, 0);
      if (astray > 0) throw new Error(`The emulator of ${name} lost ${astray} frames of its own: the figures mean nothing`);
      const window = monitor.path(pathNameOf(i))?.window;
      if (!window?.rtt) throw new Error(`No answer came back on ${name}`);
      const { rtt, reordered } = window;
      const line = SHARES.map(([key, share]) => {
        const truth = delayQuantile(left, share) + delayQuantile(right, 0.5);
        const off = Math.abs(rtt[key] - truth) / truth;
        worst = Math.max(worst, off);
        figures[`rtt${name}${key}OffPercent`] = off * 100;
        return `${key} ${rtt[key].toFixed(2)} (${truth.toFixed(2)})`;
      });
      // Probes of one direction alone are overtaken.
      if ((faults.reorder ?? 0) > 0 ? reordered.forward === 0 : reordered.forward > 0) misordered++;
      if (reordered.backward > 0) misordered++;
      say(`RTT ${name}, monitor (truth) ms: ${line.join(', ')}`);
      say(`  of ${window.answered} answers ${reordered.forward} reordered there, ${reordered.backward} back; the wire held back ${left.reordered}`);
    }
    return {
      figures: { ...figures, rttWorstOffPercent: worst * 100 },
      targets: [
        {
          name: `RTT p50, p90, p99 of a minute, delays ${CASES.map(({ name }) => name).join(', ')}: off the truth by at most`,
          want: `<= ${ALLOWED * 100} %`, got: `${(worst * 100).toFixed(1)} %`, ok: worst <= ALLOWED,
        },
        { name: 'reordering seen where it is, and in its direction alone', want: '0 paths wrong', got: `${misordered}`, ok: misordered === 0 },
      ],
    };
  } finally {
    await lab.close();
  }
}
