/**
 * BFD echoes on one link (RFC 5881 §4), by a packet socket: what comes back comes from this host's own address, and the kernel's UDP
 * takes nothing from there that came from outside.
 *
 * The neighbour's echoes are forwarded back by the kernel where this host forwards. Where it does not, or would not forward what is
 * link-local, they are looped here: those alone that a session's peer sends to itself, and each once.
 */
import { udpPortFilter } from '../host/packet-filter.ts';
import type { Milliseconds } from '../base/units.ts';
import { type PacketSocket, SystemError } from '../native/native.ts';
import { type BfdEchoFrame, decodeEchoFrame, echoFrame, loopedEcho } from '../wire/bfd-echo-frame.ts';
import { BFD_TTL, bfdPort } from '../wire/bfd.ts';
import { EtherType } from '../wire/ethernet.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { MacAddress } from '../wire/mac-address.ts';
import { isLinkLocal } from '../wire/vrrp.ts';
import { nextFrame } from './next-frame.ts';
import { ArrivalClock } from './arrival-clock.ts';
import type { Device, PulseGround } from './ground.ts';
import type { OutsideTurns } from './session-listeners.ts';

const RECEIVE_BUFFER = 1 << 20;
/** Frames that one drain reads at most: more than the buffer holds. */
const MOST = 8192;

export interface EchoListeners extends OutsideTurns {
  /** Whether this neighbour's echoes are to come back. */
  readonly loops: (device: Device, peer: IpAddress) => boolean;
  /** One of this host's own came back; at least it is none of a neighbour's. */
  readonly heard: (device: Device, echo: BfdEchoFrame, at: Milliseconds) => void;
}

export class EchoPort {
  readonly device: Device;
  readonly family: 4 | 6;
  readonly #ground: PulseGround;
  readonly #listeners: EchoListeners;
  readonly #socket: PacketSocket;
  readonly #clock: ArrivalClock;
  /** MACs of those that echoes go to. */
  readonly #peers = new Map<string, MacAddress | undefined>();
  #forwards: boolean;

  /** Throws SystemError. */
  constructor(ground: PulseGround, device: Device, family: 4 | 6, listeners: EchoListeners) {
    this.device = device;
    this.family = family;
    this.#ground = ground;
    this.#listeners = listeners;
    this.#forwards = ground.forwards(device, family);
    this.#clock = new ArrivalClock(ground.native);
    this.#socket = ground.native.packetSocket(ground.netns, {
      ifindex: device.index, protocol: family === 4 ? EtherType.ipv4 : EtherType.ipv6, receiveBuffer: RECEIVE_BUFFER,
      filter: udpPortFilter({ family, port: bfdPort.echo }),
    });
    this.#socket.onReadable(() => {
      if (this.#listeners.overdue()) return;
      this.drain();
      this.#listeners.read();
    });
  }

  /** What kept it back, as an errno's name: EHOSTUNREACH as long as the neighbour's MAC is not known. */
  send(local: IpAddress, peer: IpAddress, payload: Uint8Array): string | undefined {
    const key = peer.toString();
    if (!this.#peers.has(key)) this.#peers.set(key, this.#ground.nextHop(this.device, peer));
    const mac = this.#peers.get(key);
    if (!mac) return 'EHOSTUNREACH';
    return this.#transmit(echoFrame(local, { own: this.device.mac, peer: mac }, payload));
  }

  drain(): void {
    this.#clock.begin();
    for (let count = 0; count < MOST; count++) {
      const received = nextFrame(this.#socket);
      if (!received) break;
      const at = this.#clock.at(received.timestamp);
      const echo = decodeEchoFrame(received.frame);
      if (echo) this.#take(received.frame, echo, at);
      if (this.#clock.isNew(at)) break;
    }
    this.#clock.end();
  }

  /** Neighbours may have other MACs now, and the host may forward or not. */
  everySecond(): void {
    this.#forwards = this.#ground.forwards(this.device, this.family);
    this.#peers.clear();
  }

  /** Some 10 ms, in which the kernel waits for its readers. */
  close(): void {
    this.#socket.close();
  }

  #take(frame: Uint8Array, echo: BfdEchoFrame, at: Milliseconds): void {
    const { source, destination, ttl } = echo;
    if (!this.#listeners.loops(this.device, source)) return this.#listeners.heard(this.device, echo, at);
    const loopedByKernel = this.#forwards && !isLinkLocal(source);
    if (ttl === BFD_TTL && destination.equals(source) && !loopedByKernel) this.#transmit(loopedEcho(frame));
  }

  #transmit(frame: Uint8Array): string | undefined {
    try {
      this.#socket.send(frame);
      return undefined;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      return error.errnoName;
    }
  }
}
