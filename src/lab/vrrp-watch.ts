/** Every advert on every router's cable, with the kernel's stamp: what the bench believes, and not what a program says of itself. */
import type { Host } from '../host/host.ts';
import type { FilterInstruction, PacketSocket } from '../native/native.ts';
import { type WireAdvert, readAdvert } from './vrrp-advert.ts';

const ETH_P_ALL = 3;
const PACKET_OUTGOING = 4;
const KEPT = 16;
/** IPv4 or IPv6 with protocol 112 right behind the header, both ways (classic BPF: ldh 12, ldb 23, ldb 20). */
const VRRP_ONLY: readonly FilterInstruction[] = [
  { code: 0x28, jt: 0, jf: 0, k: 12 }, { code: 0x15, jt: 1, jf: 0, k: 0x0800 }, { code: 0x15, jt: 2, jf: 5, k: 0x86dd },
  { code: 0x30, jt: 0, jf: 0, k: 23 }, { code: 0x15, jt: 2, jf: 3, k: 112 },
  { code: 0x30, jt: 0, jf: 0, k: 20 }, { code: 0x15, jt: 0, jf: 1, k: 112 },
  { code: 0x06, jt: 0, jf: 0, k: 0xffffffff }, { code: 0x06, jt: 0, jf: 0, k: 0 },
];

export class VrrpWatch {
  /** In the order in which they were seen. */
  readonly adverts: WireAdvert[] = [];
  readonly #sockets: { readonly router: string; readonly socket: PacketSocket }[];
  readonly #waiting = new Set<(advert: WireAdvert) => void>();

  constructor(sw: Host, ports: readonly { readonly router: string; readonly port: string }[]) {
    this.#sockets = ports.map(({ router, port }) => {
      const socket = sw.native.packetSocket(sw.netns, { ifindex: sw.links.get(port).index, protocol: ETH_P_ALL, receiveBuffer: 8 << 20, filter: VRRP_ONLY });
      socket.onReadable(() => this.#drain(router, socket));
      return { router, socket };
    });
  }

  /** Everything that has come in by now is in `adverts`, in order of time. */
  drain(): readonly WireAdvert[] {
    for (const { router, socket } of this.#sockets) this.#drain(router, socket);
    return this.adverts.sort((a, b) => a.at - b.at);
  }

  /** Resolves to the first advert from now on for which `wanted` holds; rejects after `patience` ms. */
  until(what: string, wanted: (advert: WireAdvert) => boolean, patience = 10_000): Promise<WireAdvert> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#waiting.delete(look);
        clearTimeout(timer);
      };
      const look = (advert: WireAdvert): void => {
        if (!wanted(advert)) return;
        end();
        resolve(advert);
      };
      const timer = setTimeout(() => {
        end();
        reject(new Error(`Within ${patience} ms: ${what}`));
      }, patience);
      this.#waiting.add(look);
    });
  }

  /** Only the last few are still wanted. */
  forget(): void {
    this.drain();
    this.adverts.splice(0, Math.max(0, this.adverts.length - KEPT));
  }

  /** Frames that the kernel could not keep for this watch: must be 0, or a figure means nothing. */
  drops(): number {
    return this.#sockets.reduce((n, { socket }) => n + socket.drops(), 0);
  }

  close(): void {
    for (const { socket } of this.#sockets.splice(0)) socket.close();
  }

  #drain(router: string, socket: PacketSocket): void {
    for (;;) {
      const received = this.#receive(socket);
      if (!received) return;
      const read = readAdvert(received.frame);
      if (!read) continue;
      const advert: WireAdvert = { ...read, at: received.timestamp, router, direction: received.packetType === PACKET_OUTGOING ? 'to' : 'from' };
      this.adverts.push(advert);
      for (const look of this.#waiting) look(advert);
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
