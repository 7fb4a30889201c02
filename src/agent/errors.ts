/** What can go wrong in the agent as a daemon, typed; moves have `errors.ts`, the disk `disk.ts`. */
import { GodwitError } from '../base/error.ts';

/** Something else has the VM in hand. */
export class VmBusy extends GodwitError {
  constructor(vm: string, by: string) {
    super('AGENT_VM_BUSY', `VM ${vm} is busy on this host: ${by}; ask again when that has ended`);
  }
}

/** No QEMU of this VM is held by this host's agent. */
export class VmAbsent extends GodwitError {
  constructor(vm: string, why: string) {
    super('AGENT_VM_ABSENT', `VM ${vm} cannot be reached on this host: ${why}`);
  }
}

export class RecordInvalid extends GodwitError {
  constructor(path: string, why: string) {
    super('AGENT_RECORD_INVALID', `${path} in the agent's state directory is not a record of this version of Godwit: ${why}`);
  }
}

export class AgentAlreadyRuns extends GodwitError {
  constructor(stateDir: string, cause: unknown) {
    super('AGENT_ALREADY_RUNS', `Another agent runs on ${stateDir}: end it first, or give this one a state directory of its own`, { cause });
  }
}

export class AgentNotJoined extends GodwitError {
  constructor(stateDir: string, cause?: unknown) {
    super('AGENT_NOT_JOINED', `This host has not joined a cluster (nothing usable in ${stateDir}/agent): run godwit agent join with a token of its server`, { cause });
  }
}

export class AgentAlreadyJoined extends GodwitError {
  constructor(stateDir: string, server: string) {
    super('AGENT_ALREADY_JOINED', `${stateDir}/agent belongs to the cluster of ${server} already: move that directory away first, or give another --state-dir`);
  }
}
