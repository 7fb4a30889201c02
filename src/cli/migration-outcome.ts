/** How a migration ended, in words: which step failed, why, and where the VM runs now. */
import { unreachable } from '../base/error.ts';
import type { MigrationResource, MigrationStatus, SagaPhase } from '../model/migration.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { headline } from './headline.ts';

export interface MigrationOutcome {
  readonly exit: ExitCode;
  /** Of an error; undefined when it went as it was asked to. */
  readonly code?: string;
  readonly text: string;
  readonly why?: string;
  readonly todo?: string;
  /** Of a plan. */
  readonly notes?: readonly string[];
}

/** Undefined while it has not ended. */
export function outcomeOf({ name, spec: { vm, to }, status }: MigrationResource): MigrationOutcome | undefined {
  if (!status?.end) return undefined;
  const { from, end } = status;
  const step = failedStep(status);
  const inStep = step === undefined ? '' : ` in step ${step}`;
  switch (end.kind) {
    case 'moved': {
      const text = status.receipt ? headline(status.receipt).text : `${vm} moved from ${from} to ${to}`;
      return { exit: exitCodes.fine, text, ...(end.undrained === undefined ? {} : { why: end.undrained }) };
    }
    case 'possible':
      return {
        exit: exitCodes.fine, text: `${vm} can move from ${from} to ${to}; nothing was changed`,
        notes: [...end.warnings.map((w) => `warning: ${w}`), ...end.notes],
      };
    case 'cancelled':
      return { exit: exitCodes.cancelled, text: `The move of ${vm} to ${to} was cancelled; ${vm} runs on ${from}` };
    case 'rolled-back':
      return {
        exit: exitCodes.failed, code: 'CLI_MOVE_FAILED',
        text: `The move of ${vm} to ${to} failed${inStep} and was taken back; ${vm} runs on ${from}`,
        why: end.reason, todo: `See to the reason, then move it again. godwit describe migration ${name} has the whole story`,
      };
    case 'refused':
      return {
        exit: exitCodes.failed, code: 'CLI_MOVE_REFUSED',
        text: `${vm} cannot move to ${to}: refused in step plan, nothing was changed; ${vm} runs on ${from}`, why: end.reasons.join('; '),
      };
    case 'dead':
      return {
        exit: exitCodes.failed, code: 'CLI_VM_DEAD',
        text: `${vm} RUNS NOWHERE: it ended on ${end.at === 'source' ? from : to} during its move from ${from} to ${to}${inStep}`,
        why: end.reason, todo: `Look at the reason, then start it anew: godwit vm start ${vm}`,
      };
    case 'stranded': {
      const told = status.receipt?.outcome.kind === 'stranded' ? headline(status.receipt) : undefined;
      return {
        exit: exitCodes.failed, code: 'CLI_VM_STRANDED',
        text: told?.text ?? `${vm} NEEDS YOU: it does not run; its move from ${from} to ${to} failed${inStep}`,
        why: end.reason,
        todo: told?.todo ?? `godwit describe vm ${vm} says where it is; continue it only where the other side's QEMU is gone`,
      };
    }
    default:
      return unreachable(end);
  }
}

/** The receipt's phases by the step of the saga they belong to; ways back belong to none. */
const STEPS: Readonly<Record<string, SagaPhase>> = {
  preparing: 'prepare', copying: 'copy',
  permitting: 'switch', redirecting: 'switch', emptying: 'switch', stopping: 'switch', finishing: 'switch', committing: 'switch',
  releasing: 'switch', 'handing-over': 'announce', draining: 'drain',
};

/** The step that the move had reached when it failed; undefined when neither the server nor a receipt says so. */
export function failedStep({ phase, receipt }: MigrationStatus): SagaPhase | undefined {
  const reached = receipt?.phases.map((p) => STEPS[p.name]).findLast((step) => step !== undefined);
  if (reached) return reached;
  return phase === 'done' || phase === 'queued' ? undefined : phase;
}
