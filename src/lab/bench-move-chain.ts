/** Many moves in a row under open TCP sessions: all alive at the end, nothing left behind. */
import { clientTrouble } from '../cli/cli.ts';
import { losses, lossless } from '../model/move.ts';
import type { BenchResult } from './bench-result.ts';
import { holdings, leaks } from './leftovers.ts';
import { Prober } from './prober.ts';
import type { Session } from './session.ts';

export async function chain(session: Session, moves: number, say: (line: string) => void): Promise<Pick<BenchResult, 'figures' | 'targets'>> {
  try {
    const to = session.vm.nics[0]?.addresses[0];
    if (!to) throw new Error('The lab VM has no address');
    // The first moves open what is opened once.
    for (const _host of session.lab.hosts) await session.move();
    const prober = await Prober.start(session.lab.client, { to, sessions: 16 });
    try {
      const before = holdings(session.lab);
      let proven = 0;
      for (let n = 1; n <= moves; n++) {
        const { receipt } = await session.move();
        if (lossless(receipt) && receipt.outcome.kind === 'moved') proven++;
        else say(`chain ${n}: ${JSON.stringify({ outcome: receipt.outcome, nics: receipt.nics, drops: losses(receipt) })}`);
        if (n % 10 === 0) say(`chain ${n}/${moves}`);
      }
      const after = holdings(session.lab);
      const result = await prober.stop();
      const [wrong, left] = [clientTrouble(result), leaks(before, after)];
      return {
        figures: { chainMoves: moves, chainSessionsAlive: result.sessions.alive, chainLost: result.toGuest.lost + result.toClient.lost, chainLargestStall: result.sessions.largestStallMs },
        targets: [
          { name: `${moves} moves in a row (mover alone): TCP sessions alive, nothing lost`, want: `${result.sessions.opened} alive`, got: wrong.length ? wrong.join('; ') : `${result.sessions.alive} alive`, ok: wrong.length === 0 },
          { name: `${moves} moves in a row (mover alone): ledgers that prove no loss`, want: `${moves}`, got: `${proven}`, ok: proven === moves },
          { name: `${moves} moves in a row (mover alone): leaked taps, tunnels, filters, processes, descriptors, namespaces`, want: 'none', got: left.join(', ') || 'none', ok: left.length === 0 },
        ],
      };
    } finally {
      prober.kill();
    }
  } finally {
    await session.close();
  }
}
