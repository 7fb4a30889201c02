/**
 * A stateful STAMP reflector (RFC 8762 §4.3, RFC 8972): each probe is answered with a packet as long as itself, which repeats the probe's
 * number and time, and says when it came and left, how it was marked, and the how manieth answer of its session it is.
 * Pure: addresses, marks and times are facts of the driver.
 *
 * TWAMP-Light senders are answered too: a probe of 14 to 43 bytes with 44 (§4.6). No answer is longer than its probe otherwise, so that
 * nobody is served by forging a source.
 *
 * A session is the probe's addresses, source port and SSID (RFC 8972 §3). It is begun by its first probe, if its source is a peer, and
 * forgotten when it was silent for `idle`: its count then begins anew, which the sender notices.
 */
import type { Milliseconds } from '../base/units.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { decodeStampProbe, encodeStampAnswer, stampBase } from '../wire/stamp.ts';
import { type StampDrop, drop } from '../wire/stamp-drop.ts';
import { type ClockError, type TimestampFormat, type UnixNanoseconds, timestampOf } from '../wire/stamp-time.ts';
import { type StampDigest, type SyncSource, type TimestampMethod, reflectTlvs } from '../wire/stamp-tlv.ts';

export interface StampReflectorSettings {
  /** The UDP port it listens on. */
  readonly port: number;
  readonly format: TimestampFormat;
  /** Sessions at a time; some 200 bytes each. */
  readonly sessions: number;
  readonly idle: Milliseconds;
  /** Whose probes are answered. */
  readonly admits: (source: IpAddress) => boolean;
  /** What a sender may have answers marked with (RFC 8972 §4.4). */
  readonly permitsDscp: (dscp: number) => boolean;
  /** What sets this host's clock, and who takes T2 and T3. */
  readonly source: SyncSource;
  readonly methodIn: TimestampMethod;
  readonly methodOut: TimestampMethod;
  /** Given: only authenticated probes are answered. */
  readonly digest?: StampDigest;
  /** An answer's payload is good until the next `reflect`, which may write into it: as cheap as answering gets. */
  readonly reuse?: boolean;
}

export interface ProbeFacts {
  readonly source: IpAddress;
  readonly sourcePort: number;
  readonly destination: IpAddress;
  /** IPv6: hop limit. */
  readonly ttl: number;
  readonly dscp: number;
  readonly ecn: number;
  /** When it came, monotonic. */
  readonly at: Milliseconds;
  /** T2: when it came, by the wall's clock. */
  readonly received: UnixNanoseconds;
  /** T3: when the answer leaves, read just before it is made. */
  readonly leaves: UnixNanoseconds;
  readonly clock: ClockError;
}

export interface StampReflected {
  readonly kind: 'answer';
  /** To be sent from where the probe went to, back to where it came from, with TTL 255 and ECN 0. */
  readonly payload: Uint8Array;
  readonly dscp: number;
}

interface Session {
  answers: number;
  last: Milliseconds;
}

export class StampReflector {
  readonly #settings: StampReflectorSettings;
  /** The one that was silent longest comes first. */
  readonly #sessions = new Map<string, Session>();
  /** A driver that hands in the same value for the same address has its text made once. */
  readonly #texts = new WeakMap<IpAddress, string>();
  /** The last answer, where it may be written into. */
  #payload: Uint8Array | undefined;

  constructor(settings: StampReflectorSettings) {
    this.#settings = settings;
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  /** Never throws, whatever the bytes. */
  reflect(payload: Uint8Array, facts: ProbeFacts): StampReflected | StampDrop {
    const { port, digest, format, admits } = this.#settings;
    if (facts.sourcePort === port) return drop('port', `from port ${port}`);
    if (!admits(facts.source)) return drop('peer', `from ${facts.source}`);
    const decoded = decodeStampProbe(payload, digest);
    if (decoded.kind === 'drop') return decoded;
    const { probe, extension } = decoded;
    const session = this.#session(`${this.#text(facts.source)} ${facts.sourcePort} ${this.#text(facts.destination)} ${probe.ssid}`, facts.at);
    if (!session) return drop('full', `${this.#sessions.size} sessions`);
    const sequence = session.answers;
    session.answers = (sequence + 1) % 2 ** 32;
    const { source, methodIn, methodOut, permitsDscp } = this.#settings;
    const reflected = reflectTlvs(extension, {
      sequence: probe.sequence, answerSequence: sequence, dscp: facts.dscp, ecn: facts.ecn, permits: permitsDscp,
      source, methodIn, methodOut,
    }, digest, digest !== undefined);
    const length = stampBase(digest) + reflected.extension.length;
    const answer = encodeStampAnswer({
      sequence, timestamp: timestampOf(facts.leaves, format), clock: facts.clock, ssid: probe.ssid,
      received: timestampOf(facts.received, format), probe, probeTtl: facts.ttl,
    }, reflected.extension, digest, this.#payload?.length === length ? this.#payload : undefined);
    if (this.#settings.reuse) this.#payload = answer;
    return { kind: 'answer', payload: answer, dscp: reflected.dscp };
  }

  /** Forgets what was silent for too long. */
  expire(now: Milliseconds): void {
    for (const [key, { last }] of this.#sessions) {
      if (last + this.#settings.idle > now) return;
      this.#sessions.delete(key);
    }
  }

  #text(address: IpAddress): string {
    let text = this.#texts.get(address);
    if (text === undefined) {
      text = address.toString();
      this.#texts.set(address, text);
    }
    return text;
  }

  #session(key: string, now: Milliseconds): Session | undefined {
    let session = this.#sessions.get(key);
    if (!session) {
      if (this.#sessions.size >= this.#settings.sessions) this.expire(now);
      if (this.#sessions.size >= this.#settings.sessions) return undefined;
      session = { answers: 0, last: now };
    } else if (session.last + this.#settings.idle <= now) session.answers = 0;
    session.last = now;
    this.#sessions.delete(key);
    this.#sessions.set(key, session);
    return session;
  }
}
