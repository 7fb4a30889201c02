/**
 * Packet sockets at taps and bridges that hear what neighbours tell each other, and nothing else (ARP, neighbour discovery, DHCP: the
 * kernel filters). To close one holds the whole program up for some 10 ms (synchronize_net): when is for the caller to choose.
 */
import { formatError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import type { Host } from '../host/host.ts';
import { neighbourTalkFilter } from '../host/packet-filter.ts';
import { type PacketSocket, type ReceivedFrame, SystemError } from '../native/native.ts';

export interface Ear {
  /** False once its interface has gone: it hears nothing any more, and is to be closed. */
  readonly hears: boolean;
  close(): void;
}

export interface Ears {
  /** Of all protocols, both directions. Undefined when there is no such interface, or it cannot be listened at. */
  open(device: string, heard: (frame: ReceivedFrame) => void): Ear | undefined;
}

/** Frames taken in from one interface in a `BREATH`; behind that they wait in the socket, and what does not fit is dropped. */
const MOST = 200;
/** ms. */
const BREATH = 100;
const ETH_P_ALL = 3;
/** Bytes. */
const BUFFER = 256 * 1024;

export function kernelEars(host: Host, log: Log): Ears {
  return {
    open(device, heard) {
      try {
        return new KernelEar(host, host.links.get(device).index, heard);
      } catch (error) {
        log.warn({ device, error: formatError(error) }, 'An interface cannot be listened at: addresses there are not seen');
        return undefined;
      }
    },
  };
}

class KernelEar implements Ear {
  readonly #socket: PacketSocket;
  readonly #heard: (frame: ReceivedFrame) => void;
  #hears = true;
  #breath = 0;
  #taken = 0;
  #resting: NodeJS.Timeout | undefined;

  constructor(host: Host, ifindex: number, heard: (frame: ReceivedFrame) => void) {
    this.#heard = heard;
    this.#socket = host.native.packetSocket(host.netns, { ifindex, protocol: ETH_P_ALL, filter: neighbourTalkFilter(), receiveBuffer: BUFFER });
    this.#listen();
  }

  get hears(): boolean {
    return this.#hears;
  }

  close(): void {
    this.#hears = false;
    clearTimeout(this.#resting);
    this.#socket.close();
  }

  #listen(): void {
    this.#socket.onReadable(() => this.#take());
  }

  #take(): void {
    try {
      for (let frame; this.#mayTake() && (frame = this.#socket.receive()); ) {
        this.#taken++;
        this.#heard(frame);
        if (!this.#hears) return;
      }
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      // ENETDOWN: the guest's tap has gone, or its bridge is down for a moment; whoever opened it looks again.
      this.#hears = false;
      this.#socket.onReadable(undefined);
    }
  }

  /** A flood of ARP is not to keep the program from anything else. */
  #mayTake(): boolean {
    const now = performance.now();
    if (now - this.#breath >= BREATH) {
      this.#breath = now;
      this.#taken = 0;
    }
    if (this.#taken < MOST) return true;
    this.#socket.onReadable(undefined);
    this.#resting = setTimeout(() => this.#hears && this.#listen(), BREATH);
    return false;
  }
}
