/**
 * vm/: what runs virtual machines. QEMU, started or adopted by us and driven over QMP; the verbs of its live migration.
 * Knows nothing of where the guest's frames go: taps come in ready made, and their switching is host/'s.
 *
 * From the bottom: `qmp.ts` (the connection; `qmp-memory.ts` is its double), `qemu.ts` (a process), `migration.ts` (the verbs).
 */
export { probeAccelerator, type AcceleratorFound, type AcceleratorProbe } from './accelerator.ts';
export { type MigrationAbilities } from './migration-abilities.ts';
export {
  prepareIncoming,
  prepareOutgoing,
  queryMigrationAbilities,
  type IncomingMigration,
  type MigrationSample,
  type OutgoingMigration,
  type OutgoingOptions,
} from './migration.ts';
export { adoptQemu, startQemu, type Qemu, type StartOptions } from './qemu.ts';
export { QmpClosed, QmpCommandError, QmpProtocolError, QmpTimeout } from './qmp-errors.ts';
export { MigrationFailed, QemuAlreadyRuns, QemuStartFailed, QemuStillRuns, VmUnsupported } from './vm-errors.ts';
