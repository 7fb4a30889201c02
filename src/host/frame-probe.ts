/**
 * Do full frames pass between the bridges of two hosts, as those of a guest would? One host listens at its bridge, the other sends out
 * of its own.
 */
import { systemClock } from '../native/system-clock.ts';
import { type Milliseconds, ms } from '../base/units.ts';
import { type PacketSocket, SystemError } from '../native/native.ts';
import { EtherType, decodeEthernet, encodeEthernet } from '../wire/ethernet.ts';
import { MacAddress } from '../wire/mac-address.ts';
import { decodePathProbe, encodePathProbe } from '../wire/path-probe.ts';
import { DecodeError } from '../wire/wire.ts';
import type { Host } from './host.ts';

const PATIENCE = ms(1000);

export class FrameProbe {
  /** The bridge's: where to send. */
  readonly mac: MacAddress;
  readonly #nonce: number;
  readonly #socket: PacketSocket;
  #wanted = 0;
  #enough = new AbortController();
  #largest = 0;

  /** Hears frames of `nonce` (0..0xffff_ffff) until `close`. Throws KernelRefused ENODEV, or SystemError. */
  static listen(host: Host, bridge: string, nonce: number): FrameProbe {
    return new FrameProbe(host, bridge, nonce);
  }

  private constructor(host: Host, bridge: string, nonce: number) {
    const { index, address } = host.links.get(bridge);
    this.mac = MacAddress.of(address);
    this.#nonce = nonce;
    this.#socket = host.native.packetSocket(host.netns, { ifindex: index, protocol: EtherType.localExperimental1 });
    this.#socket.onReadable(() => this.#take());
  }

  /** Bytes after the Ethernet header of the largest frame that came whole; 0 when none did. */
  get largest(): number {
    return this.#largest;
  }

  /**
   * Resolves with `largest` as soon as it is at least `size`, else after `within`, or when the probe is closed or its bridge goes down.
   * One wait at a time.
   */
  async wait(size: number, within: Milliseconds = PATIENCE): Promise<number> {
    this.#wanted = size;
    if (this.#largest < size) await systemClock.sleep(within, this.#enough.signal);
    return this.#largest;
  }

  /** Idempotent. */
  close(): void {
    this.#enough.abort();
    this.#socket.close();
  }

  #take(): void {
    try {
      for (let received; (received = this.#socket.receive()); ) {
        this.#largest = Math.max(this.#largest, sizeOf(received.frame, this.#nonce));
      }
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.close();
    }
    if (this.#largest < this.#wanted || this.#wanted === 0) return;
    this.#enough.abort();
    this.#enough = new AbortController();
    this.#wanted = 0;
  }
}

/**
 * Sends one frame of `size` bytes after its Ethernet header (as an MTU counts) out of the bridge, by every port, in the bridge's own
 * name. `to` is the other bridge's MAC; broadcast reaches guests too, who do not know the EtherType. It may be lost like any frame:
 * send more than one. Throws KernelRefused ENODEV; SystemError EMSGSIZE for more than the bridge's own MTU, ENETDOWN.
 */
export function sendFrameProbe(host: Host, bridge: string, size: number, nonce: number, to = MacAddress.broadcast): void {
  const { index, address } = host.links.get(bridge);
  const socket = host.native.packetSocket(host.netns, { ifindex: index, protocol: 0 });
  try {
    socket.send(frameProbe(MacAddress.of(address), to, size, nonce));
  } finally {
    socket.close();
  }
}

/** @throws EncodeError for a size of less than shortestProbe */
export function frameProbe(source: MacAddress, destination: MacAddress, size: number, nonce: number): Uint8Array {
  const payload = encodePathProbe({ kind: 'probe', nonce, length: size });
  return encodeEthernet({ destination, source, etherType: EtherType.localExperimental1, payload });
}

/** 0 for what is no whole probe of this nonce. */
function sizeOf(frame: Uint8Array, nonce: number): number {
  try {
    const probe = decodePathProbe(decodeEthernet(frame).payload);
    return probe.kind === 'probe' && probe.nonce === nonce ? probe.length : 0;
  } catch (error) {
    if (error instanceof DecodeError) return 0;
    throw error;
  }
}
