/**
 * One STAMP reflector: an address of this host, on the port of the plan, answering whoever may ask (protocol/stamp-reflector.ts), STAMP and
 * TWAMP-Light senders alike. Answers leave with TTL 255 (RFC 8762 §4.3) and are not fragmented, so that a full-size probe tries both ways.
 */
import { type Milliseconds, seconds } from '../base/units.ts';
import { SystemError } from '../native/native.ts';
import { MOST_AT_ONCE } from '../native/udp.ts';
import type { ReceivedDatagram, UdpSocket } from '../native/udp.ts';
import { StampReflector } from '../protocol/stamp-reflector.ts';
import { type IpAddress, Ipv4Address, Ipv6Address } from '../wire/ip-address.ts';
import type { MonitorGround } from './ground.ts';
import { type TurnTime, nanoseconds } from './turn-time.ts';

/** REFWAIT of TWAMP (RFC 5357 §4.2), which STAMP leaves open. */
const IDLE = seconds(900);
const SESSIONS = 16_384;
const RECEIVE_BUFFER = 4 << 20;
/**
 * Probes a second from which on it is read at the turns of the probing's clock and not when something arrives: each waking costs more than
 * a probe. Senders lose nothing by it, since they take out the time that a probe spent here (T3 - T2).
 */
const BUSY = 100;
/** In one turn: others have theirs. */
const BURST = 256;
/** Sources whose values are kept. */
const MOST_KNOWN = 4096;

export interface ReflectorOptions {
  readonly ground: MonitorGround;
  readonly time: TurnTime;
  readonly address: IpAddress;
  readonly port: number;
  readonly admits: (source: IpAddress) => boolean;
}

export class Reflector {
  readonly #options: ReflectorOptions;
  readonly #socket: UdpSocket;
  readonly #machine: StampReflector;
  /** By their bytes as text: the machine keys its sessions by texts, which are made once. */
  readonly #sources = new Map<string, IpAddress>();
  #polled = false;
  /** Since the last second. */
  #heard = 0;
  #answers = 0;
  readonly #drops = new Map<string, number>();

  /** @throws SystemError EADDRINUSE, EADDRNOTAVAIL */
  constructor(options: ReflectorOptions) {
    const { ground, address, port, admits } = options;
    this.#options = options;
    this.#socket = ground.native.udpSocket(ground.netns, {
      family: address.family, address: address.bytes(), port, ttl: 255, dontFragment: true, receiveBuffer: RECEIVE_BUFFER,
    });
    this.#machine = new StampReflector({
      port, format: 'ntp', sessions: SESSIONS, idle: IDLE, admits, permitsDscp: () => true,
      source: 'local', methodIn: 'software', methodOut: 'software', reuse: true,
    });
    this.#listen(true);
  }

  /** To be emptied by `drain` at each turn of the clock. */
  get polled(): boolean {
    return this.#polled;
  }

  get answers(): number {
    return this.#answers;
  }

  /** Probes that were not answered, by reason. */
  get drops(): ReadonlyMap<string, number> {
    return this.#drops;
  }

  /** Every second: forgets sessions that are over, and sees how busy it is. */
  second(now: Milliseconds): void {
    this.#machine.expire(now);
    const polled = this.#heard >= BUSY;
    this.#heard = 0;
    if (polled !== this.#polled) this.#listen(!polled);
  }

  close(): void {
    this.#socket.close();
  }

  #listen(wanted: boolean): void {
    this.#polled = !wanted;
    this.#socket.onReadable(wanted ? () => this.drain(this.#options.time.begin()) : undefined);
  }

  /** Answers what has come. */
  drain(now: Milliseconds): void {
    for (let heard = 0, count: number = MOST_AT_ONCE; count === MOST_AT_ONCE && heard < BURST; heard += count) {
      let datagrams: readonly ReceivedDatagram[];
      try {
        datagrams = this.#socket.receiveMany(MOST_AT_ONCE);
      } catch (error) {
        // Told once by the kernel, and then gone.
        if (error instanceof SystemError) return this.#count(error.errnoName);
        throw error;
      }
      count = datagrams.length;
      this.#heard += count;
      for (const datagram of datagrams) this.#reflect(datagram, now);
    }
  }

  #reflect({ data, from, ttl, dscp, ecn, timestamp }: ReceivedDatagram, now: Milliseconds): void {
    const { time, address, ground } = this.#options;
    const answer = this.#machine.reflect(data, {
      source: this.#source(from.address), sourcePort: from.port, destination: address, ttl, dscp, ecn, at: now,
      received: nanoseconds(timestamp), leaves: time.wall(time.now()), clock: ground.clock(),
    });
    if (answer.kind === 'drop') return this.#count(answer.reason);
    try {
      this.#socket.send(answer.payload, { address: from.address, port: from.port, dscp: answer.dscp });
      this.#answers++;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#count(error.errnoName);
    }
  }

  #source(bytes: Uint8Array): IpAddress {
    const key = String.fromCharCode(...bytes);
    let found = this.#sources.get(key);
    if (!found) {
      if (this.#sources.size >= MOST_KNOWN) this.#sources.clear();
      found = bytes.length === 4 ? Ipv4Address.of(bytes) : Ipv6Address.of(bytes);
      this.#sources.set(key, found);
    }
    return found;
  }

  #count(reason: string): void {
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + 1);
  }
}

