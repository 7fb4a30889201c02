/**
 * Alerts of the hosts' monitors: an event when one turns on or off. Those that events have told are on stand in the store, so that a
 * server that starts tells only what has changed since. One that is not judged any more is off.
 */
import { type Milliseconds, seconds } from '../base/units.ts';
import type { AlertReport } from '../model/watch-plan.ts';
import type { Draft } from './draft.ts';
import { record } from './events.ts';
import type { Instant } from './acting.ts';

/** Of one host and span. What turns more often, with a hold of nothing, must not push all else out of the events. */
const MOST = 60;
const SPAN = seconds(60);

export class Alerts {
  readonly #spans = new Map<string, { from: Milliseconds; told: number; untold: number }>();

  /** All that this host's monitor says; undefined: it says nothing, and all is as it was. */
  hear(draft: Draft, host: string, alerts: readonly AlertReport[] | undefined, { at, time }: Instant): void {
    if (!alerts || !draft.get('hosts', host)) return;
    this.#endSpan(draft, host, { at, time });
    const before = new Map((draft.get('alerts', host)?.on ?? []).map((alert) => [keyOf(alert), alert]));
    const now = new Map(alerts.map((alert) => [keyOf(alert), alert]));
    const on: AlertReport[] = [];
    for (const [key, alert] of now) {
      if (alert.state !== 'on') continue;
      const known = before.get(key);
      on.push(known ?? alert);
      if (!known) this.#tell(draft, host, alert, time);
    }
    for (const [key, known] of before) {
      const alert = now.get(key);
      if (alert?.state === 'on') continue;
      this.#tell(draft, host, alert ?? { ...known, state: 'off', because: `${known.alert} on ${known.on} is not judged any more` }, time);
    }
    if (on.length > 0) draft.put('alerts', host, { on });
    else draft.delete('alerts', host);
  }

  #tell(draft: Draft, host: string, alert: AlertReport, time: number): void {
    const span = this.#spans.get(host);
    if (span && span.told >= MOST) {
      span.untold++;
      return;
    }
    if (span) span.told++;
    const isOn = alert.state === 'on';
    record(draft, {
      at: time, severity: isOn ? alert.severity : 'info', about: { kind: 'Host', name: host }, host, reason: isOn ? 'AlertOn' : 'AlertOff',
      message: `${alert.alert} on ${host}: ${alert.because}`, evidence: { kind: 'alert', alert },
    });
  }

  #endSpan(draft: Draft, host: string, { at, time }: Instant): void {
    const span = this.#spans.get(host);
    if (span && at - span.from < SPAN) return;
    this.#spans.set(host, { from: at, told: 0, untold: 0 });
    if (!span || span.untold === 0) return;
    record(draft, {
      at: time, severity: 'warning', about: { kind: 'Host', name: host }, host, reason: 'AlertsLeftOut',
      message: `${span.untold} turns of alerts on ${host} within a minute are not told: give them a longer hold, or thresholds further apart`,
    });
  }
}

/** Of hosts that are gone. */
export function dropAlerts(draft: Draft): void {
  for (const { name } of draft.rows('alerts')) if (!draft.get('hosts', name)) draft.delete('alerts', name);
}

const keyOf = ({ alert, on }: AlertReport): string => `${alert} ${on}`;
