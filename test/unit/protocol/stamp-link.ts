/** A STAMP sender and its reflector over a virtual link, in virtual time, with what really happened to each packet kept beside it. */
import { ms } from '../../../src/base/units.ts';
import { StampReflector, type StampReflectorSettings } from '../../../src/protocol/stamp-reflector.ts';
import { type StampEcho, type StampLost, type StampSample, StampSender, type StampSenderSettings } from '../../../src/protocol/stamp-sender.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { type StampDrop, stampDropReasons } from '../../../src/wire/stamp-drop.ts';
import { type ClockError, type UnixNanoseconds, unixNanoseconds } from '../../../src/wire/stamp-time.ts';
import type { StampTlv } from '../../../src/wire/stamp-tlv.ts';

export const EPOCH = 1_800_000_000_000_000_000n;
const SYNCHRONIZED: ClockError = { synchronized: true, scale: 10, multiplier: 100 };

export const senderSettings: StampSenderSettings = { ssid: 77, format: 'ntp', stateful: true, timeout: ms(1000), window: 256 };
export const reflectorSettings: StampReflectorSettings = {
  port: 862, format: 'ntp', sessions: 4, idle: ms(60_000), admits: () => true, permitsDscp: () => true, source: 'ntp', methodIn: 'software', methodOut: 'software',
};

/** Of one packet in one direction: its delays in ms; none: it is lost; two: it is doubled. */
export type Fate = readonly number[];

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export interface LinkSettings {
  readonly sender?: Partial<StampSenderSettings>;
  readonly reflector?: Partial<StampReflectorSettings>;
  /** Of the sender's and the reflector's wall clock, ms. */
  readonly offset?: { readonly sender: number; readonly reflector: number };
  readonly clocks?: { readonly sender: ClockError; readonly reflector: ClockError };
  /** What the path makes of a mark, there and back. */
  readonly remark?: { readonly forward: (dscp: number) => number; readonly backward: (dscp: number) => number };
  /** What the reflector takes, ms. */
  readonly residence?: number;
}

export class StampLink {
  readonly sender: StampSender;
  reflector: StampReflector;
  readonly samples: StampSample[] = [];
  readonly echoes: StampEcho[] = [];
  readonly drops: StampDrop[] = [];
  readonly lost: StampLost[] = [];
  readonly truth = { sent: 0, forward: 0, backward: 0 };
  now = 0;
  #order = 0;
  readonly #events: Event[] = [];
  readonly #settings: LinkSettings;

  constructor(settings: LinkSettings = {}) {
    this.#settings = settings;
    this.sender = new StampSender({ ...senderSettings, ...settings.sender });
    this.reflector = this.#reflector();
  }

  restartReflector(): void {
    this.reflector = this.#reflector();
  }

  #reflector(): StampReflector {
    return new StampReflector({ ...reflectorSettings, ...this.#settings.reflector });
  }

  #wall(of: 'sender' | 'reflector'): UnixNanoseconds {
    return unixNanoseconds(EPOCH + BigInt(Math.round((this.now + (this.#settings.offset?.[of] ?? 0)) * 1e6)));
  }

  #clock(of: 'sender' | 'reflector'): ClockError {
    return this.#settings.clocks?.[of] ?? SYNCHRONIZED;
  }

  send(forward: Fate, backward: Fate, tlvs: readonly StampTlv[] = [], dscp = 0, size = 0): void {
    const { payload } = this.sender.send(ms(this.now), this.#wall('sender'), this.#clock('sender'), tlvs, size);
    this.truth.sent++;
    if (forward.length === 0) this.truth.forward++;
    for (const delay of forward) this.#after(delay, () => this.#reflect(payload, backward, this.#settings.remark?.forward(dscp) ?? dscp));
  }

  #reflect(payload: Uint8Array, backward: Fate, dscp: number): void {
    const arrived = { at: ms(this.now), received: this.#wall('reflector') };
    const residence = this.#settings.residence ?? 0;
    this.#after(residence, () => {
      const answer = this.reflector.reflect(payload, {
        source: parseIpAddress('192.0.2.1'), sourcePort: 50_000, destination: parseIpAddress('192.0.2.2'), ttl: 64, dscp, ecn: 0, ...arrived,
        leaves: this.#wall('reflector'), clock: this.#clock('reflector'),
      });
      if (answer.kind === 'drop') {
        this.drops.push(answer);
        return;
      }
      if (backward.length === 0) this.truth.backward++;
      for (const delay of backward) this.#after(delay, () => this.deliver(answer.payload, this.#settings.remark?.backward(answer.dscp) ?? answer.dscp));
    });
  }

  deliver(payload: Uint8Array, dscp = 0): void {
    const heard = this.sender.heard(payload, { at: ms(this.now), wall: this.#wall('sender'), dscp });
    if (heard.kind === 'sample') this.samples.push(heard);
    else if (heard.kind === 'drop') this.drops.push(heard);
    else this.echoes.push(heard);
  }

  /** Lets time pass. */
  advance(span: number): void {
    const end = this.now + span;
    for (;;) {
      const next = this.#events[0];
      const due = this.sender.deadline();
      // What has arrived is told before a timer decides.
      if (next && next.at <= end && (due === undefined || next.at <= due)) {
        this.#events.shift();
        this.now = next.at;
        next.run();
      } else if (due !== undefined && due <= end) {
        this.now = Math.max(this.now, due);
        this.lost.push(...this.sender.expire(ms(this.now)));
      } else break;
    }
    this.now = end;
  }

  #after(delay: number, run: () => void): void {
    const event = { at: this.now + delay, order: this.#order++, run };
    let at = this.#events.length;
    for (let before = this.#events[at - 1]; before && before.at > event.at; before = this.#events[at - 1]) at--;
    this.#events.splice(at, 0, event);
  }

  reasons(): string[] {
    return this.drops.map(({ reason }) => reason).filter((reason) => reason in stampDropReasons);
  }
}
