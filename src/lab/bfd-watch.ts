/** Every BFD packet on every host's cable, with the kernel's stamp: what the lab believes, and not what a program says of itself. */
import type { Host } from '../host/host.ts';
import type { FilterInstruction, PacketSocket } from '../native/native.ts';
import { type WireBfd, readBfd } from './bfd-packet.ts';

const ETH_P_ALL = 3;
const PACKET_OUTGOING = 4;
/** IPv4 without options or IPv6, UDP, to port 3784, 3785 or 4784 (classic BPF; by offsets in the Ethernet frame). */
const BFD_ONLY: readonly FilterInstruction[] = [
  { code: 0x28, jt: 0, jf: 0, k: 12 }, { code: 0x15, jt: 0, jf: 4, k: 0x0800 },
  { code: 0x30, jt: 0, jf: 0, k: 23 }, { code: 0x15, jt: 0, jf: 10, k: 17 }, { code: 0x28, jt: 0, jf: 0, k: 36 },
  { code: 0x05, jt: 0, jf: 0, k: 4 },
  { code: 0x15, jt: 0, jf: 7, k: 0x86dd }, { code: 0x30, jt: 0, jf: 0, k: 20 }, { code: 0x15, jt: 0, jf: 5, k: 17 },
  { code: 0x28, jt: 0, jf: 0, k: 56 },
  { code: 0x15, jt: 2, jf: 0, k: 3784 }, { code: 0x15, jt: 1, jf: 0, k: 3785 }, { code: 0x15, jt: 0, jf: 1, k: 4784 },
  { code: 0x06, jt: 0, jf: 0, k: 0xffffffff }, { code: 0x06, jt: 0, jf: 0, k: 0 },
];

/** A port of the switch, and whose cable is in it. */
export interface BfdPort {
  readonly host: string;
  readonly port: string;
}

export class BfdWatch {
  /** In the order in which they were seen. */
  readonly packets: WireBfd[] = [];
  readonly #sockets: { readonly host: string; readonly socket: PacketSocket }[];
  readonly #waiting = new Set<(packet: WireBfd) => void>();
  readonly #keep: (packet: WireBfd) => boolean;

  /** `keep`: called with each packet of a host in its order; those for which it says false are not held. */
  constructor({ native, netns, links }: Host, ports: readonly BfdPort[], keep: (packet: WireBfd) => boolean = () => true) {
    this.#keep = keep;
    this.#sockets = ports.map(({ host, port }) => {
      const { index: ifindex } = links.get(port);
      const socket = native.packetSocket(netns, { ifindex, protocol: ETH_P_ALL, receiveBuffer: 16 << 20, filter: BFD_ONLY });
      socket.onReadable(() => this.#drain(host, socket));
      return { host, socket };
    });
  }

  /** Everything that has come in by now is in `packets`, in order of time. */
  drain(): readonly WireBfd[] {
    for (const { host, socket } of this.#sockets) this.#drain(host, socket);
    return this.packets.sort((a, b) => a.at - b.at);
  }

  /** Resolves to the first packet from now on for which `wanted` holds; rejects after `patience` ms. */
  until(what: string, wanted: (packet: WireBfd) => boolean, patience = 10_000): Promise<WireBfd> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#waiting.delete(look);
        clearTimeout(timer);
      };
      const look = (packet: WireBfd): void => {
        if (!wanted(packet)) return;
        end();
        resolve(packet);
      };
      const timer = setTimeout(() => {
        end();
        reject(new Error(`Within ${patience} ms: ${what}`));
      }, patience);
      this.#waiting.add(look);
    });
  }

  forget(): void {
    this.drain();
    this.packets.length = 0;
  }

  /** Frames that the kernel could not keep for this watch: must be 0, or a figure means nothing. */
  drops(): number {
    return this.#sockets.reduce((n, { socket }) => n + socket.drops(), 0);
  }

  close(): void {
    for (const { socket } of this.#sockets.splice(0)) socket.close();
  }

  #drain(host: string, socket: PacketSocket): void {
    for (;;) {
      const received = this.#receive(socket);
      if (!received) return;
      const read = readBfd(received.frame);
      if (!read) continue;
      const packet: WireBfd = { ...read, at: received.timestamp, host, direction: received.packetType === PACKET_OUTGOING ? 'to' : 'from' };
      if (this.#keep(packet)) this.packets.push(packet);
      for (const look of this.#waiting) look(packet);
    }
  }

  #receive(socket: PacketSocket): ReturnType<PacketSocket['receive']> {
    try {
      return socket.receive();
    } catch {
      return socket.receive(); // ENETDOWN, once, after a cable was cut
    }
  }
}
