/** What a QEMU's migration can do, told from what it says about itself. */
import type { QemuVersion } from './qmp-message.ts';

export interface MigrationAbilities {
  readonly version: QemuVersion;
  /**
   * Can be kept from switching by itself (switchover-ack, 8.1). Without it, it switches as soon as a sync finds next to
   * nothing dirty: a few frames can be lost then, and `pre-switchover` is the net.
   */
  readonly hold: boolean;
  /** The threshold for switching can be set apart from the bandwidth (avail-switchover-bandwidth, 8.2). */
  readonly availSwitchoverBandwidth: boolean;
  /** Waits between the stop and the last pass (pause-before-switchover, 4.0). */
  readonly pauseBeforeSwitchover: boolean;
  /** Leaves the disks to the source until `cont` at the destination (late-block-activate, 3.1): the way back stays open. */
  readonly lateBlockActivate: boolean;
  /** Can be kept from announcing the guest itself (announce-rounds, 4.0). */
  readonly silentAnnounce: boolean;
  /** What is missing, in words for the plan; empty for a QEMU that can do everything. */
  readonly missing: readonly string[];
}

/** `capabilities` and `parameters`: the names in query-migrate-capabilities and query-migrate-parameters. */
export function migrationAbilities(
  version: QemuVersion,
  capabilities: ReadonlySet<string>,
  parameters: ReadonlySet<string>,
): MigrationAbilities {
  const hold = capabilities.has('switchover-ack');
  const availSwitchoverBandwidth = parameters.has('avail-switchover-bandwidth');
  const pauseBeforeSwitchover = capabilities.has('pause-before-switchover');
  const lateBlockActivate = capabilities.has('late-block-activate');
  const silentAnnounce = parameters.has('announce-rounds');
  const checks: readonly [boolean, string][] = [
    [hold, 'switchover-ack (QEMU 8.1): it may switch by itself, and a few frames can be lost then'],
    [pauseBeforeSwitchover, 'pause-before-switchover (QEMU 4.0): if it switches by itself, nothing can be done in between'],
    [lateBlockActivate, 'late-block-activate (QEMU 3.1): with a disk there is no way back once the destination has loaded'],
    [silentAnnounce, 'announce-rounds (QEMU 4.0): it announces the guest itself as soon as it has loaded'],
  ];
  const missing = checks.filter(([present]) => !present).map(([, words]) => words);
  return { version, hold, availSwitchoverBandwidth, pauseBeforeSwitchover, lateBlockActivate, silentAnnounce, missing };
}
