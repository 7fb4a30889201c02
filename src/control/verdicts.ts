/**
 * The verdict on each host (policy/host-verdict.ts), formed anew with every look from what the hosts said last. In memory but for what an
 * event has told of, so that a server that starts neither repeats it nor forgets to take it back.
 */
import { type Milliseconds, ms, seconds } from '../base/units.ts';
import { silentAfter } from '../model/cluster-policy.ts';
import { detectionDefaults } from '../model/detection-policy.ts';
import type { Severity, VerdictReport } from '../model/event.ts';
import { type Voice, hostVerdicts } from '../policy/host-verdict.ts';
import type { PeerOpinion } from '../protocol/failure-detector.ts';
import { defaultVerdictPolicy } from '../protocol/verdict.ts';
import type { Draft, View } from './draft.ts';
import { record } from './events.ts';
import type { Liveness } from './liveness.ts';
import { policyOf } from './lookup.ts';

/** Who was heard within this is taken to live: an agent reports every second. */
export const LIVES = ms(2000);

/** For how long a verdict must have been the same before it is told. `dead` needs none: LIVES has passed without a word of its agent. */
const HOLD = { dead: ms(0), trouble: seconds(2), fine: seconds(5) } as const;

interface Held {
  readonly verdict: VerdictReport;
  /** Monotonic: since when it has been of this kind, on these paths. */
  readonly since: Milliseconds;
}

export class Verdicts {
  readonly #live: Liveness;
  #held: ReadonlyMap<string, Held> = new Map();
  readonly #said = new Map<string, string>();

  constructor(live: Liveness) {
    this.#live = live;
  }

  /** Each second, and when a host has heard or missed another anew. `at`: monotonic. */
  look(view: View, at: Milliseconds): void {
    const hosts = view.rows('hosts').map(({ name }) => name);
    for (const host of this.#said.keys()) if (!hosts.includes(host)) this.#said.delete(host);
    const observers = policyOf(view)?.detect?.observers ?? detectionDefaults.detect.observers;
    const verdicts = hostVerdicts(hosts, this.#live.reports(at).map(voiceOf), (host) => this.#live.silence(host, at), {
      observers, maxAge: defaultVerdictPolicy.maxAge, lives: LIVES,
    });
    this.#held = new Map([...verdicts].map(([host, verdict]): [string, Held] => {
      const before = this.#held.get(host);
      return [host, { verdict, since: before && same(before.verdict, verdict) ? before.since : at }];
    }));
  }

  /** Whether this host hears or misses another anew since it was asked last: then it is worth a look at once. */
  isNews(host: string, opinions: readonly PeerOpinion[]): boolean {
    const said = opinions.flatMap(({ peer, paths }) =>
      paths.map(({ path, state, heardThere }) => `${peer} ${path} ${state} ${heardThere}`)).join();
    if (this.#said.get(host) === said) return false;
    this.#said.set(host, said);
    return true;
  }

  /** undefined: nobody says anything of it. */
  of(host: string): VerdictReport | undefined {
    return this.#held.get(host)?.verdict;
  }

  all(): ReadonlyMap<string, VerdictReport> {
    return new Map([...this.#held].map(([host, { verdict }]) => [host, verdict]));
  }

  /** Writes an event for each that is another one than was told last, and has held. `unknown` is no news. `time`: ms since the epoch. */
  tell(draft: Draft, at: Milliseconds, time: number): void {
    for (const [host, { verdict, since }] of this.#held) {
      const known = draft.get('hosts', host);
      if (!known || verdict.verdict === 'unknown' || at - since < this.#holdOf(verdict, draft)) continue;
      const told = known.told ?? { verdict: 'fine', paths: [] };
      if (same(told, verdict)) continue;
      draft.put('hosts', host, { ...known, told: { verdict: verdict.verdict, paths: verdict.paths } });
      record(draft, {
        at: time, severity: severityOf(verdict), about: { kind: 'Host', name: host }, host, reason: 'HostVerdict',
        message: `${host} is ${verdict.verdict}: ${verdict.because} (${denominator(verdict)})`, evidence: { kind: 'verdict', verdict },
      });
    }
  }

  /** An agent of which this server has not heard yet may be about to find it again: it has as long as one may be silent. */
  #holdOf({ host, verdict }: VerdictReport, view: View): Milliseconds {
    if (verdict === 'dead') return this.#live.reportOf(host) ? HOLD.dead : silentAfter(policyOf(view));
    return verdict === 'fine' ? HOLD.fine : HOLD.trouble;
  }
}

function voiceOf({ host, age, report: { opinions = [], monitor } }: ReturnType<Liveness['reports']>[number]): Voice {
  const sick = new Map<string, Map<string, string>>();
  for (const { peer, path, quality: { state, because = state } } of monitor?.paths ?? []) {
    if (state !== 'unfit' && state !== 'down') continue;
    sick.set(peer, (sick.get(peer) ?? new Map<string, string>()).set(path, because));
  }
  return { host, age, opinions, sick };
}

const same = (a: Pick<VerdictReport, 'verdict' | 'paths'>, b: Pick<VerdictReport, 'verdict' | 'paths'>): boolean =>
  a.verdict === b.verdict && a.paths.toSorted().join() === b.paths.toSorted().join();

function severityOf({ verdict }: VerdictReport): Severity {
  return verdict === 'dead' ? 'alarm' : verdict === 'fine' ? 'info' : 'warning';
}

function denominator({ voters, observers, disagreed, arrivals, probes }: VerdictReport): string {
  const otherwise = disagreed.length > 0 ? [`${disagreed.join(', ')} ${disagreed.length === 1 ? 'sees' : 'see'} it otherwise`] : [];
  return [`${voters} of ${observers} observers had a vote`, ...otherwise, `${arrivals} came from it, ${probes} were sent`].join('; ');
}
