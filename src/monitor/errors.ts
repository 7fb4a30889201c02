/** What goes wrong between an agent and its monitor, and in a monitor. */
import { GodwitError } from '../base/error.ts';

/** Of a monitor, by its code. */
export class MonitorError extends GodwitError {}

/** A line that is none of the protocol's: at the monitor it changes nothing, and what is no JSON ends it; at the agent it ends the child. */
export class MonitorLineInvalid extends MonitorError {
  constructor(what: string, cause?: unknown) {
    super('MONITOR_LINE_INVALID', `Agent and monitor do not understand each other: ${what}; are both of the same version?`, cause === undefined ? undefined : { cause });
  }
}

/** It ended, or is not yet there: nothing can be asked of it now. */
export class MonitorUnreachable extends MonitorError {
  constructor(how: string, cause?: unknown) {
    super('MONITOR_UNREACHABLE', `The monitor ${how}; it is started again by itself, its log says why it ended`, cause === undefined ? undefined : { cause });
  }
}
