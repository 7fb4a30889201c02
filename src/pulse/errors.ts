/** What goes wrong between an agent and its pulse, and at a pulse's start. */
import { GodwitError } from '../base/error.ts';

/** Another pulse has this run directory. */
export class PulseAlreadyRuns extends GodwitError {
  constructor(runDir: string, cause: unknown) {
    super('PULSE_ALREADY_RUNS', `Another pulse uses ${runDir}: end it, or give this one another --run-dir`, { cause });
  }
}

/** Another pulse serves this network namespace, with a run directory of its own. */
export class PulseElsewhere extends GodwitError {
  constructor(socket: string, cause: unknown) {
    super('PULSE_ELSEWHERE', `Another pulse serves this network namespace: end it, or use its --run-dir; ss -xlp shows who holds @${socket}`, { cause });
  }
}

/** Nobody answers at the socket, or it was closed before the pulse had said who it is. */
export class PulseUnreachable extends GodwitError {
  /** Somebody has the socket, and says nothing. */
  readonly silent: boolean;

  constructor(socketPath: string, cause?: unknown, silent = false) {
    super('PULSE_UNREACHABLE', `No pulse answers at ${socketPath}: is one running?`, cause === undefined ? undefined : { cause });
    this.silent = silent;
  }
}

/** It ended at its start, or did not answer; its last words are in the text. */
export class PulseStartFailed extends GodwitError {
  constructor(how: string, words: string, cause?: unknown) {
    super('PULSE_START_FAILED', `The pulse ${how}${words === '' ? '' : `; it said: ${words}`}`, cause === undefined ? undefined : { cause });
  }
}

/** A line on the socket that is none of the protocol's: ends the connection. */
export class PulseLineInvalid extends GodwitError {
  constructor(what: string, cause?: unknown) {
    super('PULSE_LINE_INVALID', `Agent and pulse do not understand each other: ${what}; are both of the same version?`, cause === undefined ? undefined : { cause });
  }
}

/** A plan that this host cannot carry out. */
export class PlanImpossible extends GodwitError {
  constructor(message: string, cause?: unknown) {
    super('PULSE_PLAN_IMPOSSIBLE', message, cause === undefined ? undefined : { cause });
  }
}
