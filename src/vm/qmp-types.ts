/**
 * The QMP commands and events that Godwit uses. Made by tools/qmp-types.ts with QEMU 10.0.2; do not edit.
 * A member marked optional in an answer may also be missing because the QEMU at hand is older.
 */
import type { QmpInteger } from './qmp-framing.ts';

export interface QmpCommands {
  readonly qmp_capabilities: { readonly arguments: QmpCapabilitiesArguments; readonly returns: {} };
  readonly 'query-version': { readonly arguments: {}; readonly returns: QueryVersion };
  readonly 'query-status': { readonly arguments: {}; readonly returns: QueryStatus };
  readonly stop: { readonly arguments: {}; readonly returns: {} };
  readonly cont: { readonly arguments: {}; readonly returns: {} };
  readonly quit: { readonly arguments: {}; readonly returns: {} };
  readonly system_powerdown: { readonly arguments: {}; readonly returns: {} };
  readonly migrate: { readonly arguments: MigrateArguments; readonly returns: {} };
  readonly 'migrate-incoming': { readonly arguments: MigrateIncomingArguments; readonly returns: {} };
  readonly 'migrate-continue': { readonly arguments: MigrateContinueArguments; readonly returns: {} };
  readonly migrate_cancel: { readonly arguments: {}; readonly returns: {} };
  readonly 'migrate-set-capabilities': { readonly arguments: MigrateSetCapabilitiesArguments; readonly returns: {} };
  readonly 'query-migrate-capabilities': { readonly arguments: {}; readonly returns: readonly MigrationCapabilityStatus[] };
  readonly 'migrate-set-parameters': { readonly arguments: MigrateSetParametersArguments; readonly returns: {} };
  readonly 'query-migrate-parameters': { readonly arguments: {}; readonly returns: QueryMigrateParameters };
  readonly 'query-migrate': { readonly arguments: {}; readonly returns: QueryMigrate };
  readonly 'announce-self': { readonly arguments: AnnounceSelfArguments; readonly returns: {} };
  readonly yank: { readonly arguments: YankArguments; readonly returns: {} };
  readonly 'query-yank': { readonly arguments: {}; readonly returns: readonly YankArgumentsInstances[] };
  readonly 'query-qmp-schema': { readonly arguments: {}; readonly returns: unknown };
  readonly 'query-block': { readonly arguments: {}; readonly returns: readonly QueryBlock[] };
  readonly 'query-named-block-nodes': {
    readonly arguments: QueryNamedBlockNodesArguments;
    readonly returns: readonly QueryBlockInserted[];
  };
  readonly 'query-cpus-fast': { readonly arguments: {}; readonly returns: readonly QueryCpusFast[] };
  readonly 'query-rx-filter': { readonly arguments: QueryRxFilterArguments; readonly returns: readonly QueryRxFilter[] };
  readonly 'x-query-virtio': { readonly arguments: {}; readonly returns: readonly XQueryVirtio[] };
  readonly 'x-query-virtio-queue-status': {
    readonly arguments: XQueryVirtioQueueStatusArguments;
    readonly returns: XQueryVirtioQueueStatus;
  };
  readonly 'human-monitor-command': { readonly arguments: HumanMonitorCommandArguments; readonly returns: string };
}

/** Those that QEMU also takes out of band. */
export type QmpOutOfBandCommand = 'yank' | 'query-yank';

/** What comes with each event. */
export interface QmpEvents {
  readonly STOP: {};
  readonly RESUME: {};
  readonly SHUTDOWN: ShutdownEvent;
  readonly RESET: ResetEvent;
  readonly POWERDOWN: {};
  readonly GUEST_PANICKED: GuestPanickedEvent;
  readonly MIGRATION: MigrationEvent;
  readonly MIGRATION_PASS: MigrationPassEvent;
}

export type ShutdownEventReason = 'none' | 'host-error' | 'host-qmp-quit' | 'host-qmp-system-reset' | 'host-signal' | 'host-ui'
  | 'guest-shutdown' | 'guest-reset' | 'guest-panic' | 'subsystem-reset' | 'snapshot-load';

export interface ShutdownEvent {
  readonly guest: boolean;
  readonly reason: ShutdownEventReason;
}

export interface ResetEvent {
  readonly guest: boolean;
  readonly reason: ShutdownEventReason;
}

export type GuestPanickedEventAction = 'pause' | 'poweroff' | 'run';

export interface GuestPanickedEventInfoHyperV {
  readonly arg1: QmpInteger;
  readonly arg2: QmpInteger;
  readonly arg3: QmpInteger;
  readonly arg4: QmpInteger;
  readonly arg5: QmpInteger;
}

export type GuestPanickedEventInfoS390Reason = 'unknown' | 'disabled-wait' | 'extint-loop' | 'pgmint-loop' | 'opint-loop';

export interface GuestPanickedEventInfoS390 {
  readonly core: QmpInteger;
  readonly 'psw-mask': QmpInteger;
  readonly 'psw-addr': QmpInteger;
  readonly reason: GuestPanickedEventInfoS390Reason;
}

export type GuestPanickedEventInfo = ({ readonly type: 'hyper-v' } & GuestPanickedEventInfoHyperV)
  | ({ readonly type: 's390' } & GuestPanickedEventInfoS390);

export interface GuestPanickedEvent {
  readonly action: GuestPanickedEventAction;
  readonly info?: GuestPanickedEventInfo;
}

export type MigrationStatus = 'none' | 'setup' | 'cancelling' | 'cancelled' | 'active' | 'postcopy-active' | 'postcopy-paused'
  | 'postcopy-recover-setup' | 'postcopy-recover' | 'completed' | 'failed' | 'colo' | 'pre-switchover' | 'device' | 'wait-unplug';

export interface MigrationEvent {
  readonly status: MigrationStatus;
}

export interface MigrationPassEvent {
  readonly pass: QmpInteger;
}

export type QmpCapabilitiesArgumentsEnable = 'oob';

export interface QmpCapabilitiesArguments {
  readonly enable?: readonly QmpCapabilitiesArgumentsEnable[];
}

export interface QueryVersionQemu {
  readonly major: QmpInteger;
  readonly minor: QmpInteger;
  readonly micro: QmpInteger;
}

export interface QueryVersion {
  readonly qemu: QueryVersionQemu;
  readonly package: string;
}

export type RunState = 'debug' | 'inmigrate' | 'internal-error' | 'io-error' | 'paused' | 'postmigrate' | 'prelaunch' | 'finish-migrate'
  | 'restore-vm' | 'running' | 'save-vm' | 'shutdown' | 'suspended' | 'watchdog' | 'guest-panicked' | 'colo';

export interface QueryStatus {
  readonly running: boolean;
  readonly status: RunState;
}

export interface MigrateArguments {
  readonly uri?: string;
  readonly channels?: unknown;
  readonly detach?: boolean;
  readonly resume?: boolean;
}

export interface MigrateIncomingArguments {
  readonly uri?: string;
  readonly channels?: unknown;
  readonly 'exit-on-error'?: boolean;
}

export interface MigrateContinueArguments {
  readonly state: MigrationStatus;
}

export type MigrationCapability = 'xbzrle' | 'rdma-pin-all' | 'auto-converge' | 'zero-blocks' | 'events' | 'postcopy-ram' | 'x-colo'
  | 'release-ram' | 'return-path' | 'pause-before-switchover' | 'multifd' | 'dirty-bitmaps' | 'postcopy-blocktime'
  | 'late-block-activate' | 'x-ignore-shared' | 'validate-uuid' | 'background-snapshot' | 'zero-copy-send' | 'postcopy-preempt'
  | 'switchover-ack' | 'dirty-limit' | 'mapped-ram';

export interface MigrationCapabilityStatus {
  readonly capability: MigrationCapability;
  readonly state: boolean;
}

export interface MigrateSetCapabilitiesArguments {
  readonly capabilities: readonly MigrationCapabilityStatus[];
}

export type MigrateSetParametersArgumentsMultifdCompression = 'none' | 'zlib' | 'zstd';

export type MigrateSetParametersArgumentsMode = 'normal' | 'cpr-reboot' | 'cpr-transfer';

export type MigrateSetParametersArgumentsZeroPageDetection = 'none' | 'legacy' | 'multifd';

export interface MigrateSetParametersArguments {
  readonly 'announce-initial'?: QmpInteger;
  readonly 'announce-max'?: QmpInteger;
  readonly 'announce-rounds'?: QmpInteger;
  readonly 'announce-step'?: QmpInteger;
  readonly 'throttle-trigger-threshold'?: QmpInteger;
  readonly 'cpu-throttle-initial'?: QmpInteger;
  readonly 'cpu-throttle-increment'?: QmpInteger;
  readonly 'cpu-throttle-tailslow'?: boolean;
  readonly 'tls-creds'?: string | null;
  readonly 'tls-hostname'?: string | null;
  readonly 'tls-authz'?: string | null;
  readonly 'max-bandwidth'?: QmpInteger;
  readonly 'avail-switchover-bandwidth'?: QmpInteger;
  readonly 'downtime-limit'?: QmpInteger;
  readonly 'x-checkpoint-delay'?: QmpInteger;
  readonly 'multifd-channels'?: QmpInteger;
  readonly 'xbzrle-cache-size'?: QmpInteger;
  readonly 'max-postcopy-bandwidth'?: QmpInteger;
  readonly 'max-cpu-throttle'?: QmpInteger;
  readonly 'multifd-compression'?: MigrateSetParametersArgumentsMultifdCompression;
  readonly 'multifd-zlib-level'?: QmpInteger;
  readonly 'multifd-qatzip-level'?: QmpInteger;
  readonly 'multifd-zstd-level'?: QmpInteger;
  readonly 'block-bitmap-mapping'?: unknown;
  readonly 'x-vcpu-dirty-limit-period'?: QmpInteger;
  readonly 'vcpu-dirty-limit'?: QmpInteger;
  readonly mode?: MigrateSetParametersArgumentsMode;
  readonly 'zero-page-detection'?: MigrateSetParametersArgumentsZeroPageDetection;
  readonly 'direct-io'?: boolean;
}

export interface QueryMigrateParameters {
  readonly 'announce-initial'?: QmpInteger;
  readonly 'announce-max'?: QmpInteger;
  readonly 'announce-rounds'?: QmpInteger;
  readonly 'announce-step'?: QmpInteger;
  readonly 'throttle-trigger-threshold'?: QmpInteger;
  readonly 'cpu-throttle-initial'?: QmpInteger;
  readonly 'cpu-throttle-increment'?: QmpInteger;
  readonly 'cpu-throttle-tailslow'?: boolean;
  readonly 'tls-creds'?: string;
  readonly 'tls-hostname'?: string;
  readonly 'tls-authz'?: string;
  readonly 'max-bandwidth'?: QmpInteger;
  readonly 'avail-switchover-bandwidth'?: QmpInteger;
  readonly 'downtime-limit'?: QmpInteger;
  readonly 'x-checkpoint-delay'?: QmpInteger;
  readonly 'multifd-channels'?: QmpInteger;
  readonly 'xbzrle-cache-size'?: QmpInteger;
  readonly 'max-postcopy-bandwidth'?: QmpInteger;
  readonly 'max-cpu-throttle'?: QmpInteger;
  readonly 'multifd-compression'?: MigrateSetParametersArgumentsMultifdCompression;
  readonly 'multifd-zlib-level'?: QmpInteger;
  readonly 'multifd-qatzip-level'?: QmpInteger;
  readonly 'multifd-zstd-level'?: QmpInteger;
  readonly 'block-bitmap-mapping'?: unknown;
  readonly 'x-vcpu-dirty-limit-period'?: QmpInteger;
  readonly 'vcpu-dirty-limit'?: QmpInteger;
  readonly mode?: MigrateSetParametersArgumentsMode;
  readonly 'zero-page-detection'?: MigrateSetParametersArgumentsZeroPageDetection;
  readonly 'direct-io'?: boolean;
}

export interface MigrationRamStatistics {
  readonly transferred: QmpInteger;
  readonly remaining: QmpInteger;
  readonly total: QmpInteger;
  readonly duplicate: QmpInteger;
  readonly normal: QmpInteger;
  readonly 'normal-bytes': QmpInteger;
  readonly 'dirty-pages-rate': QmpInteger;
  readonly mbps: number;
  readonly 'dirty-sync-count': QmpInteger;
  readonly 'postcopy-requests': QmpInteger;
  readonly 'page-size': QmpInteger;
  readonly 'multifd-bytes': QmpInteger;
  readonly 'pages-per-second': QmpInteger;
  readonly 'precopy-bytes': QmpInteger;
  readonly 'downtime-bytes': QmpInteger;
  readonly 'postcopy-bytes': QmpInteger;
  readonly 'dirty-sync-missed-zero-copy': QmpInteger;
}

export interface QueryMigrateVfio {
  readonly transferred: QmpInteger;
}

export interface QueryMigrateXbzrleCache {
  readonly 'cache-size': QmpInteger;
  readonly bytes: QmpInteger;
  readonly pages: QmpInteger;
  readonly 'cache-miss': QmpInteger;
  readonly 'cache-miss-rate': number;
  readonly 'encoding-rate': number;
  readonly overflow: QmpInteger;
}

export interface QueryMigrateSocketAddressInet {
  readonly host: string;
  readonly port: string;
  readonly numeric?: boolean;
  readonly to?: QmpInteger;
  readonly ipv4?: boolean;
  readonly ipv6?: boolean;
  readonly 'keep-alive'?: boolean;
  readonly mptcp?: boolean;
}

export interface QueryMigrateSocketAddressUnix {
  readonly path: string;
  readonly abstract?: boolean;
  readonly tight?: boolean;
}

export interface QueryMigrateSocketAddressVsock {
  readonly cid: string;
  readonly port: string;
}

export interface QueryMigrateSocketAddressFd {
  readonly str: string;
}

export type SocketAddress = ({ readonly type: 'inet' } & QueryMigrateSocketAddressInet)
  | ({ readonly type: 'unix' } & QueryMigrateSocketAddressUnix) | ({ readonly type: 'vsock' } & QueryMigrateSocketAddressVsock)
  | ({ readonly type: 'fd' } & QueryMigrateSocketAddressFd);

export interface QueryMigrate {
  readonly status?: MigrationStatus;
  readonly ram?: MigrationRamStatistics;
  readonly vfio?: QueryMigrateVfio;
  readonly 'xbzrle-cache'?: QueryMigrateXbzrleCache;
  readonly 'total-time'?: QmpInteger;
  readonly 'expected-downtime'?: QmpInteger;
  readonly downtime?: QmpInteger;
  readonly 'setup-time'?: QmpInteger;
  readonly 'cpu-throttle-percentage'?: QmpInteger;
  readonly 'error-desc'?: string;
  readonly 'blocked-reasons'?: readonly string[];
  readonly 'postcopy-blocktime'?: QmpInteger;
  readonly 'postcopy-vcpu-blocktime'?: readonly QmpInteger[];
  readonly 'socket-address'?: readonly SocketAddress[];
  readonly 'dirty-limit-throttle-time-per-round'?: QmpInteger;
  readonly 'dirty-limit-ring-full-time'?: QmpInteger;
}

export interface AnnounceSelfArguments {
  readonly initial: QmpInteger;
  readonly max: QmpInteger;
  readonly rounds: QmpInteger;
  readonly step: QmpInteger;
  readonly interfaces?: readonly string[];
  readonly id?: string;
}

export interface YankArgumentsInstancesBlockNode {
  readonly 'node-name': string;
}

export interface YankArgumentsInstancesChardev {
  readonly id: string;
}

export type YankArgumentsInstances = ({ readonly type: 'block-node' } & YankArgumentsInstancesBlockNode)
  | ({ readonly type: 'chardev' } & YankArgumentsInstancesChardev) | { readonly type: 'migration' };

export interface YankArguments {
  readonly instances: readonly YankArgumentsInstances[];
}

export type QueryBlockInsertedDetectZeroes = 'off' | 'on' | 'unmap';

export interface QueryBlockInsertedCache {
  readonly writeback: boolean;
  readonly direct: boolean;
  readonly 'no-flush': boolean;
}

export interface QueryBlockInsertedDirtyBitmaps {
  readonly name?: string;
  readonly count: QmpInteger;
  readonly granularity: QmpInteger;
  readonly recording: boolean;
  readonly busy: boolean;
  readonly persistent: boolean;
  readonly inconsistent?: boolean;
}

export interface QueryBlockInserted {
  readonly file: string;
  readonly 'node-name'?: string;
  readonly ro: boolean;
  readonly drv: string;
  readonly backing_file?: string;
  readonly backing_file_depth: QmpInteger;
  readonly active: boolean;
  readonly encrypted: boolean;
  readonly detect_zeroes: QueryBlockInsertedDetectZeroes;
  readonly bps: QmpInteger;
  readonly bps_rd: QmpInteger;
  readonly bps_wr: QmpInteger;
  readonly iops: QmpInteger;
  readonly iops_rd: QmpInteger;
  readonly iops_wr: QmpInteger;
  readonly image: unknown;
  readonly bps_max?: QmpInteger;
  readonly bps_rd_max?: QmpInteger;
  readonly bps_wr_max?: QmpInteger;
  readonly iops_max?: QmpInteger;
  readonly iops_rd_max?: QmpInteger;
  readonly iops_wr_max?: QmpInteger;
  readonly bps_max_length?: QmpInteger;
  readonly bps_rd_max_length?: QmpInteger;
  readonly bps_wr_max_length?: QmpInteger;
  readonly iops_max_length?: QmpInteger;
  readonly iops_rd_max_length?: QmpInteger;
  readonly iops_wr_max_length?: QmpInteger;
  readonly iops_size?: QmpInteger;
  readonly group?: string;
  readonly cache: QueryBlockInsertedCache;
  readonly write_threshold: QmpInteger;
  readonly 'dirty-bitmaps'?: readonly QueryBlockInsertedDirtyBitmaps[];
}

export type QueryBlockIoStatus = 'ok' | 'failed' | 'nospace';

export interface QueryBlock {
  readonly device: string;
  readonly qdev?: string;
  readonly type: string;
  readonly removable: boolean;
  readonly locked: boolean;
  readonly inserted?: QueryBlockInserted;
  readonly tray_open?: boolean;
  readonly 'io-status'?: QueryBlockIoStatus;
}

export interface QueryNamedBlockNodesArguments {
  readonly flat?: boolean;
}

export interface QueryCpusFastProps {
  readonly 'node-id'?: QmpInteger;
  readonly 'drawer-id'?: QmpInteger;
  readonly 'book-id'?: QmpInteger;
  readonly 'socket-id'?: QmpInteger;
  readonly 'die-id'?: QmpInteger;
  readonly 'cluster-id'?: QmpInteger;
  readonly 'module-id'?: QmpInteger;
  readonly 'core-id'?: QmpInteger;
  readonly 'thread-id'?: QmpInteger;
}

export type QueryCpusFastS390xCpuState = 'uninitialized' | 'stopped' | 'check-stop' | 'operating' | 'load';

export type QueryCpusFastS390xEntitlement = 'auto' | 'low' | 'medium' | 'high';

export interface QueryCpusFastS390x {
  readonly 'cpu-state': QueryCpusFastS390xCpuState;
  readonly dedicated?: boolean;
  readonly entitlement?: QueryCpusFastS390xEntitlement;
}

export type QueryCpusFast = {
  readonly 'cpu-index': QmpInteger;
  readonly 'qom-path': string;
  readonly 'thread-id': QmpInteger;
  readonly props?: QueryCpusFastProps;
} & (({ readonly target: 's390x' } & QueryCpusFastS390x) | { readonly target: 'aarch64' | 'alpha' | 'arm' | 'avr' | 'hppa' | 'i386'
  | 'loongarch64' | 'm68k' | 'microblaze' | 'microblazeel' | 'mips' | 'mips64' | 'mips64el' | 'mipsel' | 'or1k' | 'ppc' | 'ppc64'
  | 'riscv32' | 'riscv64' | 'rx' | 'sh4' | 'sh4eb' | 'sparc' | 'sparc64' | 'tricore' | 'x86_64' | 'xtensa' | 'xtensaeb' });

export interface QueryRxFilterArguments {
  readonly name?: string;
}

export type QueryRxFilterMulticast = 'normal' | 'none' | 'all';

export interface QueryRxFilter {
  readonly name: string;
  readonly promiscuous: boolean;
  readonly multicast: QueryRxFilterMulticast;
  readonly unicast: QueryRxFilterMulticast;
  readonly vlan: QueryRxFilterMulticast;
  readonly 'broadcast-allowed': boolean;
  readonly 'multicast-overflow': boolean;
  readonly 'unicast-overflow': boolean;
  readonly 'main-mac': string;
  readonly 'vlan-table': readonly QmpInteger[];
  readonly 'unicast-table': readonly string[];
  readonly 'multicast-table': readonly string[];
}

export interface XQueryVirtio {
  readonly path: string;
  readonly name: string;
}

export interface XQueryVirtioQueueStatusArguments {
  readonly path: string;
  readonly queue: QmpInteger;
}

export interface XQueryVirtioQueueStatus {
  readonly name: string;
  readonly 'queue-index': QmpInteger;
  readonly inuse: QmpInteger;
  readonly 'vring-num': QmpInteger;
  readonly 'vring-num-default': QmpInteger;
  readonly 'vring-align': QmpInteger;
  readonly 'vring-desc': QmpInteger;
  readonly 'vring-avail': QmpInteger;
  readonly 'vring-used': QmpInteger;
  readonly 'last-avail-idx'?: QmpInteger;
  readonly 'shadow-avail-idx'?: QmpInteger;
  readonly 'used-idx': QmpInteger;
  readonly 'signalled-used': QmpInteger;
  readonly 'signalled-used-valid': boolean;
}

export interface HumanMonitorCommandArguments {
  readonly 'command-line': string;
  readonly 'cpu-index'?: QmpInteger;
}
