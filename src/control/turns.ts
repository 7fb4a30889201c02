/** Turns of paths (fit, unfit, down): each becomes an event with its evidence, once, however often its agent tells it. */
import type { ReportAnswer } from '../api/agent-protocol.ts';
import type { Severity } from '../model/event.ts';
import { type PathState, type PathTurnReport, pathName } from '../model/path.ts';
import type { Draft, View } from './draft.ts';
import { record } from './events.ts';
import type { HostRecord } from './records.ts';
import { type Mark, newOf, storedOf } from './told-once.ts';
import { type Telling, whenLate } from './transitions.ts';

const reasons: Readonly<Record<PathState, string>> = { fit: 'PathFit', unfit: 'PathUnfit', down: 'PathDown', unknown: 'PathUnknown' };
const severities: Readonly<Record<PathState, Severity>> = { fit: 'info', unfit: 'warning', down: 'warning', unknown: 'info' };

export function hearTurns(draft: Draft, host: string, turns: readonly PathTurnReport[], { limit, time, at }: Telling): void {
  const known = draft.get('hosts', host);
  if (!known || turns.length === 0) return;
  const { items, marks } = newOf(turns, markOf, marksOf(known));
  if (items.length === 0) return;
  for (const turn of items) {
    const about = { about: { kind: 'Path', name: pathName({ from: host, to: turn.peer, path: turn.path }) }, host } as const;
    if (!limit.admits(about, `${turn.monitor} ${turn.sequence}`, at)) continue;
    record(draft, {
      at: time, severity: severities[turn.to], ...about, reason: reasons[turn.to],
      message: `Path ${turn.path} from ${host} to ${turn.peer}: ${turn.from} to ${turn.to}: ${turn.because}${whenLate(turn.at, time)}`,
      evidence: { kind: 'path', turn },
    });
  }
  draft.put('hosts', host, { ...known, monitors: marks.map(({ maker, sequence }) => ({ monitor: maker, sequence })) });
}

export function storedTurn(view: View, host: string, turns: readonly PathTurnReport[]): ReportAnswer['turns'] {
  const known = view.get('hosts', host);
  const stored = known && storedOf(turns, markOf, marksOf(known));
  return stored && { monitor: stored.maker, sequence: stored.sequence };
}

const markOf = ({ monitor, sequence }: PathTurnReport): Mark => ({ maker: monitor, sequence });
const marksOf = ({ monitors = [] }: HostRecord): Mark[] => monitors.map(({ monitor, sequence }) => ({ maker: monitor, sequence }));
