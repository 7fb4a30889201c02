/** An action as an event tells it. */
import type { ActionReport } from '../model/event.ts';

export function sentence({ action, mode, what, because, heldBack }: ActionReport): string {
  const why = [...because, ...(heldBack === undefined ? [] : [`held back: ${heldBack}`])].join('; ');
  return `${mode === 'advise' ? `Advised only (act.${action}): ` : ''}${what}${why === '' ? '' : `: ${why}`}`;
}
