/** Where adverts of one family come in and go out on one device. */
import { ipProtocolFilter } from '../host/packet-filter.ts';
import type { Milliseconds } from '../base/units.ts';
import type { Membership, PacketSocket } from '../native/native.ts';
import { SystemError } from '../native/native.ts';
import { IpProtocol } from '../wire/ip-protocol.ts';
import { multicastMac } from '../wire/ip-address.ts';
import { vrrpGroup } from '../wire/vrrp.ts';
import { nextFrame } from './next-frame.ts';
import { ArrivalClock } from './arrival-clock.ts';
import type { Device, PulseGround } from './ground.ts';

const ETH_P_ALL = 0x0003;
/** Bytes: some thousands of adverts. */
const RECEIVE_BUFFER = 1 << 20;
/** Frames that one drain reads at most: more than the buffer holds. */
const MOST = 8192;

export interface Arrival {
  readonly frame: Uint8Array;
  /** On the monotonic clock. */
  readonly at: Milliseconds;
}

export class Segment {
  readonly #socket: PacketSocket;
  readonly #membership: Membership;
  readonly #clock: ArrivalClock;

  /**
   * All frames (ETH_P_ALL), cut down by a filter: another Active's adverts come from the virtual MAC, and where this host's macvlan has
   * that MAC too, it swallows them before sockets of one protocol see any.
   */
  constructor(ground: PulseGround, device: Device, family: 4 | 6, readable: () => void) {
    const group = vrrpGroup[family];
    this.#socket = ground.native.packetSocket(ground.netns, {
      ifindex: device.index, protocol: ETH_P_ALL, receiveBuffer: RECEIVE_BUFFER, filter: ipProtocolFilter({ family, protocol: IpProtocol.vrrp }),
      groups: [multicastMac(group).bytes()],
    });
    try {
      this.#membership = ground.join(device, group);
    } catch (error) {
      this.#socket.close();
      throw error;
    }
    this.#clock = new ArrivalClock(ground.native);
    this.#socket.onReadable(readable);
  }

  /** All that came in before this call, oldest first; what comes in during it may be left for the next. */
  drain(hear: (arrival: Arrival) => void): void {
    this.#clock.begin();
    for (let count = 0; count < MOST; count++) {
      const received = nextFrame(this.#socket);
      if (!received) break;
      const at = this.#clock.at(received.timestamp);
      hear({ frame: received.frame, at });
      if (this.#clock.isNew(at)) break;
    }
    this.#clock.end();
  }

  /** What kept it back, as an errno's name: ENETDOWN, ENXIO (the device is gone), EMSGSIZE, ENOBUFS; undefined: it is on its way. */
  send(frame: Uint8Array): string | undefined {
    try {
      this.#socket.send(frame);
      return undefined;
    } catch (error) {
      if (error instanceof SystemError) return error.errnoName;
      throw error;
    }
  }

  /** Frames lost for want of buffer since the last call. */
  overruns(): number {
    try {
      return this.#socket.drops();
    } catch (error) {
      if (error instanceof SystemError) return 0;
      throw error;
    }
  }

  close(): void {
    this.#membership.close();
    this.#socket.close();
  }
}
