/** What became of the VM, in a sentence, and what there is to do about it. */
import { unreachable } from '../base/error.ts';
import type { Receipt } from '../model/move.ts';
import { type ClientView, clientTrouble } from './client-view.ts';
import { type Tally, tally } from './proof.ts';
import { count } from './text.ts';

export interface Headline {
  readonly text: string;
  readonly why?: string;
  readonly todo?: string;
}

/** `Nothing was lost` is only said when the books show it and the client, if there was one, saw nothing else. */
export function headline(receipt: Receipt, client?: ClientView): Headline {
  const { outcome, vm, from, to } = receipt;
  const trouble = client ? clientTrouble(client) : [];
  const books = tally(receipt);
  const saw = trouble.length > 0 ? ` The client saw: ${trouble.join(', ')}.` : '';
  switch (outcome.kind) {
    case 'moved':
      return { text: `${vm} moved from ${from} to ${to}; ${afterMove(books, trouble.length > 0)}${saw}` };
    case 'rolled-back':
      return {
        text: `${vm} stays on ${from} and runs there; the move to ${to} was taken back. ${afterWayBack(receipt, books)}${saw}`,
        why: outcome.reason,
        todo: `Nothing now; ${to} keeps nothing of it. See to the reason, then move it again.`,
      };
    case 'dead':
      return {
        text: `${vm} RUNS NOWHERE: its QEMU ended during the move from ${from} to ${to}.${saw}`,
        why: outcome.reason,
        todo: `See to the reason, then start it anew: godwit vm start ${vm}.`,
      };
    case 'stranded': {
      const { text, todo } = stranded(receipt);
      return { text: `${text}${saw}`, why: outcome.reason, todo };
    }
    default:
      return unreachable(outcome);
  }
}

function afterMove({ doubts, missing, redirected, dropped }: Tally, trouble: boolean): string {
  if (missing > 0) return `${missing} of ${count(redirected, 'redirected frame')} ${missing === 1 ? 'was' : 'were'} lost.`;
  if (dropped > 0) return `all redirected frames arrived, but queues on their way dropped ${count(dropped, 'frame')}.`;
  if (doubts.length > 0) return 'it is not proven that nothing was lost.';
  if (trouble) return 'its books show no loss, but its client saw trouble.';
  return 'nothing was lost.';
}

function afterWayBack({ phases }: Receipt, { doubts, missing, redirected }: Tally): string {
  if (missing > 0) return `${missing} of ${count(redirected, 'redirected frame')} did not come back.`;
  if (doubts.length > 0) return 'It is not proven that nothing was lost.';
  if (!phases.some(({ name }) => name === 'redirecting')) return 'Its frames never went another way.';
  return redirected === 0 ? 'No frame went the other way meanwhile.' : `All ${count(redirected, 'redirected frame')} came back.`;
}

/** A move that failed where only a person can go on: what is safe follows from the phase that failed, the last one. */
function stranded({ vm, from, to, move, phases, times }: Receipt): { readonly text: string; readonly todo: string } {
  const failed = phases.at(-1)?.name ?? '';
  switch (failed) {
    case 'releasing':
    case 'handing-over':
    case 'draining':
      return {
        text: `${vm} NEEDS YOU: it belongs to ${to} since the commit, `
          + (times.stopToResume === undefined ? 'but was not seen to run there.' : 'ran there, and then the move failed.'),
        // After the commit the guest at the source is out of date as soon as the other one has run for an instant.
        todo: `Look at its QEMU on ${to} (query-status): leave it if it runs, continue it if it stands (cont). `
          + `Never continue the one on ${from}: end it. If the one on ${to} is gone, start ${vm} anew after that.`,
      };
    case 'committing':
      return {
        text: `${vm} NEEDS YOU: it stands still, and it is in doubt whether ${to} wrote down that it took it over.`,
        todo: `Start it nowhere yet. Read the journal on ${to}, the last record whose move begins with ${move}. `
          + `"committed": continue it on ${to} only, and end the QEMU on ${from}. `
          + `None, or "aborted": end the QEMU on ${to} first, and only then continue it on ${from}.`,
      };
    case 'pausing':
    case 'returning':
    case 'resuming':
      return {
        text: `${vm} NEEDS YOU: it was on the way back to ${from}, and that failed while ${failed}.`,
        todo: `${to} has given it up, and its QEMU there is gone. Look at its QEMU on ${from} (query-status); if it does not run, `
          + 'continue it there (cont). Frames that were held for it may be lost.',
      };
    default:
      return {
        text: `${vm} NEEDS YOU: the move was to be taken back, and that failed${failed ? ` while ${failed}` : ''}.`,
        todo: `If it runs on ${from}, leave it so. If not: make sure that its QEMU on ${to} is gone (or fence ${to}), `
          + `and only then continue it on ${from}.`,
      };
  }
}
