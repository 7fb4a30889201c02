/** The source's side of a move: the redirect of every NIC into its tunnel, and the way back. Decides nothing. */
import type { Host } from '../host/host.ts';
import type { Link } from '../host/link.ts';
import type { ReceivedFrame } from '../native/native.ts';
import { RedirectLoop } from './errors.ts';
import { Injector } from './injector.ts';
import type { LedgerPath } from './ledger.ts';
import type { KernelGuest } from './kernel-guest.ts';
import type { MoveTerms } from './ends.ts';
import { handOver, hold, leave, unhold } from './segment.ts';
import type { VmTap } from '../host/vm-tap.ts';

/** Preferences of the two redirects at a tap's egress. */
const GROUP = 1;
const UNICAST = 2;
/** How long the other hosts of a VXLAN may take to hear of the move, ms: one of these frames is lost, and the next is not. */
const HEARD = 250;

/** NIC n uses the VNI after that of NIC n - 1. */
export const firstVni = ({ id }: MoveTerms): number => Number.parseInt(id, 16) & 0xfffff0;

export const tunnelName = ({ id }: MoveTerms, nic: number): string => `gx-${id}-${nic}`;

interface Lane {
  readonly tap: VmTap;
  readonly tunnel: Link;
  readonly injector: Injector;
  readonly uplink: number;
  redirected: boolean;
  /** The group's filter is there: an agent before this one may have ended it already. */
  groups: boolean;
}

/** The tunnel of an earlier move that still feeds a tap, by a filter at its ingress. Such a tap must not redirect. */
export function fedByTunnel(host: Host, tap: VmTap): Link | undefined {
  return host.links.list().filter((l) => l.kind === 'vxlan').find((l) => host.traffic.feeds(l.index, tap.index));
}

/** As much of a guest as its network is. */
export type NetworkedGuest = Pick<KernelGuest, 'host' | 'vm' | 'taps'>;

export class MoveSource {
  readonly running: NetworkedGuest;
  readonly #terms: MoveTerms;
  readonly #lanes: Lane[] = [];
  #handedOver = false;
  #heard: NodeJS.Timeout | undefined;

  /** `adopt`: takes over the tunnels that an earlier agent made, and the redirects in force, instead of making new ones. */
  constructor(running: NetworkedGuest, terms: MoveTerms, { adopt }: { readonly adopt: boolean }) {
    this.running = running;
    this.#terms = terms;
    const { host } = running;
    try {
      const uplink = host.addresses.route(terms.destination).device;
      const links = adopt ? host.links.list() : [];
      for (const [i, tap] of running.taps.entries()) {
        if (!adopt && fedByTunnel(host, tap)) throw new RedirectLoop(tap.tap.name);
        const name = tunnelName(terms, i);
        // First what fails when QEMU has just ended and its tap is gone: no tunnel is to be left then.
        const injector = new Injector(host, tap);
        try {
          const filters = adopt ? host.traffic.counters(tap.index, 'egress') : [];
          const tunnel = links.find((link) => link.name === name) ?? host.createTunnel({
            name, vni: firstVni(terms) + i, local: terms.source, remote: terms.destination, mtu: running.vm.nics[i]?.mtu ?? 1500,
          });
          this.#lanes.push({
            tap, tunnel, injector, uplink, redirected: filters.length > 0, groups: filters.some(({ preference }) => preference === GROUP),
          });
        } catch (error) {
          injector.close();
          throw error;
        }
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  redirects(): boolean {
    return this.#lanes.some(({ redirected }) => redirected);
  }

  /** In force when it returns: the kernel has acknowledged every filter. Of all NICs, or of one. */
  redirect(only?: number): void {
    const { traffic } = this.running.host;
    for (const [i, lane] of this.#lanes.entries()) {
      if (only !== undefined && only !== i) continue;
      lane.redirected = true;
      lane.groups = true;
      traffic.redirect(lane.tap.index, { hook: 'egress', preference: UNICAST, match: 'unicast', to: lane.tunnel.index });
      traffic.redirect(lane.tap.index, { hook: 'egress', preference: GROUP, match: 'group', to: lane.tunnel.index });
    }
    hold(this.running, only);
  }

  tapsWaiting(): boolean {
    return this.#lanes.some((lane) => lane.tap.tap.readable());
  }

  /** Group frames redirected so far, per NIC. */
  groupFrames(): number[] {
    const { traffic } = this.running.host;
    return this.#lanes.map((lane) => traffic.counters(lane.tap.index, 'egress').find((f) => f.preference === GROUP)?.packets ?? 0);
  }

  /** The guest has been handed over. */
  endGroupRedirect(): void {
    this.#handedOver = true;
    for (const lane of this.#lanes.filter(({ groups }) => groups)) {
      this.running.host.traffic.remove(lane.tap.index, 'egress', GROUP);
      lane.groups = false;
    }
    handOver(this.running);
    this.#heard ??= setTimeout(() => this.#unhold(), HEARD);
  }

  /** Best effort: an agent that ends closes its host meanwhile, and what is held on is let go by `endRedirect`. */
  #unhold(): void {
    try {
      unhold(this.running);
    } catch {
      // Nothing waits for it.
    }
  }

  /** Takes the whole redirect away, of all NICs or of one: frames reach the taps again, unless the guest has been handed over. */
  endRedirect(only?: number): void {
    const { traffic } = this.running.host;
    clearTimeout(this.#heard);
    if (this.#handedOver) leave(this.running, this.#terms.destination);
    else unhold(this.running, only);
    for (const [i, lane] of this.#lanes.entries()) {
      if (only !== undefined && only !== i) continue;
      if (!lane.redirected) continue;
      for (const { preference } of traffic.counters(lane.tap.index, 'egress')) traffic.remove(lane.tap.index, 'egress', preference);
      lane.redirected = false;
      lane.groups = false;
    }
  }

  /** Frames that have gone into the tunnel of each NIC so far. Nothing else uses the device, so its counter is exact. */
  redirectedFrames(): number[] {
    return this.#lanes.map(({ tunnel }) => this.running.host.links.get(tunnel.name).counters.txPackets);
  }

  /** Only while the guest stands still. A tap with frames in it was primed by the first of them; so was one that cannot be primed. */
  async prime(): Promise<void> {
    for (const [i, lane] of this.#lanes.entries()) {
      const nic = this.running.vm.nics[i];
      if (nic && !lane.tap.tap.readable()) await lane.injector.prime(nic);
    }
  }

  /**
   * Behind the last frame of every tap, one that nobody misses. QEMU reads no frame while it has one in hand that the guest has no
   * room for: so when a tap is empty after this, all frames before are the guest's, and what a `stop` makes QEMU drop is this one.
   */
  flush(): void {
    for (const [i, lane] of this.#lanes.entries()) {
      const nic = this.running.vm.nics[i];
      if (nic) lane.injector.putNobodys(nic);
    }
  }

  inject(nic: number, frame: ReceivedFrame): void {
    this.#lanes[nic]?.injector.put(frame);
  }

  /** Takes everything out of a NIC's tap. Only while the guest stands still. */
  takeAll(nic: number): ReceivedFrame[] {
    const frames: ReceivedFrame[] = [];
    for (let frame; (frame = this.#lanes[nic]?.tap.tap.read()); ) frames.push(frame);
    return frames;
  }

  ledgerPaths(): LedgerPath[] {
    return this.#lanes.map(({ tap, tunnel, uplink }) => ({
      host: this.running.host, tap: { name: tap.tap.name, index: tap.index }, tunnel, uplink,
      filters: { index: tap.index, name: tap.tap.name, hook: 'egress' },
    }));
  }

  /** Removes redirects and tunnels. The taps stay the running VM's. */
  close(): void {
    this.endRedirect();
    for (const lane of this.#lanes.splice(0)) {
      lane.injector.close();
      this.running.host.links.delete(lane.tunnel.index);
    }
  }
}
