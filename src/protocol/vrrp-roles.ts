/** How the VRRP machine (`vrrp.ts`) comes to be Backup and Active, what it says, and who outranks whom. */
import { type Milliseconds, ms } from '../base/units.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { beginAnnouncing } from './vrrp-announce.ts';
import type { Active, Backup, Common, HeardAdvert, VrrpEffect, VrrpPhase, VrrpSettings, VrrpState, VrrpStep } from './vrrp-state.ts';
import { activeDownInterval, effectiveInterval } from './vrrp-timers.ts';

export const stay = (state: VrrpState, ...effects: readonly VrrpEffect[]): VrrpStep => ({ state, effects });
export const common = ({ settings, holdable }: Common): Common => ({ settings, holdable });
export const section = ({ settings }: Common, what: string, v2: string, of: string): string =>
  settings.version === 2 ? `${v2} (RFC 3768 §${of})` : `${what} (RFC 9568 §${of})`;

/** Who answers for the addresses says so. */
export function sent(state: Common, priority = state.settings.priority): Extract<VrrpEffect, { do: 'send' }> {
  return { do: 'send', priority, interval: effectiveInterval(state.settings, state.holdable), mac: 'virtual' };
}

/** It has left, and released already. */
export const left = (state: Common): VrrpEffect => ({ ...sent(state, 0), mac: 'device' });

/** With the winner's interval, so that other Backups that hear it go on waiting by that. */
export const farewell = (state: Common, winners: Milliseconds): VrrpEffect =>
  ({ do: 'send', priority: state.settings.priority, interval: state.settings.version === 2 ? state.settings.interval : winners, mac: 'device' });

/** Backup, with a full Active_Down_Interval from `since` on. */
export function listen(state: Common, source: IpAddress, activeInterval: Milliseconds, since: Milliseconds): Backup {
  return {
    ...common(state), phase: 'backup', source, activeInterval, naps: 0, weakerSince: undefined, farewell: undefined,
    activeDown: ms(since + activeDownInterval(state.settings, activeInterval)), watch: watchAfter(since, activeInterval),
  };
}

/** In the middle between the next advert and the one after it. */
export const watchAfter = (heard: Milliseconds, activeInterval: Milliseconds): Milliseconds => ms(heard + 1.5 * activeInterval);

export function becomeActive(state: Common, source: IpAddress, from: VrrpPhase, rule: string, now: Milliseconds): VrrpStep {
  const [announcing, ...announce] = beginAnnouncing(state.settings.announce, now);
  const nextAdvert = ms(now + effectiveInterval(state.settings, state.holdable));
  const active: Active = { ...common(state), phase: 'active', source, announcing, nextAdvert };
  // The addresses first: the advert moves the switches, and what they send must be answered.
  return stay(active, { do: 'take' }, sent(active), ...announce, { do: 'transition', from, to: 'active', rule });
}

/** RFC 9568 §6.4.3: by priority, of equals by primary address. */
export const outranks = ({ priority, from }: HeardAdvert, { settings, source }: Backup | Active): boolean =>
  priority > settings.priority || (priority === settings.priority && compareAddresses(from, source) > 0);

/** By number, as unsigned integers in network byte order (RFC 9568 §6.4.3): below 0 when `a` is the lesser. */
function compareAddresses(a: IpAddress, b: IpAddress): number {
  const [left, right] = [a.bytes(), b.bytes()];
  for (const [i, byte] of left.entries()) {
    const difference = byte - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Preempt_Mode. Who owns the addresses always does (RFC 9568 §6.1). */
export const preempts = ({ preempt, priority }: VrrpSettings): boolean => preempt || priority === 255;
