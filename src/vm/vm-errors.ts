/** How running a VM can fail, beyond QMP itself. */
import { GodwitError } from '../base/error.ts';
import type { Milliseconds } from '../base/units.ts';

/** What the VM asks for cannot be said to QEMU. */
export class VmUnsupported extends GodwitError {
  constructor(vm: string, what: string) {
    super('VM_UNSUPPORTED', `VM ${vm}: ${what}`);
  }
}

/** QEMU did not come up. The last lines of its log are in the text. */
export class QemuStartFailed extends GodwitError {
  constructor(vm: string, how: string, log: string, options?: { cause?: unknown }) {
    super('VM_START_FAILED', `QEMU for VM ${vm} ${how}; its log ends: ${log.trim() || '(empty)'}`, options);
  }
}

/** A QEMU of this run directory is alive already: adopt it, or end it first. */
export class QemuAlreadyRuns extends GodwitError {
  constructor(runDirectory: string, pid: number) {
    super('VM_ALREADY_RUNS', `A QEMU of ${runDirectory} is alive already (process ${pid}): adopt it, or end it first`);
  }
}

/** QEMU is still there after the time given. */
export class QemuStillRuns extends GodwitError {
  constructor(pid: number, after: string, timeout: Milliseconds) {
    super('VM_STILL_RUNS', `QEMU (process ${pid}) still runs ${timeout} ms after ${after}; kill it, or look for disk I/O that hangs`);
  }
}

/** A migration ended otherwise than wanted. `status` is QEMU's, or `gone` where QEMU itself is; `desc` is QEMU's reason. */
export class MigrationFailed extends GodwitError {
  readonly status: string;
  readonly desc: string;

  constructor(side: 'source' | 'destination', wanted: string, status: string, desc: string, options?: { cause?: unknown }) {
    super('VM_MIGRATION_FAILED', `The migration became '${status}' at the ${side} instead of '${wanted}': ${desc}`, options);
    this.status = status;
    this.desc = desc;
  }
}
