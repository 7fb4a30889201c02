/** When to ask whether anybody else has a guest's addresses: when it starts, and once an hour. Timing as RFC 5227 §2.1.1 has it. */
import { formatError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import type { Guest } from '../move/hypervisor.ts';
import { SystemError } from '../native/native.ts';
import { arpProbeFrame, nsProbeFrame } from '../wire/announce.ts';

/** RFC 5227 §1.1, ms. */
const PROBE_WAIT = 1000;
const PROBE_NUM = 3;
const PROBE_MIN = 1000;
const PROBE_MAX = 2000;
/** Between two rounds, ms. */
const ROUND = 3_600_000;

interface Round {
  at: number;
  left: number;
}

export class AddressProbes {
  readonly #random: () => number;
  readonly #log: Log;
  readonly #rounds = new Map<Guest, Round>();

  /** @param random 0 to below 1 */
  constructor(random: () => number, log: Log) {
    this.#random = random;
    this.#log = log;
  }

  /** It was there before: its next round is in an hour at most, not all of a host at once. */
  known(guest: Guest, now: number): void {
    this.#rounds.set(guest, { at: now + this.#random() * ROUND, left: PROBE_NUM });
  }

  /** Sends what is due; ms until more is. A guest not seen before has been started, or has come with the move that has it in hand. */
  due(guests: readonly { readonly guest: Guest; readonly moving: boolean }[], now: number): number {
    const here = new Set(guests.map(({ guest }) => guest));
    for (const guest of this.#rounds.keys()) if (!here.has(guest)) this.#rounds.delete(guest);
    let next = Infinity;
    for (const { guest, moving } of guests) {
      const round = this.#rounds.get(guest) ?? this.#begin(guest, moving, now);
      if (moving) continue;
      if (round.at <= now) this.#ask(guest, round, now);
      next = Math.min(next, round.at - now);
    }
    return next;
  }

  #begin(guest: Guest, moving: boolean, now: number): Round {
    const round = { at: now + this.#random() * (moving ? ROUND : PROBE_WAIT), left: PROBE_NUM };
    this.#rounds.set(guest, round);
    return round;
  }

  #ask(guest: Guest, round: Round, now: number): void {
    round.left--;
    if (round.left > 0) round.at = now + PROBE_MIN + this.#random() * (PROBE_MAX - PROBE_MIN);
    else Object.assign(round, { at: now + ROUND, left: PROBE_NUM });
    for (const [nic, { mac, addresses }] of guest.vm.nics.entries()) {
      for (const address of addresses) {
        try {
          guest.speak(nic, address.family === 4 ? arpProbeFrame(mac, address) : nsProbeFrame(mac, address));
        } catch (error) {
          // Its tap has gone, or is down.
          if (!(error instanceof SystemError)) throw error;
          this.#log.info({ vm: guest.vm.name, nic, error: formatError(error) }, 'A guest\'s address could not be asked for');
        }
      }
    }
  }
}
