/** How talking to QEMU can fail. */
import { GodwitError } from '../base/error.ts';
import type { Milliseconds } from '../base/units.ts';

/** QEMU understood the command and refused it. `class` and `desc` are QEMU's own words. */
export class QmpCommandError extends GodwitError {
  readonly command: string;
  /** `GenericError`, `CommandNotFound`, `DeviceNotActive`, `DeviceNotFound` or `KVMMissingCap`. */
  readonly class: string;
  readonly desc: string;

  constructor(command: string, errorClass: string, desc: string) {
    super('QMP_COMMAND', `QEMU refused '${command}': ${desc} (${errorClass})`);
    this.command = command;
    this.class = errorClass;
    this.desc = desc;
  }
}

/** No answer or event in time. The command may still be carried out: ask QEMU for its state before trying again. */
export class QmpTimeout extends GodwitError {
  constructor(what: string, timeout: Milliseconds) {
    super('QMP_TIMEOUT', `No ${what} from QEMU within ${timeout} ms; it may be stopped by the host, or busy with its disks`);
  }
}

/** The connection ended: QEMU exited, or this side closed. `cause` says why where that is known. */
export class QmpClosed extends GodwitError {
  constructor(doing: string, options?: { cause?: unknown }) {
    super('QMP_CLOSED', `The QMP connection closed ${doing}; see whether QEMU still runs and connect anew`, options);
  }
}

/** What came is not QMP. The connection is closed after this. */
export class QmpProtocolError extends GodwitError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('QMP_PROTOCOL', message, options);
  }
}
