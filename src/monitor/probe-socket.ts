/**
 * The socket from which one of this host's addresses probes: one for all sessions, so that it is emptied by few calls. It is read at each
 * turn of the probing's clock and not when something arrives: the kernel says when that was.
 */
import type { Milliseconds } from '../base/units.ts';
import { MOST_AT_ONCE } from '../native/udp.ts';
import type { ReceivedDatagram, UdpDestination, UdpRefusal, UdpSocket } from '../native/udp.ts';
import type { ClockError } from '../wire/stamp-time.ts';
import { MonitorError } from './errors.ts';
import type { MonitorGround } from './ground.ts';
import type { Prober } from './prober.ts';
import type { TurnTime } from './turn-time.ts';

/** RFC 8762 §4.3.1: at octet 14 of an answer. */
const SSID_AT = 14;
const MOST_SSID = 0xffff;
/** For some thousand answers at once, ordinary ones. */
const RECEIVE_BUFFER = 4 << 20;

export class ProbeSocket {
  readonly #socket: UdpSocket;
  readonly #ground: MonitorGround;
  readonly #probers = new Map<number, Prober>();
  #next = 1;
  /** When nothing was left in it. */
  #emptied: Milliseconds;
  #strays = 0;
  /** Probes whose answers may still come: until then it need not be read. */
  #awaited = 0;
  #awaitedUntil: Milliseconds;
  clock: ClockError;

  /** @throws SystemError when the address is not (yet) this host's */
  constructor(ground: MonitorGround, address: Uint8Array, now: Milliseconds) {
    this.#ground = ground;
    this.#socket = ground.native.udpSocket(ground.netns, {
      family: address.length === 4 ? 4 : 6, address, ttl: 255, dontFragment: true, receiveBuffer: RECEIVE_BUFFER,
    });
    this.#emptied = now;
    this.#awaitedUntil = now;
    this.clock = ground.clock();
  }

  /** Datagrams that no session of it had asked for. */
  get strays(): number {
    return this.#strays;
  }

  /** Gives a prober its SSID. @throws MonitorError MONITOR_SESSIONS when all 65535 are taken */
  enter(prober: Prober): number {
    if (this.#probers.size >= MOST_SSID) {
      throw new MonitorError('MONITOR_SESSIONS', `${MOST_SSID} STAMP sessions from one address: measure fewer paths or classes`);
    }
    while (this.#probers.has(this.#next)) this.#next = this.#next % MOST_SSID + 1;
    const ssid = this.#next;
    this.#next = ssid % MOST_SSID + 1;
    this.#probers.set(ssid, prober);
    return ssid;
  }

  leave(prober: Prober): void {
    this.#probers.delete(prober.ssid);
  }

  /** @param until an answer that comes later is late @throws SystemError as UdpSocket.send */
  send(payload: Uint8Array, to: UdpDestination, until: Milliseconds): void {
    this.#socket.send(payload, to);
    this.#awaited++;
    this.#awaitedUntil = until;
  }

  /** Takes in all that has arrived; late answers with the next that are awaited. */
  drain(time: TurnTime, now: Milliseconds): void {
    if (this.#awaited === 0) return;
    for (let count: number = MOST_AT_ONCE; count === MOST_AT_ONCE;) {
      const datagrams = this.#socket.receiveMany(MOST_AT_ONCE);
      count = datagrams.length;
      for (const datagram of datagrams) this.#heard(datagram, time, now);
    }
    this.#emptied = now;
    if (now >= this.#awaitedUntil) this.#awaited = 0;
  }

  #heard(datagram: ReceivedDatagram, time: TurnTime, now: Milliseconds): void {
    const { data, timestamp } = datagram;
    const ssid = data.length < SSID_AT + 2 ? 0 : (data[SSID_AT] ?? 0) << 8 | (data[SSID_AT + 1] ?? 0);
    const prober = this.#probers.get(ssid);
    if (this.#awaited > 0) this.#awaited--;
    if (prober) prober.heard(datagram, time.arrival(timestamp, this.#emptied, now));
    else this.#strays++;
  }

  /** What ICMP said since the last time. */
  refusals(): readonly UdpRefusal[] {
    return this.#socket.refusals();
  }

  /** Every second. */
  lookAtClock(): void {
    this.clock = this.#ground.clock();
  }

  close(): void {
    this.#socket.close();
  }
}
