/** What this host thinks of the others, by what BFD sessions between them hear: feeds the failure detector, and knows when there is news. */
import { type Milliseconds, ms } from '../base/units.ts';
import type { BfdSessionPlan } from '../model/bfd-session.ts';
import type { WatchPlan } from '../model/watch-plan.ts';
import { FailureDetector, type PeerOpinion, defaultDetectorPolicy } from '../protocol/failure-detector.ts';
import type { BfdPhase } from '../wire/bfd.ts';
import { type ReadSession, firstInterval } from './session-plan.ts';

type Watches = NonNullable<BfdSessionPlan['watches']>;

interface Watch extends Watches {
  interval: Milliseconds;
}

export class PathWatch {
  readonly #detector = new FailureDetector(defaultDetectorPolicy);
  /** By session. */
  #watched = new Map<string, Watch>();
  #turned = false;

  /** Instead of what was watched. Paths of which a session stays are as they were. */
  want(sessions: readonly ReadSession[], { falseAlarmsPerDay, floor, ceiling }: WatchPlan['detector'], now: Milliseconds): void {
    this.#detector.follow({ ...defaultDetectorPolicy, falseAlarmsPerDay, floor: ms(floor), ceiling: ms(ceiling) });
    const before = this.#watched;
    this.#watched = new Map();
    for (const session of sessions) {
      const { name, watches, disabled } = session.plan;
      if (!watches || disabled !== undefined) continue;
      const known = before.get(name);
      const same = known?.host === watches.host && known.path === watches.path ? known : undefined;
      const watch = same ?? { ...watches, interval: firstInterval(session) };
      this.#watched.set(name, watch);
      if (!same) this.#detector.watch(watch.host, watch.path, watch.interval, now);
    }
    const kept = new Set([...this.#watched.values()].map(keyOf));
    for (const watch of before.values()) if (!kept.has(keyOf(watch))) this.#detector.forget(watch.host, watch.path);
  }

  /** See TakenListener. */
  heard(session: string, at: Milliseconds, remote: BfdPhase, interval: Milliseconds): void {
    const watch = this.#watched.get(session);
    if (!watch) return;
    const { host, path } = watch;
    // Who says AdminDown says nothing of what it hears.
    const there = remote === 'admin-down' ? undefined : remote !== 'down';
    if (this.#detector.heard(host, path, at, there)) this.#turned = true;
    if (watch.interval === interval) return;
    // After the gap that ends here, which was still by the former one.
    watch.interval = interval;
    this.#detector.watch(host, path, interval, at);
  }

  /** It has sent something there. */
  probed(session: string): void {
    const watch = this.#watched.get(session);
    if (watch) this.#detector.probed(watch.host, watch.path, 1);
  }

  /** See FailureDetector.late. */
  late(late: Milliseconds, now: Milliseconds): void {
    if (this.#watched.size > 0) this.#detector.late(late, now);
  }

  /** All sockets are drained. */
  expire(now: Milliseconds): void {
    if (this.#detector.expire(now).length > 0) this.#turned = true;
  }

  deadline(): number {
    return this.#watched.size === 0 ? Infinity : this.#detector.deadline() ?? Infinity;
  }

  /** Whether a path has turned since the last call. */
  takeTurned(): boolean {
    const turned = this.#turned;
    this.#turned = false;
    return turned;
  }

  opinions(now: Milliseconds): PeerOpinion[] {
    return this.#detector.peers().flatMap((peer) => {
      const opinion = this.#detector.opinion(peer, now);
      return opinion ? [opinion] : [];
    });
  }
}

const keyOf = ({ host, path }: Watches): string => JSON.stringify([host, path]);
