/**
 * Drives one STAMP session (protocol/stamp-sender.ts) over a socket that it shares with others: the SSID says whose an answer is. One per
 * peer, path and class of traffic, and one more of each path for its MTU.
 */
import { type Milliseconds, ms } from '../base/units.ts';
import { SystemError } from '../native/native.ts';
import type { ReceivedDatagram, UdpDestination } from '../native/udp.ts';
import { type StampEcho, type StampLost, type StampSample, StampSender, type StampTotals } from '../protocol/stamp-sender.ts';
import { sameBytes } from '../wire/same-bytes.ts';
import type { StampDrop } from '../wire/stamp-drop.ts';
import type { StampTlv } from '../wire/stamp-tlv.ts';
import type { ProbeSocket } from './probe-socket.ts';
import { type TurnTime, nanoseconds } from './turn-time.ts';

export interface ProberOptions {
  readonly socket: ProbeSocket;
  readonly time: TurnTime;
  readonly to: { readonly address: Uint8Array; readonly port: number };
  readonly dscp: number;
  readonly timeout: Milliseconds;
  /** Probes a second at most. */
  readonly rate: number;
  /** Whether probes ask how they were marked on their way (RFC 8972 §4.4). */
  readonly marks: boolean;
  readonly onAnswer: (sample: StampSample) => void;
}

/** Its send did not leave this host. */
export type SendFailure = SystemError | undefined;

export class Prober {
  readonly ssid: number;
  readonly #options: ProberOptions;
  readonly #sender: StampSender;
  readonly #destination: UdpDestination;
  readonly #tlvs: readonly StampTlv[];
  /** Answers that told nothing, by reason. */
  #drops = 0;

  constructor(options: ProberOptions) {
    const { socket, timeout, rate, dscp, to, marks } = options;
    this.#options = options;
    this.ssid = socket.enter(this);
    // Some more than can be under way: a probe whose slot is wanted again would settle early.
    const window = Math.max(16, Math.ceil(rate * timeout / 1000 * 1.5) + 8);
    this.#sender = new StampSender({ ssid: this.ssid, format: 'ntp', stateful: true, timeout, window, reuse: true });
    this.#destination = { ...to, dscp };
    this.#tlvs = marks ? [{ type: 'class-of-service', wanted: dscp, received: 0, ecn: 0, refused: false }] : [];
  }

  get totals(): StampTotals {
    return this.#sender.totals;
  }

  get drops(): number {
    return this.#drops;
  }

  /** @param size of the UDP payload, at least @returns why it did not leave, if so: then it will count as lost */
  send(now: Milliseconds, size = 0): SendFailure {
    const { socket, time, timeout } = this.#options;
    const { payload } = this.#sender.send(now, time.wall(now), socket.clock, this.#tlvs, size);
    try {
      socket.send(payload, this.#destination, ms(now + timeout));
      return undefined;
    } catch (error) {
      if (error instanceof SystemError) return error;
      throw error;
    }
  }

  /** Lost by now, when the socket was drained. */
  expire(now: Milliseconds): readonly StampLost[] {
    const deadline = this.#sender.deadline();
    return deadline === undefined || deadline > now ? NOTHING : this.#sender.expire(now);
  }

  /** @param at when it arrived, monotonic */
  heard({ data, from, dscp, timestamp }: ReceivedDatagram, at: Milliseconds): void {
    const { to, onAnswer } = this.#options;
    if (from.port !== to.port || !sameBytes(from.address, to.address)) {
      this.#drops++;
      return;
    }
    const result: StampSample | StampEcho | StampDrop = this.#sender.heard(data, { at, wall: nanoseconds(timestamp), dscp });
    if (result.kind === 'sample') onAnswer(result);
    else if (result.kind === 'drop') this.#drops++;
  }

  close(): void {
    this.#options.socket.leave(this);
  }
}

const NOTHING: readonly StampLost[] = [];

/** First probes of many sessions, spread over an interval: the golden ratio's multiples are spread evenly, however many there are. */
export const phaseOf = (number: number, interval: Milliseconds): Milliseconds => ms((number * 0.618_033_988_75 % 1) * interval);
