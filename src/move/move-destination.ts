/** The destination's side of a move: mute taps fed by tunnels, the incoming QEMU, the opening, the announcements. Decides nothing. */
import { ms } from '../base/units.ts';
import type { Host } from '../host/host.ts';
import type { Link } from '../host/link.ts';
import type { Nic, Vm } from '../model/vm.ts';
import type { ReceivedFrame } from '../native/native.ts';
import { type IncomingMigration, prepareIncoming } from '../vm/migration.ts';
import { QmpCommandError } from '../vm/qmp-errors.ts';
import { groupQueryFrames } from '../wire/group-query.ts';
import { MacAddress } from '../wire/mac-address.ts';
import type { AskedNic, DestinationGuest, MoveTerms } from './ends.ts';
import { NoMigrationPort, PrimingFailed } from './errors.ts';
import type { Place } from './hypervisor.ts';
import { Injector } from './injector.ts';
import { KernelGuest } from './kernel-guest.ts';
import { type LedgerPath, type LedgerReading, readLedger } from './ledger.ts';
import { firstVni, tunnelName } from './move-source.ts';
import { ReachabilityProbe } from './reachability.ts';
import { formatUri } from './uri.ts';
import { settle } from './segment.ts';
import { raise } from './urgency.ts';

/** The round of announcements at which a guest that has sent nothing is asked for its groups all the same. */
const ASK_ANYWAY = 4;
/** Where QEMU takes migration streams: libvirt's ports too, so that firewalls know them. */
export const MIGRATION_PORTS = { first: 49152, count: 64 };

type Listener = Parameters<DestinationGuest['listen']>[0];

export interface DestinationOptions {
  readonly hostProbes: boolean;
}

export class MoveDestination implements DestinationGuest {
  readonly guest: KernelGuest;
  readonly uri: string;
  readonly #tunnels: Link[] = [];
  readonly #injectors: Injector[] = [];
  readonly #probes: readonly ReachabilityProbe[];
  readonly #uplink: number;
  readonly #asked = new Set<number>();
  /** Per NIC: frames that we have written as if the guest had sent them. */
  readonly #announced: number[] = [];
  #rounds = 0;

  private constructor(guest: KernelGuest, uri: string, uplink: number, { hostProbes }: DestinationOptions) {
    this.guest = guest;
    this.uri = uri;
    this.#uplink = uplink;
    this.#probes = hostProbes ? ReachabilityProbe.open(guest) : [];
  }

  /** Everything that can be done before the guest is stopped. Leaves nothing behind when it fails. */
  static async prepare(host: Host, vm: Vm, place: Place, terms: MoveTerms, options: DestinationOptions): Promise<MoveDestination> {
    const uplink = host.addresses.route(terms.source).device;
    const guest = await KernelGuest.start(host, vm, place, 'paused');
    let destination: MoveDestination | undefined;
    try {
      const uri = await listen(await prepareIncoming(guest.qemu, { hold: true }), terms);
      destination = new MoveDestination(guest, uri, uplink, options);
      for (const [i, tap] of guest.taps.entries()) {
        const nic = vm.nics[i];
        if (!nic) continue;
        // Closed at the end: closing a packet socket holds the program up for some 10 ms (synchronize_net).
        const injector = new Injector(host, tap);
        destination.#injectors.push(injector);
        if (!(await injector.prime(nic))) throw new PrimingFailed(tap.tap.name);
        const tunnel = host.createTunnel({ name: tunnelName(terms, i), vni: firstVni(terms) + i, local: terms.destination, remote: terms.source, mtu: nic.mtu });
        destination.#tunnels.push(tunnel);
        host.traffic.attach(tunnel.index);
        host.traffic.redirect(tunnel.index, { hook: 'ingress', preference: 1, match: 'all', to: tap.index });
      }
      return destination;
    } catch (error) {
      destination?.close();
      await guest.kill();
      throw error;
    }
  }

  /** What an earlier agent prepared: its QEMU, taps and tunnels. Undefined when QEMU is gone; then nothing is left. */
  static async adopt(host: Host, vm: Vm, place: Place, terms: MoveTerms): Promise<MoveDestination | undefined> {
    const guest = await KernelGuest.adopt(host, vm, place);
    const tunnels = host.links.list().filter(({ name }) => name.startsWith(`gx-${terms.id}-`));
    if (!guest) {
      for (const { index } of tunnels) host.links.delete(index);
      return undefined;
    }
    const destination = new MoveDestination(guest, '', host.addresses.route(terms.source).device, { hostProbes: false });
    for (const tap of guest.taps) destination.#injectors.push(new Injector(host, tap));
    destination.#tunnels.push(...tunnels.toSorted((a, b) => (a.name < b.name ? -1 : 1)));
    return destination;
  }

  listen(listener: Listener): () => void {
    const { qemu } = this.guest;
    let listening = true;
    const unlisten = [
      qemu.qmp.on('MIGRATION', ({ data, at }) => {
        if (data.status === 'completed') listener({ kind: 'loaded', at: ms(at) });
        if (data.status === 'failed') listener({ kind: 'failed', reason: `The destination could not load the guest: ${qemu.log()}` });
      }),
      qemu.qmp.on('RESUME', ({ at }) => listener({ kind: 'resumed', at: ms(at) })),
    ];
    void qemu.exited.then(() => listening && listener({ kind: 'ended' }));
    return () => {
      listening = false;
      for (const stop of unlisten) stop();
    };
  }

  async loaded(): Promise<boolean> {
    return (await this.guest.qemu.qmp.execute('query-migrate')).status === 'completed';
  }

  hurry(): () => void {
    return raise(0);
  }

  /** In this order, or the guest's first frames go astray. */
  async release(): Promise<void> {
    const { host, taps, vm, qemu } = this.guest;
    // Not before: a main loop that is preferred while it loads takes the processor from what it waits for.
    const calm = raise(qemu.pid);
    for (const tap of taps) host.bridges.setPortState(tap.index, 'forwarding');
    for (const [i, tap] of taps.entries()) {
      const nic = vm.nics[i];
      if (nic) host.bridges.learn(tap.index, nic.mac);
    }
    settle(this.guest);
    await qemu.cont().finally(calm);
  }

  /** Says where the guest is now, as if the guest said it: its own bridge hears it first. And asks the guest for its groups, once. */
  announce(): void {
    this.#rounds++;
    for (const [i, nic] of this.guest.vm.nics.entries()) {
      this.#announced[i] = (this.#announced[i] ?? 0) + this.guest.announceNic(i);
      // Once the guest has sent something, or late enough: what it has to do first is to answer those who waited for it.
      if (this.#rounds === ASK_ANYWAY || this.#guestHasSent(i)) this.#askForGroups(i, nic);
    }
  }

  #guestHasSent(nic: number): boolean {
    const name = this.guest.taps[nic]?.tap.name;
    return name !== undefined && this.guest.host.links.get(name).counters.rxPackets > (this.#announced[nic] ?? 0);
  }

  /** The guest reports its groups, by which snooping switches learn the new port. The queries go to it alone and never leave this host. */
  #askForGroups(i: number, nic: Nic): void {
    const [tap, injector] = [this.guest.taps[i], this.#injectors[i]];
    if (!tap || !injector || this.#asked.has(i)) return;
    this.#asked.add(i);
    const from = MacAddress.of(this.guest.host.links.get(tap.tap.name).address);
    for (const frame of groupQueryFrames(nic, from)) injector.put({ frame, vnetHeader: new Uint8Array(), packetType: 0, timestamp: 0 });
  }

  awaitAnswers(): void {
    for (const probe of this.#probes) probe.awaitAnswer();
  }

  answers(): readonly AskedNic[] {
    return this.#probes.map((probe) => ({ nic: probe.nic, protocol: probe.protocol, ...probe.close() }));
  }

  async kill(): Promise<void> {
    await this.guest.qemu.kill();
    this.guest.qemu.close();
  }

  /** Takes what a tap holds, in order. Only when QEMU is gone. */
  takeHeld(nic: number): ReceivedFrame[] {
    const frames: ReceivedFrame[] = [];
    for (let frame; (frame = this.guest.taps[nic]?.tap.read()); ) frames.push(frame);
    return frames;
  }

  /** Frames that have come out of the tunnel of each NIC and gone into its tap. */
  deliveredFrames(): number[] {
    return this.#tunnels.map(({ index }) => this.guest.host.traffic.counters(index, 'ingress').reduce((sum, f) => sum + f.packets, 0));
  }

  tapsWaiting(): boolean[] {
    return this.guest.taps.map(({ tap }) => tap.readable());
  }

  ledger(): LedgerReading {
    const { host, taps } = this.guest;
    return readLedger(this.#tunnels.flatMap((tunnel, i): LedgerPath[] => {
      const tap = taps[i];
      return tap ? [{ host, tap: { name: tap.tap.name, index: tap.index }, tunnel, uplink: this.#uplink, filters: { index: tunnel.index, name: tunnel.name, hook: 'ingress' } }] : [];
    }));
  }

  close(): void {
    this.#closeSockets();
    for (const tunnel of this.#tunnels.splice(0)) this.guest.host.links.delete(tunnel.index);
  }

  leave(): void {
    this.#closeSockets();
    this.guest.close();
  }

  async discard(): Promise<void> {
    this.close();
    await this.guest.kill();
  }

  #closeSockets(): void {
    for (const probe of this.#probes) probe.close();
    for (const injector of this.#injectors.splice(0)) injector.close();
  }
}

/** The first free port, from one that differs from move to move: the last one's may not be free yet. Throws NoMigrationPort. */
async function listen(incoming: IncomingMigration, { id, destination }: MoveTerms): Promise<string> {
  const { first, count } = MIGRATION_PORTS;
  const start = Number.parseInt(id, 16) >> 4;
  let cause: unknown;
  for (let i = 0; i < count; i++) {
    const uri = formatUri(destination, first + ((start + i) % count));
    try {
      await incoming.listen(uri);
      return uri;
    } catch (error) {
      if (!(error instanceof QmpCommandError)) throw error;
      cause = error;
    }
  }
  throw new NoMigrationPort(destination.toString(), cause);
}
