/** A loss of 3 % on one of two paths, and one that goes to and fro round the limit: when the path is out of use, back, and how often. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Native } from '../native/native.ts';
import type { Part } from './bench-cluster.ts';
import { type LabMonitor, MonitorLab, pathNameOf } from './bench-monitor-lab.ts';
import { largest, median } from './statistics.ts';

const SICK = 1;
const LOSS = 0.03;
const WITHIN = 3000;
/** A path that was taken out stays out for 30 s and longer by the policy's default: shortened here, or the bench would take hours. */
const HOLD = 2000;
const SHORT = { hold: HOLD, holdMost: HOLD, relapse: 1 } as const;
const PATIENCE = 120_000;
/** ms. */
const SWING = 5000;
const SWINGS = 12;
const SWUNG = [0.01, 0.03] as const;

export async function quality(native: Native, runs: number, say: (line: string) => void): Promise<Part> {
  const lab = await MonitorLab.open(native, 2);
  try {
    const monitor = await lab.start({ quality: SHORT });
    const sick = pathNameOf(SICK);
    const state = (name: string): string | undefined => monitor.path(name)?.quality.state;
    const turned = (to: 'fit' | 'unfit') => monitor.turns.find((turn) => turn.path === sick && turn.to === to);
    const [out, back]: [number[], number[]] = [[], []];
    let others = 0;
    for (let n = 0; n < runs; n++) {
      await monitor.until('both paths are fit', () => state(pathNameOf(0)) === 'fit' && state(sick) === 'fit', PATIENCE);
      monitor.turns.length = 0;
      await lab.wire(SICK).set('left', { loss: LOSS, seed: 100 + n });
      const from = Date.now();
      await monitor.until('out of use', () => turned('unfit') !== undefined, PATIENCE);
      out.push((turned('unfit')?.at ?? NaN) - from);
      await lab.wire(SICK).set('left', {});
      const healed = Date.now();
      await monitor.until('back in use', () => turned('fit') !== undefined, PATIENCE);
      back.push((turned('fit')?.at ?? NaN) - healed);
      const [left, returned] = [out, back].map((list) => ((list.at(-1) ?? NaN) / 1000).toFixed(1));
      say(`${LOSS * 100} % loss, ${n + 1}/${runs}: out after ${left} s (${turned('unfit')?.because ?? ''}), back ${returned} s after it healed`);
      others += monitor.turns.filter(({ path }) => path !== sick).length;
    }
    const turns = await swing(lab, monitor, sick);
    const [low, high] = SWUNG;
    say(`loss between ${low * 100} and ${high * 100} %, changed each ${SWING / 1000} s, ${SWINGS} times: ${turns} turns`);
    const worst = largest(out);
    const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
    return {
      figures: {
        unfitMedianS: median(out) / 1000, unfitMostS: worst / 1000, fitMedianS: median(back) / 1000, fitMostS: largest(back) / 1000, swingTurns: turns,
      },
      targets: [
        {
          name: `${LOSS * 100} % loss on one of two paths: out of use (${runs} times, median ${seconds(median(out))})`, want: `<= ${seconds(WITHIN)}`,
          got: `at most ${seconds(worst)}`, ok: out.length === runs && worst <= WITHIN,
        },
        {
          name: `back after it healed (hold shortened to ${seconds(HOLD)}), the other path never touched`, want: `${runs} of ${runs}`,
          got: `${back.length}, at most ${seconds(largest(back))}; ${others} turns of the other`, ok: back.length === runs && others === 0,
        },
        { name: `loss that oscillates round the limit for ${seconds(SWING * SWINGS)}: no flapping`, want: '<= 1 turn', got: `${turns}`, ok: turns <= 1 },
      ],
    };
  } finally {
    await lab.close();
  }
}

async function swing(lab: MonitorLab, monitor: LabMonitor, sick: string): Promise<number> {
  await monitor.until('the path is fit', () => monitor.path(sick)?.quality.state === 'fit', PATIENCE);
  monitor.turns.length = 0;
  for (let n = 0; n < SWINGS; n++) {
    await lab.wire(SICK).set('left', { loss: SWUNG[n % 2] ?? 0, seed: 500 + n });
    await pause(SWING);
  }
  await lab.wire(SICK).set('left', {});
  return monitor.turns.filter(({ path }) => path === sick).length;
}
