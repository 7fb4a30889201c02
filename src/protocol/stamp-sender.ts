/**
 * One STAMP session at its sender (RFC 8762 §4.2, RFC 8972): it numbers probes, takes the answers, and tells what became of each.
 * Pure: times are facts of the driver, `now` and `at` monotonic, `wall` of CLOCK_REALTIME; `at` and `wall` of an answer are the kernel's.
 *
 * - A probe that is not answered within `timeout` is lost. What comes later still is `late`, and stays lost (RFC 7680 §2.8.2).
 * - RTT is (T4 - T1) - (T3 - T2): the reflector's own time is taken out, unless its clock stepped meanwhile.
 * - One-way delay is told when both clocks say that they are set from outside, with the error they admit; its variation
 *   (RFC 3393, between probes answered one after the other) always, since an offset cancels out of it.
 * - Loss by direction: stamp-direction.ts. Overtaken packets by direction as well (RFC 4737 §3).
 *
 * Memory is that of `window` probes, made at once. A probe whose slot is needed again settles early: choose window ≥ rate × timeout.
 */
import { type Milliseconds, ms } from '../base/units.ts';
import { type StampAnswer, decodeStampAnswer, encodeStampProbe, renumberStampProbe, stampBase } from '../wire/stamp.ts';
import { type StampDrop, drop } from '../wire/stamp-drop.ts';
import {
  type ClockError, type TimestampFormat, type UnixNanoseconds, between, errorOf, timestampOf, unixNanoseconds, unixOf,
} from '../wire/stamp-time.ts';
import { type StampDigest, type StampTlv, type StampTlvs, decodeTlvs, encodeTlvs } from '../wire/stamp-tlv.ts';
import { type LossByDirection, StampDirection } from './stamp-direction.ts';

export interface StampSenderSettings {
  /** 1..65535. */
  readonly ssid: number;
  readonly format: TimestampFormat;
  /** Whether the reflector numbers its answers itself; otherwise no loss has a direction. */
  readonly stateful: boolean;
  readonly timeout: Milliseconds;
  /** Probes under way at most, at least 2. */
  readonly window: number;
  /** Given: the session is authenticated. */
  readonly digest?: StampDigest;
  /** A probe's payload is good until the next `send`, which writes into it: as cheap as sending gets. Has no effect with `digest`. */
  readonly reuse?: boolean;
}

export interface StampSent {
  /** The UDP payload. */
  readonly payload: Uint8Array;
  readonly sequence: number;
}

export interface StampArrival {
  readonly at: Milliseconds;
  readonly wall: UnixNanoseconds;
  /** How the answer's IP header is marked; 0..63. */
  readonly dscp: number;
}

export interface OneWay {
  /** undefined: not both clocks are synchronized. */
  readonly delay: Milliseconds | undefined;
  /** How far off that may be, as the clocks say. */
  readonly error: Milliseconds | undefined;
  /** Against the answer before this one; undefined for the first. */
  readonly variation: Milliseconds | undefined;
}

/** DSCPs. Where `wanted` is not what the probe was sent with, the way back is tried with another mark than the way there. */
export interface Marking {
  readonly wanted: number;
  readonly atReflector: number;
  /** The reflector does not permit `wanted`: it answered with `atReflector`. */
  readonly refused: boolean;
  readonly returned: number;
}

export interface StampSample {
  readonly kind: 'sample';
  readonly sequence: number;
  readonly rtt: Milliseconds;
  /** What the reflector took; undefined: its clock stepped, and `rtt` contains it. */
  readonly residence: Milliseconds | undefined;
  readonly forward: OneWay;
  readonly backward: OneWay;
  /** It was overtaken on the way back. */
  readonly reordered: boolean;
  /** UDP payloads, bytes. */
  readonly size: number;
  readonly answerSize: number;
  /** TTL or hop limit of the probe at the reflector. */
  readonly probeTtl: number;
  /** DSCP at each station, with a class-of-service TLV that came back whole (RFC 8972 §4.4). */
  readonly marking: Marking | undefined;
  readonly tlvs: StampTlvs;
}

/** An answer that tells nothing new. */
export interface StampEcho {
  readonly kind: 'duplicate' | 'late';
  readonly sequence: number;
}

export interface StampLost {
  readonly sequence: number;
  readonly size: number;
}

/** Since the session began. `sent` = `answered` + lost + those under way. */
export interface StampTotals {
  readonly sent: number;
  readonly answered: number;
  readonly lost: LossByDirection;
  readonly late: number;
  /** `forward`: the reflector answered twice. */
  readonly duplicates: { readonly forward: number; readonly backward: number };
  readonly reordered: { readonly forward: number; readonly backward: number };
  /** How often the reflector began to count anew. */
  readonly restarts: number;
}

type StampTiming = Pick<StampSample, 'rtt' | 'residence' | 'size' | 'probeTtl' | 'forward' | 'backward'>;

/** The last probe, and what it was made of. */
interface Template {
  readonly payload: Uint8Array;
  readonly view: DataView;
  readonly tlvs: readonly StampTlv[];
  readonly size: number;
  readonly clock: ClockError;
}

const WAITING = 1;
const ANSWERED = 2;
const LOST = 3;

export class StampSender {
  readonly #settings: StampSenderSettings;
  readonly #direction: StampDirection;
  /** By probe number modulo window. */
  readonly #state: Uint8Array;
  readonly #number: Float64Array;
  readonly #sentAt: Float64Array;
  readonly #sentWall: BigInt64Array;
  readonly #bits: BigUint64Array;
  readonly #clock: ClockError[];
  readonly #size: Uint16Array;
  readonly #answer: Float64Array;
  readonly #epoch: Float64Array;
  /** Of the next probe; and the oldest that has not settled. */
  #next = 0;
  #oldest = 0;
  #answered = 0;
  #lost = 0;
  #late = 0;
  #restarts = 0;
  readonly #duplicates = { forward: 0, backward: 0 };
  readonly #reordered = { forward: 0, backward: 0 };
  #template: Template | undefined;
  /** T2 - T1 and T4 - T3 of the last sample. */
  #last: { readonly forward: number; readonly backward: number } | undefined;

  constructor(settings: StampSenderSettings) {
    const { window } = settings;
    this.#settings = settings;
    this.#direction = new StampDirection(window);
    this.#state = new Uint8Array(window);
    this.#number = new Float64Array(window).fill(-1);
    this.#sentAt = new Float64Array(window);
    this.#sentWall = new BigInt64Array(window);
    this.#bits = new BigUint64Array(window);
    this.#clock = [];
    this.#size = new Uint16Array(window);
    this.#answer = new Float64Array(window);
    this.#epoch = new Float64Array(window);
  }

  /**
   * The next probe; it leaves now. What its slot held settles: read `totals` for it.
   * @param size the UDP payload's at least: padding is added (RFC 8972 §4.1)
   */
  send(now: Milliseconds, wall: UnixNanoseconds, clock: ClockError, tlvs: readonly StampTlv[] = [], size = 0): StampSent {
    const { ssid, format, digest, window, reuse } = this.#settings;
    while (this.#oldest <= this.#next - window) this.#settle();
    const sequence = this.#next++;
    const number = sequence % 2 ** 32;
    const timestamp = timestampOf(wall, format);
    let template = this.#template;
    if (template && template.tlvs === tlvs && template.size === size && template.clock === clock) renumberStampProbe(template.view, number, timestamp);
    else {
      const payload = encodeStampProbe({ sequence: number, timestamp, clock, ssid }, this.#extension(tlvs, number, size), digest);
      template = { payload, view: new DataView(payload.buffer), tlvs, size, clock };
      if (reuse && !digest) this.#template = template;
    }
    const { payload } = template;
    const slot = sequence % window;
    this.#state[slot] = WAITING;
    this.#number[slot] = sequence;
    this.#sentAt[slot] = now;
    this.#sentWall[slot] = wall;
    this.#bits[slot] = timestamp.bits;
    this.#clock[slot] = clock;
    this.#size[slot] = payload.length;
    return { payload, sequence };
  }

  /** An answer, or what claims to be one. Never throws, whatever the bytes. */
  heard(payload: Uint8Array, arrival: StampArrival): StampSample | StampEcho | StampDrop {
    const { ssid, digest, format, stateful, window } = this.#settings;
    const decoded = decodeStampAnswer(payload, digest);
    if (decoded.kind === 'drop') return decoded;
    const { answer, extension } = decoded;
    // A reflector that does not know RFC 8972 leaves zeros (§3 there).
    if (answer.ssid !== ssid && answer.ssid !== 0) return drop('ssid', `SSID ${answer.ssid}, wanted ${ssid}`);
    const sequence = this.#next - ((this.#next - answer.probe.sequence) >>> 0);
    const slot = sequence % window;
    const state = this.#state[slot] ?? 0;
    if (sequence < 0 || sequence === this.#next || this.#number[slot] !== sequence) {
      return drop('sequence', `to probe ${answer.probe.sequence}, next is ${this.#next}`);
    }
    const sentAt = answer.probe.timestamp;
    if (sentAt.bits !== this.#bits[slot] || sentAt.format !== format) return drop('echo', `probe ${sequence} with another time`);

    const late = state === LOST;
    if (state === ANSWERED || late) {
      if (late) {
        // A second answer to it is late no more: it is a duplicate, if anything.
        this.#late++;
        this.#state[slot] = ANSWERED;
        this.#answer[slot] = -1;
      } else {
        const twice = stateful && this.#direction.heard(this.#direction.unroll(answer.sequence), sequence) !== 'again';
        this.#duplicates[twice ? 'forward' : 'backward']++;
      }
      return { kind: late ? 'late' : 'duplicate', sequence };
    }
    const reordered = this.#take(slot, sequence, answer.sequence);
    const tlvs = decodeTlvs(extension, answer.sequence, digest, digest !== undefined);
    const timing = this.#timing(slot, arrival, answer);
    return { kind: 'sample', sequence, ...timing, reordered, answerSize: payload.length, ...marked(tlvs, arrival) };
  }

  /** What was lost, now that the driver has drained its socket. */
  expire(now: Milliseconds): StampLost[] {
    const lost: StampLost[] = [];
    const { timeout, window } = this.#settings;
    while (this.#oldest < this.#next) {
      const slot = this.#oldest % window;
      if ((this.#sentAt[slot] ?? 0) + timeout > now) break;
      if (this.#state[slot] === WAITING) lost.push({ sequence: this.#oldest, size: this.#size[slot] ?? 0 });
      this.#settle();
    }
    return lost;
  }

  /** When `expire` is wanted; undefined: nothing is under way. */
  deadline(): Milliseconds | undefined {
    if (this.#oldest === this.#next) return undefined;
    return ms((this.#sentAt[this.#oldest % this.#settings.window] ?? 0) + this.#settings.timeout);
  }

  get totals(): StampTotals {
    const lost = this.#settings.stateful ? this.#direction.totals : { forward: 0, backward: 0, unknown: this.#lost };
    return {
      sent: this.#next, answered: this.#answered, lost, late: this.#late, restarts: this.#restarts,
      duplicates: { ...this.#duplicates }, reordered: { ...this.#reordered },
    };
  }

  #extension(tlvs: readonly StampTlv[], sequence: number, size: number): Uint8Array {
    const { digest } = this.#settings;
    const plain = encodeTlvs(tlvs, sequence, digest);
    const left = size - stampBase(digest) - plain.length;
    // A TLV has 4 bytes of header: a little more than asked for rather than less.
    return left <= 0 ? plain : encodeTlvs([...tlvs, { type: 'padding', length: Math.max(0, left - 4) }], sequence, digest);
  }

  /** Returns whether the answer was overtaken on its way. */
  #take(slot: number, sequence: number, answer: number): boolean {
    this.#state[slot] = ANSWERED;
    this.#answered++;
    if (!this.#settings.stateful) return false;
    const number = this.#direction.unroll(answer);
    const overtaken = this.#direction.isOvertaken(number);
    const seen = this.#direction.heard(number, sequence);
    if (seen === 'restart') this.#restarts++;
    this.#answer[slot] = number;
    this.#epoch[slot] = this.#direction.epoch;
    const reordered = overtaken && seen === 'new';
    if (reordered) this.#reordered.backward++;
    return reordered;
  }

  #timing(slot: number, { at, wall }: StampArrival, answer: StampAnswer): StampTiming {
    const t1 = unixNanoseconds(this.#sentWall[slot] ?? 0n);
    const t2 = unixOf(answer.received, wall);
    const t3 = unixOf(answer.timestamp, wall);
    const elapsed = at - (this.#sentAt[slot] ?? 0);
    const took = between(t2, t3);
    const residence = took >= 0 && took <= elapsed ? took : undefined;
    const own = this.#clock[slot];
    const synchronized = own?.synchronized === true && answer.clock.synchronized;
    const errors = [own && errorOf(own), errorOf(answer.clock)];
    const error = errors.every((e) => e !== undefined) ? ms(errors.reduce((sum: number, e) => sum + e, 0)) : undefined;
    const oneWay = (delay: number, before: number | undefined): OneWay => ({
      delay: synchronized ? ms(delay) : undefined, error: synchronized ? error : undefined,
      variation: before === undefined ? undefined : ms(delay - before),
    });
    const before = this.#last;
    this.#last = { forward: between(t1, t2), backward: between(t3, wall) };
    return {
      rtt: ms(Math.max(0, elapsed - (residence ?? 0))), residence, size: this.#size[slot] ?? 0, probeTtl: answer.probeTtl,
      forward: oneWay(this.#last.forward, before?.forward), backward: oneWay(this.#last.backward, before?.backward),
    };
  }

  /** The oldest probe's fate is final. */
  #settle(): void {
    const slot = this.#oldest % this.#settings.window;
    if (this.#state[slot] === WAITING) {
      this.#state[slot] = LOST;
      this.#lost++;
      this.#direction.lost();
    } else if (this.#settings.stateful) {
      const overtaken = this.#direction.answered(this.#answer[slot] ?? 0, this.#oldest, this.#epoch[slot] ?? 0);
      if (overtaken) this.#reordered.forward++;
    }
    this.#oldest++;
  }
}

function marked(tlvs: StampTlvs, { dscp }: StampArrival): Pick<StampSample, 'marking' | 'tlvs'> {
  const found = tlvs.tlvs.find((tlv) => tlv.type === 'class-of-service');
  return { marking: found && { wanted: found.wanted, atReflector: found.received, refused: found.refused, returned: dscp }, tlvs };
}
