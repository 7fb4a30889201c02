/**
 * Proof that neighbours use this host for a virtual router's addresses. They are asked from such an address, by ARP or neighbour
 * solicitation: whoever hears that learns where the address is (RFC 826, the merge flag; RFC 4861 §7.2.3), and the answer comes to the
 * MAC that the asker gave, by the way that switches know to it. One answer that arrives here is the proof.
 */
import { arpFilter, neighbourAdvertisementFilter } from '../host/packet-filter.ts';
import { type PacketSocket, SystemError } from '../native/native.ts';
import { arpProbeFrame, nsProbeFrame } from '../wire/announce.ts';
import { decodeArp } from '../wire/arp.ts';
import { EtherType, decodeEthernet } from '../wire/ethernet.ts';
import { decodeNeighborDiscovery } from '../wire/icmpv6-nd.ts';
import { type IpAddress } from '../wire/ip-address.ts';
import type { MacAddress } from '../wire/mac-address.ts';
import { sameNetwork } from '../wire/same-network.ts';
import { DecodeError } from '../wire/wire.ts';
import type { Device, PlacedAddress, PulseGround } from './ground.ts';

const ETH_P_ALL = 0x0003;
/** Bytes: some dozens of frames. What nobody waits for is not worth more. */
const RECEIVE_BUFFER = 1 << 15;
/** Neighbours that are asked at a time. */
const MOST = 16;

export interface Asker {
  readonly router: string;
  readonly mac: MacAddress;
  readonly addresses: readonly PlacedAddress[];
}

/** Of one device and family. The socket stays: opening and closing one in the middle of a takeover would cost more than a packet. */
export class Proof {
  readonly #ground: PulseGround;
  readonly #device: Device;
  readonly #family: 4 | 6;
  readonly #socket: PacketSocket;
  readonly #used: (router: string) => void;
  /** Asked first. Looked up beforehand: that can take longer than all the rest of a takeover. */
  #gateways: readonly IpAddress[] = [];
  /** Who waits for an answer, by router. */
  readonly #waiting = new Map<string, Asker>();

  constructor(ground: PulseGround, device: Device, family: 4 | 6, used: (router: string) => void) {
    this.#ground = ground;
    this.#device = device;
    this.#family = family;
    this.#used = used;
    this.#socket = ground.native.packetSocket(ground.netns, {
      ifindex: device.index, protocol: ETH_P_ALL, receiveBuffer: RECEIVE_BUFFER,
      filter: family === 4 ? arpFilter() : neighbourAdvertisementFilter(),
    });
    this.learn();
  }

  /** Looks up the gateways anew. */
  learn(): void {
    this.#gateways = this.#ground.gateways(this.#device, this.#family);
  }

  /** Asks the neighbours that the kernel knows; what they answer is told until `forget`. */
  ask(asker: Asker): void {
    if (this.#waiting.size === 0) {
      this.#discard();
      this.#socket.onReadable(() => this.#read());
    }
    this.#waiting.set(asker.router, asker);
    const { mac, addresses } = asker;
    const isGateway = (one: IpAddress): number => Number(this.#gateways.some((gateway) => gateway.equals(one)));
    const neighbours = this.#ground.neighbours(this.#device, this.#family).map(({ address }) => address)
      .sort((a, b) => isGateway(b) - isGateway(a));
    for (const to of neighbours.slice(0, MOST)) {
      // Some hosts answer nobody who is not of their network.
      const { address: from } = addresses.find(({ address, prefixLength }) => sameNetwork(address, to, prefixLength)) ?? addresses[0] ?? {};
      if (!from || addresses.some(({ address }) => address.equals(to))) continue;
      if (from.family === 4 && to.family === 4) this.#send(arpProbeFrame(mac, to, from));
      if (from.family === 6 && to.family === 6) this.#send(nsProbeFrame(mac, to, from));
    }
  }

  /** Its answers are of no interest any more. */
  forget(router: string): void {
    this.#waiting.delete(router);
    if (this.#waiting.size === 0) this.#socket.onReadable(undefined);
  }

  close(): void {
    this.#waiting.clear();
    this.#socket.close();
  }

  #send(frame: Uint8Array): void {
    try {
      this.#socket.send(frame);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
    }
  }

  /** Of before anybody asked. */
  #discard(): void {
    while (this.#receive());
  }

  #read(): void {
    for (let frame; (frame = this.#receive()); ) {
      const answered = answerTo(frame);
      if (!answered) continue;
      for (const { router, mac, addresses } of this.#waiting.values()) {
        if (answered.mac.equals(mac) && addresses.some(({ address }) => address.equals(answered.asker))) {
          this.forget(router);
          this.#used(router);
        }
      }
    }
  }

  #receive(): Uint8Array | undefined {
    try {
      for (;;) {
        const received = this.#socket.receive();
        // 4: what this host sent itself.
        if (received?.packetType !== 4) return received?.frame;
      }
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      return undefined;
    }
  }
}

/** Whom a frame answers: an asker's address, and the MAC to which the answer came. */
export function answerTo(frame: Uint8Array): { readonly asker: IpAddress; readonly mac: MacAddress } | undefined {
  try {
    const { destination, etherType, payload } = decodeEthernet(frame);
    if (etherType === EtherType.arp) {
      const { operation, targetIp, senderIp } = decodeArp(payload);
      // A gratuitous one answers nobody.
      return operation === 'reply' && !targetIp.equals(senderIp) ? { asker: targetIp, mac: destination } : undefined;
    }
    if (etherType !== EtherType.ipv6) return undefined;
    const packet = decodeNeighborDiscovery(payload);
    return packet.kind === 'advertisement' && packet.solicited ? { asker: packet.destination, mac: destination } : undefined;
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}
