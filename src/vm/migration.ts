/**
 * The verbs of a live migration on the two QEMUs that take part in it.
 *
 * In a *held* migration QEMU never switches over by itself: whoever drives it picks the moment and says `stop`; nothing
 * gets dirty from then on, so the last pass follows at once. The source then waits in `pre-switchover` until
 * `continueSwitchover`. A guest stopped so arrives stopped: `cont` it after the destination's own `completed`, since a
 * `cont` before that is lost.
 *
 * What holds it is `switchover-ack`: a running source then waits for the destination's word, which a destination without
 * that capability never gives; a stopped one needs none. (The older way, a threshold of less than a page, is undercut by
 * every sync that finds nothing dirty: an idle guest, or one that writes in bursts and rests 10 ms.) A held source that has
 * caught up goes on syncing as fast as it can, some thousand times a second, so do not leave it so for longer than needed.
 *
 * A QEMU without it (`abilities.hold` false) can go to `pre-switchover` by itself. Such a guest arrives *running*: that it
 * ran was noted before it was stopped, and a `stop` in `pre-switchover` is not noted any more. A destination started with
 * `incoming: 'paused'` keeps it still all the same, until `cont`.
 *
 * QEMU: docs/devel/migration/main.rst, qapi/migration.json.
 */
import { bytes, bytesPerSecond, ms, seconds, type Bytes, type BytesPerSecond, type Milliseconds } from '../base/units.ts';
import { migrationAbilities, type MigrationAbilities } from './migration-abilities.ts';
import type { Qemu } from './qemu.ts';
import { QmpClosed } from './qmp-errors.ts';
import type { QmpMark } from './qmp-events.ts';
import type { MigrateSetParametersArguments, MigrationCapability, MigrationStatus } from './qmp-types.ts';
import { MigrationFailed } from './vm-errors.ts';

export type OutgoingOptions = {
  /** QEMU's own default, 128 MiB/s, is never what is wanted. */
  readonly maxBandwidth: BytesPerSecond;
} & (
  | { readonly hold: true }
  /** QEMU's own way, for comparison: it switches as soon as it believes that the rest takes no longer than this. */
  | { readonly hold: false; readonly downtimeLimit: Milliseconds }
);

/** An answer to query-migrate. Rates are QEMU's, measured over its last pass or 100 ms. */
export interface MigrationSample {
  readonly status: MigrationStatus;
  /** Still to be sent, as of the last dirty sync, less what was sent since; Infinity until QEMU has begun to count. */
  readonly remaining: Bytes;
  /** `remaining` is only true on the first sample after this rose. */
  readonly dirtySyncCount: number;
  readonly dirtyRate: BytesPerSecond;
  readonly transferred: Bytes;
  readonly throughput: BytesPerSecond;
  /** When the answer came, on the monotonic clock (performance.now()). */
  readonly at: Milliseconds;
}

const ends: readonly MigrationStatus[] = ['completed', 'failed', 'cancelled'];

/** Fails as `QmpClient.execute` does. */
export async function queryMigrationAbilities(qemu: Qemu): Promise<MigrationAbilities> {
  const capabilities = await qemu.qmp.execute('query-migrate-capabilities');
  const parameters = await qemu.qmp.execute('query-migrate-parameters');
  return migrationAbilities(qemu.version, new Set(capabilities.map(({ capability }) => capability)), new Set(Object.keys(parameters)));
}

/** Makes the source ready. All that an earlier attempt may have left is set anew. */
export async function prepareOutgoing(qemu: Qemu, options: OutgoingOptions): Promise<OutgoingMigration> {
  const abilities = await queryMigrationAbilities(qemu);
  // Held, QEMU syncs again when less than 1 ms x 10^6 B/s = 1000 bytes remain: less than a page, so each pass is a whole one,
  // yet not 0, at which it would end a pass without the last sync.
  const threshold = options.hold ? { limit: 1, bandwidth: 1_000_000 } : { limit: options.downtimeLimit, bandwidth: 0 };
  await setCapabilities(qemu, abilities, { hold: options.hold, source: true });
  await setParameters(qemu, {
    'max-bandwidth': options.maxBandwidth,
    'downtime-limit': threshold.limit,
    ...(abilities.availSwitchoverBandwidth ? { 'avail-switchover-bandwidth': threshold.bandwidth } : {}),
    ...announceRounds(abilities, options.hold),
  });
  return new OutgoingMigration(qemu, abilities);
}

/** Makes a destination (`startQemu` with `incoming`) ready. `hold` as at the source: then QEMU does not announce the guest. */
export async function prepareIncoming(qemu: Qemu, { hold }: { readonly hold: boolean }): Promise<IncomingMigration> {
  const abilities = await queryMigrationAbilities(qemu);
  await setCapabilities(qemu, abilities, { hold, source: false });
  await setParameters(qemu, announceRounds(abilities, hold));
  return new IncomingMigration(qemu, abilities);
}

export class OutgoingMigration {
  readonly qemu: Qemu;
  readonly abilities: MigrationAbilities;
  readonly #status: StatusWatch;

  constructor(qemu: Qemu, abilities: MigrationAbilities) {
    this.qemu = qemu;
    this.abilities = abilities;
    this.#status = new StatusWatch(qemu, 'source');
  }

  /** Begins. `uri`: `tcp:HOST:PORT`, `tcp:HOST:PORT,mptcp=on`, `unix:PATH`. Refused with QmpCommandError. */
  async migrate(uri: string): Promise<void> {
    this.#status.begin();
    await this.qemu.qmp.execute('migrate', { uri });
  }

  async sample(): Promise<MigrationSample> {
    const { status = 'none', ram } = await this.qemu.qmp.execute('query-migrate');
    return {
      status,
      remaining: bytes(Number(ram?.remaining ?? Infinity)),
      dirtySyncCount: Number(ram?.['dirty-sync-count'] ?? 0),
      dirtyRate: bytesPerSecond(Number(ram?.['dirty-pages-rate'] ?? 0) * Number(ram?.['page-size'] ?? 0)),
      transferred: bytes(Number(ram?.transferred ?? 0)),
      throughput: bytesPerSecond(((ram?.mbps ?? 0) * 1e6) / 8),
      at: ms(performance.now()),
    };
  }

  /** Until the guest is stopped, the last dirty pages known, and QEMU waits. Fails with MigrationFailed or QmpTimeout. */
  preSwitchover(timeout: Milliseconds): Promise<void> {
    return this.#status.become('pre-switchover', timeout);
  }

  /** From now on, also of a copy that is under way. */
  async limit(maxBandwidth: BytesPerSecond): Promise<void> {
    await setParameters(this.qemu, { 'max-bandwidth': maxBandwidth });
  }

  /** Out of `pre-switchover`: sends the rest, and then the devices' state. */
  async continueSwitchover(): Promise<void> {
    await this.qemu.qmp.execute('migrate-continue', { state: 'pre-switchover' });
  }

  /** Until everything is sent; what became of it only the destination knows. Fails with MigrationFailed or QmpTimeout. */
  completed(timeout: Milliseconds): Promise<void> {
    return this.#status.become('completed', timeout);
  }

  /**
   * Gives up, and waits until QEMU has: what became of it, which may be `completed` when it was too late, or `none` when
   * it had not begun. A guest that QEMU stopped goes on; one stopped by `stop` needs `cont`.
   */
  async cancel(timeout: Milliseconds = seconds(10)): Promise<MigrationStatus> {
    const { status = 'none' } = await this.qemu.qmp.execute('query-migrate', {}, { timeout });
    if (status === 'none' || ends.includes(status)) return status;
    await this.qemu.qmp.execute('migrate_cancel', {}, { timeout });
    return this.#status.end(timeout);
  }
}

export class IncomingMigration {
  readonly qemu: Qemu;
  readonly abilities: MigrationAbilities;
  readonly #status: StatusWatch;

  constructor(qemu: Qemu, abilities: MigrationAbilities) {
    this.qemu = qemu;
    this.abilities = abilities;
    this.#status = new StatusWatch(qemu, 'destination');
  }

  /** Waits for the source at `uri`; see `OutgoingMigration.migrate`. Refused with QmpCommandError: address in use, say. */
  async listen(uri: string): Promise<void> {
    this.#status.begin();
    await this.qemu.qmp.execute('migrate-incoming', { uri });
  }

  /** Until everything has loaded. A QEMU whose load fails is gone: MigrationFailed `gone`, with the end of its log. */
  completed(timeout: Milliseconds): Promise<void> {
    return this.#status.become('completed', timeout);
  }
}

/** Waits on the MIGRATION events since the verb that began it all, so that none is missed. */
class StatusWatch {
  readonly #qemu: Qemu;
  readonly #side: 'source' | 'destination';
  #since: QmpMark;

  constructor(qemu: Qemu, side: 'source' | 'destination') {
    this.#qemu = qemu;
    this.#side = side;
    this.#since = qemu.qmp.mark();
  }

  begin(): void {
    this.#since = this.#qemu.qmp.mark();
  }

  async become(wanted: MigrationStatus, timeout: Milliseconds): Promise<void> {
    let status: MigrationStatus;
    let desc: string | undefined;
    try {
      status = await this.#first([wanted, ...ends], timeout);
      if (status === wanted) return;
      desc = (await this.#qemu.qmp.execute('query-migrate'))['error-desc'];
    } catch (cause) {
      if (!(cause instanceof QmpClosed)) throw cause;
      const log = this.#qemu.log() || '(empty)';
      throw new MigrationFailed(this.#side, wanted, 'gone', `QEMU ended or closed QMP; its log ends: ${log}`, { cause });
    }
    throw new MigrationFailed(this.#side, wanted, status, desc ?? 'QEMU gives no reason');
  }

  end(timeout: Milliseconds): Promise<MigrationStatus> {
    return this.#first(ends, timeout);
  }

  async #first(statuses: readonly MigrationStatus[], timeout: Milliseconds): Promise<MigrationStatus> {
    const predicate = ({ data }: { readonly data: { readonly status: MigrationStatus } }): boolean => statuses.includes(data.status);
    return (await this.#qemu.qmp.waitFor('MIGRATION', { since: this.#since, timeout, predicate })).data.status;
  }
}

interface Part {
  readonly hold: boolean;
  readonly source: boolean;
}

async function setCapabilities(qemu: Qemu, abilities: MigrationAbilities, { hold, source }: Part): Promise<void> {
  const capabilities: { capability: MigrationCapability; state: boolean }[] = [{ capability: 'events', state: true }];
  if (abilities.pauseBeforeSwitchover) capabilities.push({ capability: 'pause-before-switchover', state: hold });
  if (abilities.lateBlockActivate) capabilities.push({ capability: 'late-block-activate', state: hold });
  // At the source only: the destination must not have it, or it would give its word at once.
  if (abilities.hold) {
    const state = hold && source;
    capabilities.push({ capability: 'return-path', state }, { capability: 'switchover-ack', state });
  }
  await qemu.qmp.execute('migrate-set-capabilities', { capabilities });
}

function announceRounds({ silentAnnounce }: MigrationAbilities, hold: boolean): MigrateSetParametersArguments {
  return silentAnnounce ? { 'announce-rounds': hold ? 0 : 5 } : {};
}

async function setParameters(qemu: Qemu, parameters: MigrateSetParametersArguments): Promise<void> {
  await qemu.qmp.execute('migrate-set-parameters', parameters);
}
