/**
 * One BFD session: RFC 5880 §6, as a machine. A § without an RFC is RFC 5880's.
 *
 *   down ── hears Down ──→ init ── hears Init, Up ──→ up       down ── hears Init ──→ up
 *   init, up ── detection time passes, hears AdminDown; up ── hears Down ──→ down
 *   all ── disable, remove ──→ admin-down ── enable ──→ down
 *
 * Invariants
 * - That the other side is gone is only decided by `expire`, which comes after the sockets were drained. A packet counts from when it
 *   came in, not from when it was read, and its own sleep is no silence of the other side (`bfd-silence.ts`).
 * - It never sends more often than the other side allows: besides the timer, which keeps the jittered interval (§6.8.7), a packet
 *   leaves only when its state changes, and in answer to a poll.
 * - Of intervals that are being changed it sends by the shorter and waits by the longer, until the other side has answered
 *   (`bfd-timers.ts`).
 * - Sequence numbers rise with every packet, meticulous or not: a packet heard twice is then a packet refused wherever the receiver cares.
 *
 * Beyond the RFC
 * - **Echoes are believed once one came back.** Until then control packets watch as fast as without: a side that offers to loop and
 *   does not would otherwise never stay Up. From then on the control packets of the other side slow down to 1 s (§6.8.3).
 *
 * Not offered: Demand mode of its own (§6.6; the other side's is honoured), the passive role (§6.1), point-to-multipoint.
 */
import { unreachable } from '../base/error.ts';
import { type Milliseconds, ms } from '../base/units.ts';
import type { BfdControl, BfdDiagnostic, BfdPhase } from '../wire/bfd.ts';
import { adjust, agreedRx, nextSend, wantedIntervals } from './bfd-adjust.ts';
import { type Silence, heardAt, judge } from './bfd-silence.ts';
import {
  type BfdEffect, type BfdEvent, type BfdSettings, type BfdState, type BfdStep, type DownEvidence, type HeardControl, type HeardEcho,
  NEVER, deadlineOf, unheard,
} from './bfd-state.ts';
import { answered, jittered, polled, settled } from './bfd-timers.ts';

export { agreedRx } from './bfd-adjust.ts';
export { deadlineOf } from './bfd-state.ts';
export type { BfdEffect, BfdEvent, BfdSettings, BfdState, BfdStep, DownEvidence, HeardControl, HeardEcho } from './bfd-state.ts';

/**
 * Down, and its first packet is due now.
 * @param discriminator random and of this session alone, 1..2^32 - 1
 * @param chance 0 ≤ chance < 1, random: where its sequence numbers begin
 */
export function initialBfd(settings: BfdSettings, discriminator: number, now: Milliseconds, chance: number): BfdState {
  const negotiation = settled(wantedIntervals({ settings, phase: 'down', echoing: undefined }));
  return {
    settings, discriminator, phase: 'down', diagnostic: 'none', because: undefined, remote: unheard, negotiation,
    sent: now, sendInterval: negotiation.inForce.tx, nextSend: now, silence: undefined,
    echoing: undefined, echoSent: 0, echoHeard: 0, echoAt: ms(-Infinity),
    sequence: Math.floor(chance * 2 ** 32), heardSequence: undefined, leaves: undefined,
  };
}

/**
 * Events that mean nothing in a state change nothing.
 * @param chance 0 ≤ chance < 1, random, another one at every step: the jitter
 */
export function stepBfd(state: BfdState, event: BfdEvent, now: Milliseconds, chance: number): BfdStep {
  switch (event.kind) {
    case 'control': return control(state, event.heard, now, chance);
    case 'echo': return stay(echo(state, event.heard, now, chance));
    case 'expire': return expire(state, now, chance);
    case 'settings': return stay(adjust({ ...state, settings: event.settings }, now, chance));
    case 'disable': return disable(state, event.because, now, chance);
    case 'enable': {
      if (state.phase !== 'admin-down' || state.leaves !== undefined) return stay(state);
      return turn(state, 'down', 'none', 'It may take part again (§6.8.16)', now, chance);
    }
    case 'remove': {
      if (state.leaves !== undefined) return stay(state);
      const { state: after, effects } = disable(state, 'it was taken out of the configuration', now, chance);
      const { settings, negotiation, remote } = after;
      const patience = remote.discriminator === 0 ? 0 : settings.detectMult * Math.max(negotiation.advertised.tx, remote.requiredMinRx);
      return stay({ ...after, leaves: ms(now + patience) }, ...effects);
    }
    default: return unreachable(event);
  }
}

/** Is this echo one that it sent, and that has not come back? */
export const isUnderWay = ({ echoing, echoSent, echoHeard }: BfdState, sequence: number): boolean =>
  echoing !== undefined && sequence !== echoHeard && ((sequence - echoHeard) >>> 0) <= ((echoSent - echoHeard) >>> 0);

/** bfd.RcvAuthSeq for what came in at `at`; undefined: not known. */
export const lastSequence = ({ heardSequence }: BfdState, at: Milliseconds): number | undefined =>
  heardSequence !== undefined && at < heardSequence.until ? heardSequence.value : undefined;

const stay = (state: BfdState, ...effects: readonly BfdEffect[]): BfdStep => ({ state, effects });

/** §6.8.6, after what the codec discards. */
function control(before: BfdState, { control: heard, sequence, at: came }: HeardControl, now: Milliseconds, chance: number): BfdStep {
  // Of several sockets one may be read after another.
  const at = before.silence && before.silence.heard > came ? before.silence.heard : came;
  const remote = {
    discriminator: heard.myDiscriminator, state: heard.state, diagnostic: heard.diagnostic, desiredMinTx: heard.desiredMinTx,
    requiredMinRx: heard.requiredMinRx, requiredMinEchoRx: heard.requiredMinEchoRx, detectMult: heard.detectMult, demand: heard.demand,
  };
  const negotiation = heard.final ? answered(before.negotiation) : before.negotiation;
  const silence = heardAt(at, agreedRx({ negotiation, remote }), heard.detectMult);
  const heardSequence = sequence === undefined ? undefined : { value: sequence, until: ms(at + 2 * silence.patience) };
  const state = adjust({ ...before, remote, negotiation, silence, heardSequence }, now, chance);
  if (state.phase === 'admin-down') return stay(state);
  const next = afterHearing(state.phase, heard.state);
  if (next === undefined) return heard.poll ? answerPoll(state) : stay(state);
  const down = next === 'down';
  const rule = `The other side said ${wordOf[heard.state]} (§6.8.6)`;
  // By the intervals that it went by until then.
  const evidence = down ? evidenceOf(state, { ...before.silence ?? silence, heard: at }, now) : undefined;
  const diagnostic = down ? 'neighbor-down' : next === 'up' ? 'none' : state.diagnostic;
  return turn(state, next, diagnostic, rule, now, chance, { final: heard.poll, evidence });
}

const wordOf = { 'admin-down': 'AdminDown', down: 'Down', init: 'Init', up: 'Up' } as const satisfies Record<BfdPhase, string>;

/** The table of §6.2 and §6.8.6; undefined: it stays. */
function afterHearing(phase: 'down' | 'init' | 'up', heard: BfdPhase): 'down' | 'init' | 'up' | undefined {
  if (heard === 'admin-down') return phase === 'down' ? undefined : 'down';
  switch (phase) {
    case 'down': return heard === 'down' ? 'init' : heard === 'init' ? 'up' : undefined;
    case 'init': return heard === 'down' ? undefined : 'up';
    case 'up': return heard === 'down' ? 'down' : undefined;
    default: return unreachable(phase);
  }
}

interface Turning {
  /** The packet answers a poll as well. */
  readonly final?: boolean;
  readonly evidence?: DownEvidence | undefined;
}

/** Another state, and a packet that says so at once (§6.8.7). */
function turn(
  state: BfdState, to: BfdPhase, diagnostic: BfdDiagnostic, rule: string, now: Milliseconds, chance: number,
  { final = false, evidence }: Turning = {},
): BfdStep {
  const { phase: from, negotiation } = state;
  // A new state is a new bargain: what was asked before it needs no answer any more.
  const changed = adjust({ ...state, phase: to, diagnostic, negotiation: { ...negotiation, poll: 'none' } }, now, chance);
  const [after, send] = packet(changed, final);
  return stay(
    { ...after, sent: now, nextSend: nextSend(after, now, chance) },
    send, { do: 'transition', from, to, diagnostic, rule, ...(evidence ? { evidence } : {}) },
  );
}

function evidenceOf({ remote }: BfdState, { heard, interval, patience, late, naps }: Silence, now: Milliseconds): DownEvidence {
  const ago = ms(now - heard);
  return {
    lastHeardAgo: ago, interval, detectionTime: patience, missed: Math.floor(ago / interval),
    ownLateness: late, naps, remoteState: remote.state, remoteDiagnostic: remote.diagnostic,
  };
}

/** §6.8.7: without respect to the timer, which runs on. */
function answerPoll(state: BfdState): BfdStep {
  const [after, send] = packet(state, true);
  return stay(after, send);
}

function disable(state: BfdState, because: string, now: Milliseconds, chance: number): BfdStep {
  if (state.phase === 'admin-down') return stay(state.leaves === undefined ? { ...state, because } : state);
  const evidence = state.silence && state.phase !== 'down' ? evidenceOf(state, state.silence, now) : undefined;
  return turn({ ...state, because }, 'admin-down', 'admin-down', `${because} (§6.8.16)`, now, chance, { evidence });
}

function echo(state: BfdState, { sequence, sent, at }: HeardEcho, now: Milliseconds, chance: number): BfdState {
  const { echoing, settings } = state;
  if (!echoing || !isUnderWay(state, sequence)) return state;
  const silence = heardAt(at, echoing.interval, settings.detectMult);
  const after = { ...state, echoHeard: sequence, echoing: { ...echoing, silence, roundTrip: ms(at - sent) } };
  return echoing.silence ? after : adjust(after, now, chance);
}

function expire(before: BfdState, now: Milliseconds, chance: number): BfdStep {
  const late = ms(now - deadlineOf(before));
  if (late < 0) return stay(before);
  if (before.leaves !== undefined && now >= before.leaves) {
    const state = { ...before, nextSend: NEVER, leaves: NEVER, silence: undefined, echoing: undefined };
    return stay(state, { do: 'gone' });
  }
  let state = before;
  const effects: BfdEffect[] = [];
  const slept = (): void => {
    if (state.phase !== 'up' && state.phase !== 'init') return;
    effects.push({ do: 'note', rule: `overslept by ${late.toFixed(1)} ms: it listens again` });
  };
  if (state.silence) {
    const [silence, verdict] = judge(state.silence, late, now);
    if (verdict === 'gone') return detected({ ...state, silence }, silence, now, chance);
    if (silence !== state.silence) state = { ...state, silence };
    if (verdict === 'slept') slept();
  }
  if (state.echoing?.silence) {
    const [silence, verdict] = judge(state.echoing.silence, late, now);
    if (verdict === 'gone') {
      const evidence = evidenceOf(state, silence, now);
      return turn(state, 'down', 'echo-failed', 'Its echoes no longer come back (§6.8.5)', now, chance, { evidence });
    }
    if (silence !== state.echoing.silence) state = { ...state, echoing: { ...state.echoing, silence } };
    if (verdict === 'slept' && effects.length === 0) slept();
  }
  if (now >= state.nextSend) {
    const [after, send] = packet(state, false);
    state = { ...after, sent: now, nextSend: nextSend(after, now, chance) };
    effects.push(send);
  }
  if (state.echoing && now >= state.echoing.next) {
    const { echoing, settings } = state;
    const sequence = (state.echoSent + 1) >>> 0;
    effects.push({ do: 'echo', sequence, sent: now });
    const next = ms(now + jittered(echoing.interval, settings.detectMult, chance));
    state = { ...state, echoSent: sequence, echoAt: now, echoing: { ...echoing, next } };
  }
  return { state, effects };
}

/** Nothing came for the detection time: §6.8.4; nor is the other side's discriminator good any more (§6.8.1). */
function detected(state: BfdState, silence: Silence, now: Milliseconds, chance: number): BfdStep {
  const alone: BfdState = { ...state, remote: unheard, silence: undefined };
  if (state.phase !== 'up' && state.phase !== 'init') return stay(adjust(alone, now, chance));
  const rule = 'Nothing was heard for the detection time (§6.8.4)';
  return turn(alone, 'down', 'detection-expired', rule, now, chance, { evidence: evidenceOf(state, silence, now) });
}

/** The next packet, as it is now: §6.8.7. */
function packet(state: BfdState, final: boolean): readonly [BfdState, BfdEffect] {
  const { settings, negotiation, remote, phase, diagnostic, discriminator } = state;
  const poll = !final && negotiation.poll !== 'none';
  const control: BfdControl = {
    diagnostic, state: phase, poll, final, controlPlaneIndependent: false, demand: false, detectMult: settings.detectMult,
    myDiscriminator: discriminator, yourDiscriminator: remote.discriminator,
    desiredMinTx: negotiation.advertised.tx, requiredMinRx: negotiation.advertised.rx, requiredMinEchoRx: settings.requiredMinEchoRx,
  };
  const sequence = (state.sequence + 1) >>> 0;
  return [{ ...state, sequence, negotiation: poll ? polled(negotiation) : negotiation }, { do: 'send', control, sequence }];
}
