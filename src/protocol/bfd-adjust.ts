/**
 * What settings, state and the other side's last packet make of a session's intervals, timers and echoes: RFC 5880 §6.8.2-§6.8.4, §6.8.7,
 * §6.8.9.
 */
import { type Milliseconds, ms } from '../base/units.ts';
import { retimed } from './bfd-silence.ts';
import { type BfdState, type Echoing, NEVER } from './bfd-state.ts';
import { type Intervals, SLOW, jittered, negotiate } from './bfd-timers.ts';

/** By which the other side's packets are missed: agreed interval and detection time (§6.8.4). */
export const agreedRx = ({ negotiation, remote }: Pick<BfdState, 'negotiation' | 'remote'>): Milliseconds =>
  (negotiation.inForce.rx > remote.desiredMinTx ? negotiation.inForce.rx : remote.desiredMinTx);

/** To be called whenever one of the three has changed. */
export function adjust(state: BfdState, now: Milliseconds, chance: number): BfdState {
  const echoing = echoingOf(state, now, chance);
  const wanted = wantedIntervals({ settings: state.settings, phase: state.phase, echoing });
  const negotiation = negotiate(state.negotiation, wanted, state.phase === 'up');
  const next = { ...state, echoing, negotiation };
  const sendInterval = sendIntervalOf(next);
  const silence = next.silence && retimed(next.silence, agreedRx(next), next.remote.detectMult, now);
  if (sendInterval === state.sendInterval) return { ...next, silence };
  const timed = { ...next, silence, sendInterval };
  return { ...timed, nextSend: ms(Math.max(now, nextSend(timed, state.sent, chance))) };
}

export function wantedIntervals({ settings, phase, echoing }: Pick<BfdState, 'settings' | 'phase' | 'echoing'>): Intervals {
  const { desiredMinTx, requiredMinRx } = settings;
  return {
    tx: phase === 'up' ? desiredMinTx : ms(Math.max(SLOW, desiredMinTx)),
    rx: echoing?.silence ? ms(Math.max(SLOW, requiredMinRx)) : requiredMinRx,
  };
}

/** §6.8.2, §6.8.7; 0: no periodic packets, because the other side wants none, or is in Demand mode (§6.6). */
function sendIntervalOf({ negotiation: { inForce, poll }, remote, phase }: BfdState): Milliseconds {
  if (remote.requiredMinRx === 0) return ms(0);
  if (remote.demand && phase === 'up' && remote.state === 'up' && poll === 'none') return ms(0);
  return ms(Math.max(inForce.tx, remote.requiredMinRx));
}

/** §6.8.9: only while Up, and where the other side loops. */
function echoingOf({ settings, phase, remote, echoing, echoAt }: BfdState, now: Milliseconds, chance: number): Echoing | undefined {
  if (settings.echo === undefined || phase !== 'up' || remote.state !== 'up' || remote.requiredMinEchoRx === 0) return undefined;
  const interval = ms(Math.max(settings.echo, remote.requiredMinEchoRx));
  if (echoing?.interval === interval) return echoing;
  const next = ms(Math.max(now, echoAt + jittered(interval, settings.detectMult, chance)));
  if (!echoing) return { interval, next, silence: undefined, roundTrip: undefined };
  return { ...echoing, interval, next, silence: echoing.silence && retimed(echoing.silence, interval, settings.detectMult, now) };
}

/** When the next periodic packet is due if one left at `from`. */
export const nextSend = ({ sendInterval, settings }: BfdState, from: Milliseconds, chance: number): Milliseconds =>
  (sendInterval === 0 ? NEVER : ms(from + jittered(sendInterval, settings.detectMult, chance)));
