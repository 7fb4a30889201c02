/** What sessions cost: CPU time of a program by how many it has, each sending and hearing at 50 ms. */
import { setTimeout as pause } from 'node:timers/promises';
import { formatError } from '../base/error.ts';
import { formatTable, left, right } from '../cli/cli.ts';
import type { Native } from '../native/native.ts';
import type { Part } from './bench-cluster.ts';
import { type By, PROGRAMS, Pairs } from './bench-bfd-pair.ts';

const INTERVAL = 50;
const SESSIONS = [1, 50, 200] as const;
/** ms. */
const WINDOW = 10_000;

interface Cost {
  readonly by: By;
  readonly sessions: number;
  /** Of one core, by one end. */
  readonly share: number;
  /** Sessions that fell meanwhile, of both ends. */
  readonly downs: number;
  /** Packets that the lab's own sockets missed: with any, what fell is not known. */
  readonly unseen: number;
}

async function measure(native: Native, by: By, sessions: number): Promise<Cost> {
  let downs = 0;
  const pairs = await Pairs.open(native, {
    intervals: Array.from({ length: sessions }, () => INTERVAL), programs: [by],
    keep: ({ direction, control }) => {
      if (direction === 'from' && control?.state === 'down' && control.diagnostic !== 0) downs++;
      return false;
    },
  });
  try {
    downs = 0;
    pairs.watch.drops();
    const [from, since] = [pairs.cpu(by), performance.now()];
    await pause(WINDOW);
    const share = (pairs.cpu(by) - from) / 2 / ((performance.now() - since) / 1000);
    pairs.watch.drain();
    return { by, sessions, share, downs, unseen: pairs.watch.drops() };
  } finally {
    pairs.close();
  }
}

export async function costs(native: Native, say: (line: string) => void): Promise<Part> {
  const seen: Cost[] = [];
  for (const sessions of SESSIONS) {
    for (const by of PROGRAMS) {
      const found = await measure(native, by, sessions).catch((error: unknown) => {
        // The other one's 200 do not always come up where two of it share the processors: that is a result, too.
        if (by === 'godwit') throw error;
        say(`${sessions} sessions of ${by}: ${formatError(error)}`);
        return { by, sessions, share: NaN, downs: sessions, unseen: 0 };
      });
      seen.push(found);
      say(`${sessions} sessions of ${by}: ${(found.share * 100).toFixed(1)} % of a core`);
    }
  }
  const fell = (cost: Cost | undefined): string => (!cost ? '-' : cost.unseen > 0 ? 'unknown' : String(cost.downs));
  const rows = seen.map((cost) => {
    const { by, sessions, share } = cost;
    return [String(sessions), by, `${(share * 100).toFixed(2)} %`, ((share / sessions) * 1e6).toFixed(0), fell(cost)];
  });
  const columns = [right('sessions'), left('program'), right('of a core'), right('µs per session and second'), right('fell')];
  for (const line of formatTable(columns, rows)) say(line);
  const most = Math.max(...SESSIONS);
  const at = (by: By): Cost | undefined => seen.find((cost) => cost.by === by && cost.sessions === most);
  const [mine, theirs] = [at('godwit'), at('bfdd')];
  const share = mine?.share ?? Infinity;
  return {
    figures: Object.fromEntries(seen.flatMap(({ by, sessions, share: core, downs }) =>
      [[`${by}Core${sessions}Sessions`, core], [`${by}Downs${sessions}Sessions`, downs]])),
    targets: [{
      name: `${most} sessions at ${INTERVAL} ms on one core, none falls (bfdd ${((theirs?.share ?? NaN) * 100).toFixed(1)} %, ${fell(theirs)} down)`,
      want: '< 100 % of a core, 0 down',
      got: `${(share * 100).toFixed(1)} %, ${fell(mine)} down`, ok: share < 1 && mine?.downs === 0 && mine.unseen === 0,
    }],
  };
}
