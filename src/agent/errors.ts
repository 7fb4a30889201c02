/** What can go wrong in a move, typed. */
import { GodwitError } from '../base/error.ts';

/** Refused before anything was started: each reason says what stands in the way. */
export class MoveRefused extends GodwitError {
  readonly reasons: readonly string[];

  constructor(reasons: readonly string[]) {
    super('AGENT_MOVE_REFUSED', `The move was refused, nothing was changed: ${reasons.join('; ')}`);
    this.reasons = reasons;
  }
}

/** A tap cannot feed a tunnel while one feeds it: two such taps make a loop of 370 000 frames a second. */
export class RedirectLoop extends GodwitError {
  constructor(device: string) {
    super('AGENT_REDIRECT_LOOP', `${device} still takes frames from the tunnel of an earlier move: wait until that has drained`);
  }
}

/** A QEMU that has just been started does not read from its tap. */
export class PrimingFailed extends GodwitError {
  constructor(tap: string) {
    super('AGENT_PRIMING_FAILED', `The QEMU at the destination does not read from ${tap}: see its log, and whether the host is overloaded`);
  }
}
