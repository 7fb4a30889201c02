/** What can go wrong in a move, typed. */
import { GodwitError } from '../base/error.ts';

/** Refused before anything was started: each reason says what stands in the way. */
export class MoveRefused extends GodwitError {
  readonly reasons: readonly string[];

  constructor(reasons: readonly string[]) {
    super('MOVE_REFUSED', `The move was refused, nothing was changed: ${reasons.join('; ')}`);
    this.reasons = reasons;
  }
}

/** A tap cannot feed a tunnel while one feeds it: two such taps make a loop of 370 000 frames a second. */
export class RedirectLoop extends GodwitError {
  constructor(device: string) {
    super('MOVE_REDIRECT_LOOP', `${device} still takes frames from the tunnel of an earlier move: wait until that has drained`);
  }
}

/** A QEMU that has just been started does not read from its tap. */
export class PrimingFailed extends GodwitError {
  constructor(tap: string) {
    super('MOVE_PRIMING_FAILED', `The QEMU at the destination does not read from ${tap}: see its log, and whether the host is overloaded`);
  }
}

/** All ports for incoming migrations are taken, or the address is not this host's. */
export class NoMigrationPort extends GodwitError {
  constructor(address: string, cause: unknown) {
    super('MOVE_NO_MIGRATION_PORT', `QEMU could listen on none of the ports 49152 to 49215 of ${address}: is it this host's address, and is a port free?`, { cause });
  }
}

/** The other host's agent cannot be spoken with: the connection could not be made, or broke. */
export class PeerLost extends GodwitError {
  constructor(host: string, why: string, cause?: unknown) {
    super('MOVE_PEER_LOST', `The agent of ${host} cannot be spoken with: ${why}`, cause === undefined ? undefined : { cause });
  }
}

/** The destination has given this move up for good: it will never run the VM. */
export class MoveAborted extends GodwitError {
  constructor(move: string) {
    super('MOVE_ABORTED', `Move ${move} was given up at the destination: start a new one`);
  }
}

/** This agent was asked about a move that the server has not told it of, by the wrong host, or with the wrong token. */
export class NoSuchMove extends GodwitError {
  constructor(move: string) {
    super('MOVE_NO_SUCH_MOVE', `There is no move ${move} here for this host: does the server know it, and is the token its own?`);
  }
}

/** Asked to try a network that is not there. */
export class PreflightRefused extends GodwitError {
  constructor(text: string) {
    super('MOVE_PREFLIGHT', text);
  }
}
