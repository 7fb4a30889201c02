/** Both programs, real-time both, beside loops that take all the CPU there is: a session whose other side lives must not fall. */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import type { Native } from '../native/native.ts';
import type { Part } from './bench-cluster.ts';
import { type By, MULTIPLIER, PROGRAMS, Pairs } from './bench-bfd-pair.ts';
import type { WireBfd } from './bfd-packet.ts';
import { pairAddress } from './bfd-lab.ts';

const INTERVALS = [50, 10] as const;
const LOOPS = 4;
/** How often it says how it goes, ms. */
const NEWS = 60_000;
const DETECTION_EXPIRED = 1;

/** Falls of one end, while nothing is cut: from Up to Down, for silence. */
class Falls {
  readonly counts = new Map<string, number>();
  readonly #states = new Map<string, string>();

  note({ host, direction, destination, control }: WireBfd): false {
    if (direction === 'from' && control) {
      const key = `${host} ${destination}`;
      const fell = this.#states.get(key) === 'up' && control.state === 'down' && control.diagnostic === DETECTION_EXPIRED;
      if (fell) this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
      this.#states.set(key, control.state);
    }
    return false;
  }
}

export async function busy(native: Native, minutes: number, say: (line: string) => void): Promise<Part> {
  const falls = new Falls();
  const pairs = await Pairs.open(native, { intervals: INTERVALS, keep: (packet) => falls.note(packet) });
  const loops: ChildProcess[] = [];
  // Of both ends.
  const count = (by: By, pair: number): number => {
    const [one, other] = pairs.hosts(by);
    const of = (name: string, peer: number): number => falls.counts.get(`${name} ${pairAddress(pair, peer)}`) ?? 0;
    return of(one.name, other.number) + of(other.name, one.number);
  };
  const wordsOf = (by: By): string => `${by} ${INTERVALS.map((interval, pair) => `${count(by, pair)} at ${interval} ms`).join(', ')}`;
  try {
    falls.counts.clear();
    for (let i = 0; i < LOOPS; i++) loops.push(spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' }));
    for (const end = performance.now() + minutes * 60_000; ; ) {
      const left = end - performance.now();
      if (left <= 0) break;
      await pause(Math.min(NEWS, left));
      say(`${LOOPS} loops, false downs so far: ${PROGRAMS.map(wordsOf).join('; ')}`);
    }
    pairs.watch.drain();
    if (pairs.watch.drops() > 0) throw new Error('The lab\'s own sockets lost frames: the figures mean nothing');
    const name = (interval: number, beside: number): string =>
      `${LOOPS} busy loops, real-time scheduling, ${interval} ms x ${MULTIPLIER}: false downs in ${minutes} min (bfdd ${beside})`;
    const [slow, fast] = INTERVALS.map((interval, pair) => ({ interval, mine: count('godwit', pair), theirs: count('bfdd', pair) }));
    if (!slow || !fast) throw new Error('Two intervals are measured');
    return {
      figures: {
        busyMinutes: minutes,
        ...Object.fromEntries(INTERVALS.flatMap((interval, pair) => PROGRAMS.map((by) => [`${by}FalseDowns${interval}ms`, count(by, pair)]))),
      },
      targets: [
        { name: name(slow.interval, slow.theirs), want: '0', got: String(slow.mine), ok: slow.mine === 0 },
        { name: name(fast.interval, fast.theirs), want: `<= ${fast.theirs}`, got: String(fast.mine), ok: fast.mine <= fast.theirs },
      ],
    };
  } finally {
    for (const loop of loops) loop.kill('SIGKILL');
    pairs.close();
  }
}
