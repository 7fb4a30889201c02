/** Moves that go back: cancelled in the middle, or with a pause that outgrows its limit. */
import { clientTrouble } from '../cli/cli.ts';
import { setTimeout as pause } from 'node:timers/promises';
import { ms } from '../base/units.ts';
import type { BenchResult } from './bench-result.ts';
import { holdings, leaks } from './leftovers.ts';
import { Prober } from './prober.ts';
import type { Session, SessionMove } from './session.ts';

/** Each way to go back, in turn: the phase at whose beginning the move is cancelled, or a pause limit that cannot be held. */
const ways = ['emptying', 'stopping', 'finishing', 'pause'] as const;

function goingBack(way: (typeof ways)[number]): SessionMove {
  if (way === 'pause') return { policy: { maxPause: ms(1) } };
  const cancel = new AbortController();
  return { signal: cancel.signal, onProgress: ({ phase }) => phase === way && cancel.abort() };
}

export async function wayBack(session: Session, tries: number, say: (line: string) => void): Promise<Pick<BenchResult, 'figures' | 'targets'>> {
  try {
    const nic = session.vm.nics[0];
    const wrong: string[] = [];
    let lost = 0;
    let held = 0;
    let back = 0;
    // The first one opens what is opened once.
    await session.move(goingBack('finishing'));
    const before = holdings(session.lab);
    for (let n = 0; n < tries; n++) {
      const way = ways[n % ways.length] ?? 'pause';
      const to = nic?.addresses[n % 2];
      if (!to) throw new Error('The lab VM has no address');
      const prober = await Prober.start(session.lab.client, { to });
      try {
        await pause(200);
        const { receipt } = await session.move(goingBack(way));
        await pause(200);
        const result = await prober.stop();
        const found = clientTrouble(result);
        wrong.push(...found);
        lost += result.toGuest.lost + result.toClient.lost;
        held += receipt.nics.reduce((n, { held: h }) => n + h, 0);
        if (receipt.outcome.kind === 'rolled-back') back++;
        else wrong.push(`${way}: ${receipt.outcome.kind}`);
        say(`back ${n + 1}/${tries} ${way}: ${receipt.outcome.kind}, held ${receipt.nics.map((x) => x.held).join('+')}, gap ${result.toClient.largestGapMs.toFixed(0)} ms; ${found.join(', ') || 'nothing lost, in order'}${receipt.notes.length ? ` (${receipt.notes.join('; ')})` : ''}`);
      } finally {
        prober.kill();
      }
    }
    const left = leaks(before, holdings(session.lab));
    return {
      figures: { backTries: tries, backLost: lost, backHeldFrames: held },
      targets: [
        { name: `${tries} moves that go back (mover alone): guest runs on at the source`, want: `${tries}`, got: `${back}`, ok: back === tries },
        { name: `${tries} moves that go back (mover alone): lost, duplicated, out of order (${held} frames held)`, want: '0', got: wrong.length ? wrong.join('; ') : '0', ok: wrong.length === 0 },
        { name: `${tries} moves that go back (mover alone): nothing left behind`, want: 'none', got: left.join(', ') || 'none', ok: left.length === 0 },
      ],
    };
  } finally {
    await session.close();
  }
}
