/** Every packet of one protocol on every cable of a switch, with the kernel's stamp: what the lab believes, and not what a program says of itself. */
import type { Host } from '../host/host.ts';
import type { FilterInstruction, PacketSocket } from '../native/native.ts';

const ETH_P_ALL = 3;
const PACKET_OUTGOING = 4;

/** A port of the switch, and whose cable is in it. */
export interface WatchedPort {
  readonly name: string;
  readonly port: string;
}

/** `to`: out of the switch, to the one whose cable it is. `at`: ms since the epoch, with fractions. */
export interface SeenFrame {
  readonly at: number;
  readonly name: string;
  readonly direction: 'from' | 'to';
}

export interface WatchedProtocol<P> {
  /** Classic BPF, by offsets in the Ethernet frame. */
  readonly filter: readonly FilterInstruction[];
  readonly receiveBuffer: number;
  readonly read: (frame: Uint8Array, seen: SeenFrame) => P | undefined;
  /** Called with each packet in its order; those for which it says false are not held. */
  readonly keep?: (packet: P) => boolean;
}

export class WireWatch<P extends { readonly at: number }> {
  /** In the order in which they were seen. */
  readonly packets: P[] = [];
  readonly #protocol: WatchedProtocol<P>;
  readonly #sockets: { readonly name: string; readonly socket: PacketSocket }[];
  readonly #waiting = new Set<(packet: P) => void>();

  constructor({ native, netns, links }: Host, ports: readonly WatchedPort[], protocol: WatchedProtocol<P>) {
    this.#protocol = protocol;
    const { filter, receiveBuffer } = protocol;
    this.#sockets = ports.map(({ name, port }) => {
      const socket = native.packetSocket(netns, { ifindex: links.get(port).index, protocol: ETH_P_ALL, receiveBuffer, filter });
      socket.onReadable(() => this.#drain(name, socket));
      return { name, socket };
    });
  }

  /** Everything that has come in by now is in `packets`, in order of time. */
  drain(): readonly P[] {
    for (const { name, socket } of this.#sockets) this.#drain(name, socket);
    return this.packets.sort((a, b) => a.at - b.at);
  }

  /** Resolves to the first packet from now on for which `wanted` holds; rejects after `patience` ms. */
  until(what: string, wanted: (packet: P) => boolean, patience = 10_000): Promise<P> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#waiting.delete(look);
        clearTimeout(timer);
      };
      const look = (packet: P): void => {
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

  /** All but the last few. */
  forget(kept = 0): void {
    this.drain();
    this.packets.splice(0, Math.max(0, this.packets.length - kept));
  }

  /** Frames that the kernel could not keep for this watch: must be 0, or a figure means nothing. */
  drops(): number {
    return this.#sockets.reduce((n, { socket }) => n + socket.drops(), 0);
  }

  close(): void {
    for (const { socket } of this.#sockets.splice(0)) socket.close();
  }

  #drain(name: string, socket: PacketSocket): void {
    for (;;) {
      const received = this.#receive(socket);
      if (!received) return;
      const seen: SeenFrame = { at: received.timestamp, name, direction: received.packetType === PACKET_OUTGOING ? 'to' : 'from' };
      const packet = this.#protocol.read(received.frame, seen);
      if (!packet) continue;
      if (this.#protocol.keep?.(packet) !== false) this.packets.push(packet);
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
