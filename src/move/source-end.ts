/** The source's end of a move, on the kernel and QEMU: the network part is MoveSource's, the copy QEMU's. */
import { type BytesPerSecond, ms, seconds } from '../base/units.ts';
import type { ReceivedFrame } from '../native/native.ts';
import { type MigrationSample, OutgoingMigration, prepareOutgoing, queryMigrationAbilities } from '../vm/migration.ts';
import { QmpClosed } from '../vm/qmp-errors.ts';
import type { AskedNic, MoveTerms, SourceEnd, SourceEvent, SourceProbes } from './ends.ts';
import type { KernelGuest } from './kernel-guest.ts';
import { type LedgerReading, readLedger } from './ledger.ts';
import { MoveSource } from './move-source.ts';
import { ReachabilityProbe } from './reachability.ts';
import { raise } from './urgency.ts';

/** For QEMU's answers that a healthy QEMU gives at once. */
const ANSWER = seconds(30);

export interface SourceOptions {
  readonly hostProbes: boolean;
}

export class KernelSourceEnd implements SourceEnd {
  readonly guest: KernelGuest;
  readonly probes: SourceProbes;
  readonly #network: MoveSource;
  readonly #outgoing: OutgoingMigration;

  private constructor(guest: KernelGuest, network: MoveSource, outgoing: OutgoingMigration, probes: readonly ReachabilityProbe[]) {
    this.guest = guest;
    this.#network = network;
    this.#outgoing = outgoing;
    this.probes = {
      watch: () => probes.forEach((probe) => probe.watch()),
      stop: () => probes.forEach((probe) => probe.stop()),
      close: () => probes.map((probe): AskedNic => ({ nic: probe.nic, protocol: probe.protocol, ...probe.close() })),
    };
  }

  /** Leaves nothing behind when it fails. */
  static async prepare(guest: KernelGuest, terms: MoveTerms, { hostProbes }: SourceOptions): Promise<KernelSourceEnd> {
    const network = new MoveSource(guest, terms, { adopt: false });
    try {
      const outgoing = await prepareOutgoing(guest.qemu, { hold: true, maxBandwidth: terms.maxBandwidth });
      return new KernelSourceEnd(guest, network, outgoing, hostProbes ? ReachabilityProbe.open(guest) : []);
    } catch (error) {
      network.close();
      throw error;
    }
  }

  static async adopt(guest: KernelGuest, terms: MoveTerms): Promise<KernelSourceEnd> {
    const abilities = await queryMigrationAbilities(guest.qemu);
    return new KernelSourceEnd(guest, new MoveSource(guest, terms, { adopt: true }), new OutgoingMigration(guest.qemu, abilities), []);
  }

  get host(): string {
    return this.guest.host.name;
  }

  get nics(): number {
    return this.guest.taps.length;
  }

  get holds(): boolean {
    return this.#outgoing.abilities.hold;
  }

  listen(listener: (event: SourceEvent) => void): () => void {
    const { qmp, exited } = this.guest.qemu;
    let listening = true;
    const unlisten = [
      qmp.on('STOP', ({ at }) => listener({ kind: 'stopped', at: ms(at) })),
      qmp.on('MIGRATION', ({ data, at }) => {
        if (data.status === 'pre-switchover') listener({ kind: 'pre-switchover', at: ms(at) });
        if (data.status === 'completed') listener({ kind: 'completed', at: ms(at) });
        if (data.status === 'failed') listener({ kind: 'failed', reason: 'The copy failed at the source' });
      }),
      qmp.on('MIGRATION_PASS', () => listener({ kind: 'pass-ended' })),
    ];
    void exited.then(() => listening && listener({ kind: 'ended' }));
    return () => {
      listening = false;
      for (const stop of unlisten) stop();
    };
  }

  copy(uri: string): Promise<void> {
    return this.#outgoing.migrate(uri);
  }

  limit(maxBandwidth: BytesPerSecond): Promise<void> {
    return this.#outgoing.limit(maxBandwidth);
  }

  sample(): Promise<MigrationSample> {
    return this.#outgoing.sample();
  }

  hurry(): () => void {
    const calm = [raise(0), raise(this.guest.qemu.pid)];
    return () => calm.splice(0).forEach((stop) => stop());
  }

  redirect(nic?: number): void {
    this.#network.redirect(nic);
  }

  endRedirect(nic?: number): void {
    this.#network.endRedirect(nic);
  }

  redirects(): boolean {
    return this.#network.redirects();
  }

  tapsWaiting(): boolean {
    return this.#network.tapsWaiting();
  }

  flush(): void {
    this.#network.flush();
  }

  async running(): Promise<boolean> {
    return (await this.guest.qemu.qmp.execute('query-status')).running;
  }

  stop(): Promise<void> {
    return this.guest.qemu.stop({ timeout: ANSWER });
  }

  resume(): Promise<void> {
    return this.guest.qemu.cont();
  }

  continueSwitchover(): Promise<void> {
    return this.#outgoing.continueSwitchover();
  }

  async cancelCopy(): Promise<void> {
    try {
      await this.#outgoing.cancel(ANSWER);
    } catch (error) {
      // Of a QEMU that is gone there is nothing to cancel; that it is gone is told by itself.
      if (!(error instanceof QmpClosed)) throw error;
    }
  }

  groupFrames(): number[] {
    return this.#network.groupFrames();
  }

  endGroupRedirect(): void {
    this.#network.endGroupRedirect();
  }

  redirectedFrames(): number[] {
    return this.#network.redirectedFrames();
  }

  prime(): Promise<void> {
    return this.#network.prime();
  }

  takeAll(nic: number): ReceivedFrame[] {
    return this.#network.takeAll(nic);
  }

  inject(nic: number, frame: ReceivedFrame): void {
    this.#network.inject(nic, frame);
  }

  ledger(): LedgerReading {
    return readLedger(this.#network.ledgerPaths());
  }

  close(): void {
    this.probes.close();
    this.#network.close();
  }
}
