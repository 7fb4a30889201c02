/**
 * What a host itself sees of its guest during a move: it asks for one of the guest's addresses and notes when the answers come.
 * At the source rarely, while the guest is copied; at the destination often, from its release to its first answer.
 *
 * The questions go to the guest alone: straight into its tap, past qdisc and filters, so a redirect does not take them along
 * and other ports never see them. The answers go to an address that the bridge counts as its own, so it floods them nowhere.
 * Behind a bridge port only a socket of all protocols sees frames, of which there may be millions: so it listens at the bridge.
 */
import { type Milliseconds, ms } from '../base/units.ts';
import type { Host } from '../host/host.ts';
import { KernelRefused } from '../host/netlink.ts';
import type { VmTap } from '../host/vm-tap.ts';
import type { HostProbe } from '../model/move.ts';
import type { Vm } from '../model/vm.ts';
import { type PacketSocket, SystemError } from '../native/native.ts';
import { arpProbeFrame, nsProbeFrame } from '../wire/announce.ts';
import { decodeArp } from '../wire/arp.ts';
import { EtherType, decodeEthernet } from '../wire/ethernet.ts';
import { decodeNeighborDiscovery } from '../wire/icmpv6-nd.ts';
import { type IpAddress, Ipv6Address } from '../wire/ip-address.ts';
import { MacAddress } from '../wire/mac-address.ts';
import { DecodeError } from '../wire/wire.ts';

/** Between two questions at the source, and at the destination until the first answer; and when to give that up. ms. */
export const WATCH_INTERVAL = 50;
export const AWAIT_INTERVAL = 20;
export const AWAIT_LIMIT = 2000;

/** What is needed of a RunningVm. */
export interface ProbedVm {
  readonly host: Host;
  readonly vm: Pick<Vm, 'nics'>;
  readonly taps: readonly VmTap[];
}

/** When a guest was asked and when its answers came in, each in order, CLOCK_REALTIME of this host. */
export interface Asked {
  readonly sent: readonly Milliseconds[];
  readonly answers: readonly Milliseconds[];
}

/** Who asks for what: the answer comes from `guest` to `asker`. */
export interface Question {
  readonly asker: MacAddress;
  readonly guest: MacAddress;
  readonly address: IpAddress;
}

/** One NIC of a guest, asked by one host. A failing socket ends the asking and nothing else: the move goes on without it. */
export class ReachabilityProbe {
  readonly nic: number;
  readonly protocol: 'ARP' | 'NS';
  readonly #question: Question;
  readonly #frame: Uint8Array;
  readonly #toTap: PacketSocket;
  readonly #atBridge: PacketSocket;
  readonly #own: { close(): void } | undefined;
  readonly #sent: Milliseconds[] = [];
  readonly #answers: Milliseconds[] = [];
  #timer: NodeJS.Timeout | undefined;
  #open = true;

  /**
   * One per NIC that has an address, for the first IPv4 one, else the first.
   * Throws SystemError or KernelRefused; leaves nothing behind then.
   */
  static open({ host, vm, taps }: ProbedVm): ReachabilityProbe[] {
    const probes: ReachabilityProbe[] = [];
    try {
      for (const [i, { mac, addresses }] of vm.nics.entries()) {
        const address = addresses.find(({ family }) => family === 4) ?? addresses[0];
        const tap = taps[i];
        if (address && tap) probes.push(new ReachabilityProbe(host, tap, i, mac, address));
      }
      return probes;
    } catch (error) {
      for (const probe of probes) probe.close();
      throw error;
    }
  }

  private constructor(host: Host, tap: VmTap, nic: number, guest: MacAddress, address: IpAddress) {
    this.nic = nic;
    this.protocol = address.family === 4 ? 'ARP' : 'NS';
    // An advertisement to the tap's own MAC goes on to the host's IPv6, which tries to forward it, and asks the network where to.
    const asker = address.family === 4 ? MacAddress.of(host.links.get(tap.tap.name).address) : askingMac(guest);
    this.#question = { asker, guest, address };
    this.#frame = questionFrame(this.#question);
    const open: { close(): void }[] = [];
    const opened = <T extends { close(): void }>(thing: T): T => {
      open.push(thing);
      return thing;
    };
    try {
      this.#toTap = opened(host.native.packetSocket(host.netns, { ifindex: tap.index, protocol: 0, bypassQdisc: true }));
      const protocol = address.family === 4 ? EtherType.arp : EtherType.ipv6;
      this.#atBridge = opened(host.native.packetSocket(host.netns, { ifindex: tap.bridge, protocol }));
      this.#own = address.family === 4 ? undefined : opened(ownAtBridge(host, tap.index, asker));
    } catch (error) {
      for (const thing of open) thing.close();
      throw error;
    }
  }

  /** Asks now and every WATCH_INTERVAL until `stop`. For a running guest. */
  watch(): void {
    this.#every(WATCH_INTERVAL, () => false);
  }

  /** Asks now and every AWAIT_INTERVAL until the first answer or AWAIT_LIMIT. The guest may still stand still: it answers when it runs. */
  awaitAnswer(): void {
    const until = performance.now() + AWAIT_LIMIT;
    this.#every(AWAIT_INTERVAL, () => this.#answers.length > 0 || performance.now() >= until);
  }

  /** No question leaves after it. Answers under way are still taken in, by `close`. Idempotent. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Not in a hurry: the kernel waits 5-20 ms for each packet socket that closes (synchronize_net). Idempotent. */
  close(): Asked {
    this.stop();
    if (this.#open) {
      this.#open = false;
      this.#unlessBroken(() => this.#take());
      this.#own?.close();
      this.#toTap.close();
      this.#atBridge.close();
    }
    return { sent: this.#sent, answers: this.#answers };
  }

  #every(interval: number, over: () => boolean): void {
    this.stop();
    const turn = (): void => this.#unlessBroken(() => {
      this.#take();
      if (over()) this.stop();
      else this.#ask();
    });
    this.#timer = setInterval(turn, interval);
    turn();
  }

  #ask(): void {
    // The clock of the kernel's timestamps, to the millisecond below, also after it was set: no answer is older than its question.
    const at = ms(Date.now());
    try {
      this.#toTap.send(this.#frame);
    } catch (error) {
      if (error instanceof SystemError && error.errnoName === 'ENOBUFS') return; // the tap is full: another time
      throw error;
    }
    this.#sent.push(at);
  }

  #take(): void {
    for (let received; (received = this.#atBridge.receive()); ) {
      if (answers(received.frame, this.#question)) this.#answers.push(ms(received.timestamp));
    }
  }

  #unlessBroken(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.stop();
    }
  }
}

/**
 * For ARP the probe of RFC 5227 §2.1.1, which touches nobody's cache. For IPv6 a solicitation from the link-local address that
 * follows from the asker's MAC: one from `::` would be answered to all nodes (RFC 4861 §7.2.4), and they are elsewhere.
 */
export function questionFrame({ asker, address }: Question): Uint8Array {
  return address.family === 4 ? arpProbeFrame(asker, address) : nsProbeFrame(asker, address, linkLocal(asker));
}

/** Is this frame, whatever it is, the guest's answer to this question? */
export function answers(frame: Uint8Array, { asker, guest, address }: Question): boolean {
  try {
    const { destination, source, etherType, payload } = decodeEthernet(frame);
    if (!destination.equals(asker) || !source.equals(guest)) return false;
    if (address.family === 4 && etherType === EtherType.arp) {
      const { operation, senderIp } = decodeArp(payload);
      return operation === 'reply' && senderIp.equals(address);
    }
    if (address.family === 6 && etherType === EtherType.ipv6) {
      const packet = decodeNeighborDiscovery(payload);
      return packet.kind === 'advertisement' && packet.target.equals(address);
    }
    return false;
  } catch (error) {
    if (error instanceof DecodeError) return false;
    throw error;
  }
}

/**
 * The answers that were asked for. They carry no number: each belongs to the oldest question before it that has none yet, and
 * one with no such question was asked by nobody, or came twice. Both lists in order.
 */
export function askedFor({ sent, answers }: Asked): Milliseconds[] {
  let open = 0;
  return answers.filter((at) => {
    const question = sent[open];
    if (question === undefined || question > at) return false;
    open++;
    return true;
  });
}

/** Puts together what both ends saw of one NIC. `resumedAt` by the destination's clock. */
export function hostProbe(
  of: { readonly nic: number; readonly name: string }, source: Asked, destination: Asked, resumedAt: Milliseconds | undefined,
): HostProbe {
  const [before, after] = [askedFor(source), askedFor(destination)];
  const lastAnswerAt = before.at(-1);
  const firstAnswerAt = after[0];
  return {
    nic: of.nic, name: of.name,
    sent: source.sent.length + destination.sent.length,
    answered: before.length + after.length,
    lastAnswerAt, firstAnswerAt,
    gap: lastAnswerAt !== undefined && firstAnswerAt !== undefined ? ms(firstAnswerAt - lastAnswerAt) : undefined,
    resumeToFirstAnswer: resumedAt !== undefined && firstAnswerAt !== undefined ? ms(firstAnswerAt - resumedAt) : undefined,
  };
}

/** fe80::/64 with the modified EUI-64 of the MAC (RFC 4291 §2.5.6, appendix A). */
export function linkLocal(mac: MacAddress): Ipv6Address {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac.bytes();
  return Ipv6Address.of(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f));
}

/** Locally administered, neither the guest's nor, as fe:…, its tap's. */
const askingMac = (guest: MacAddress): MacAddress => MacAddress.of(Uint8Array.of(0xfa, ...guest.bytes().subarray(1)));

/** See Bridges.own; until `close`. */
function ownAtBridge({ bridges }: Host, port: number, mac: MacAddress): { close(): void } {
  bridges.own(port, mac);
  return {
    close() {
      try {
        bridges.disown(port, mac);
      } catch (error) {
        if (!(error instanceof KernelRefused)) throw error; // gone with its port
      }
    },
  };
}
