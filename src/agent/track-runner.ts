/**
 * Looks at what routers hang on and a pulse does not look at itself: processes and scripts. Whoever is real-time does not fork.
 * Interfaces and routes are the pulse's own to see.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { formatError } from '../base/error.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { type Milliseconds, ms } from '../base/units.ts';
import type { RouterPlan, Track } from '../model/virtual-router.ts';
import { trackKey } from '../protocol/vrrp-host.ts';
import type { Tracks } from './router-keeper.ts';
import type { RunScript } from './script.ts';

/** A process that was found is looked at this often; one that was not is looked for this often. */
const LOOK = ms(250);
const SEARCH = ms(1000);

export interface TrackParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly run: RunScript;
  readonly processes: Processes;
  /** Something is known now that was not, or is otherwise. */
  readonly changed: () => void;
}

/** /proc, as far as trackers need it. */
export interface Processes {
  /** A process of that comm; undefined when there is none. */
  find(comm: string): number | undefined;
  is(pid: number, comm: string): boolean;
}

export const procProcesses: Processes = {
  find: (comm) => readdirSync('/proc').map(Number).find((pid) => Number.isInteger(pid) && runs(pid, comm)),
  is: runs,
};

/** One that has ended and whose parent has not noticed is there all the same (proc_pid_stat(5)). */
function runs(pid: number, comm: string): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field, the name in parentheses, may contain anything; the state is the field after it.
    const end = stat.lastIndexOf(')');
    return stat.slice(stat.indexOf('(') + 1, end) === comm && !'ZX'.includes(stat.charAt(end + 2));
  } catch {
    return false;
  }
}

type Looked = Extract<Track, { readonly kind: 'process' | 'script' }>;
const isLooked = (track: Track): track is Looked => track.kind === 'process' || track.kind === 'script';

/** How it is looked at; what it weighs is no matter. */
const looks = (track: Looked): string => JSON.stringify({ ...track, weight: undefined });

export class TrackRunner implements Tracks {
  readonly #parts: TrackParts;
  /** By key: what ends its looking. */
  readonly #running = new Map<string, { readonly text: string; readonly stop: AbortController; readonly done: Promise<void> }>();
  readonly #up = new Map<string, boolean>();

  constructor(parts: TrackParts) {
    this.#parts = parts;
  }

  /** What these hang on, and no more. One that is looked at in the same way already goes on being so. */
  want(plans: readonly RouterPlan[]): void {
    const wanted = new Map(plans.flatMap(({ track }) => track.filter(isLooked)).map((track) => [trackKey(track), track]));
    for (const [key, { text, stop }] of this.#running) {
      const track = wanted.get(key);
      if (track && looks(track) === text) continue;
      stop.abort();
      this.#running.delete(key);
      // Looked at otherwise from now on, it is as it was found until then.
      if (!track) this.#up.delete(key);
    }
    for (const [key, track] of wanted) {
      if (this.#running.has(key)) continue;
      const stop = new AbortController();
      const done = track.kind === 'process' ? this.#watchProcess(key, track.process, stop.signal) : this.#watchScript(key, track, stop.signal);
      this.#running.set(key, { text: looks(track), stop, done });
    }
  }

  known(): Readonly<Record<string, boolean>> {
    return Object.fromEntries(this.#up);
  }

  async close(): Promise<void> {
    const running = [...this.#running.values()];
    this.#running.clear();
    for (const { stop } of running) stop.abort();
    await Promise.all(running.map(({ done }) => done));
  }

  async #watchProcess(key: string, comm: string, signal: AbortSignal): Promise<void> {
    const { clock, processes } = this.#parts;
    let pid: number | undefined;
    while (!signal.aborted) {
      if (pid === undefined || !processes.is(pid, comm)) pid = processes.find(comm);
      this.#know(key, pid !== undefined, `No process ${comm} runs`);
      await clock.sleep(pid === undefined ? SEARCH : LOOK, signal);
    }
  }

  async #watchScript(key: string, { script, interval, timeout, rise, fall }: Extract<Track, { kind: 'script' }>, signal: AbortSignal): Promise<void> {
    const { clock, run } = this.#parts;
    let [row, last] = [0, false];
    while (!signal.aborted) {
      const began = clock.monotonic();
      let [good, words] = [true, ''];
      try {
        await run(script, [], ms(timeout), signal);
      } catch (error) {
        [good, words] = [false, formatError(error)];
      }
      if (signal.aborted) return;
      row = good === last ? row + 1 : 1;
      last = good;
      // The first word counts at once: until then nothing is known.
      if (!this.#up.has(key) || row >= (good ? rise : fall)) this.#know(key, good, words);
      const left: Milliseconds = ms(interval - (clock.monotonic() - began));
      await clock.sleep(left > 0 ? left : ms(0), signal);
    }
  }

  #know(key: string, up: boolean, why: string): void {
    if (this.#up.get(key) === up) return;
    const first = !this.#up.has(key);
    this.#up.set(key, up);
    if (!up) this.#parts.log.warn({ track: key, why }, 'What a virtual router tracks is down');
    else if (!first) this.#parts.log.info({ track: key }, 'What a virtual router tracks is up again');
    this.#parts.changed();
  }
}
