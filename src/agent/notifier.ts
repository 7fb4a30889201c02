/**
 * Runs routers' notify hooks: one after the other for each router, so that the last word is the last run. Transitions that come while
 * one runs are told by the newest of them alone: a hook is for what is, and whoever needs each of them reads the events.
 */
import { formatError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import { seconds } from '../base/units.ts';
import type { RouterTransition } from '../model/virtual-router.ts';
import type { RunScript } from './script.ts';

const PATIENCE = seconds(30);

interface Hook {
  readonly script: string;
  readonly transition: RouterTransition;
}

export class Notifier {
  readonly #run: RunScript;
  readonly #log: Log;
  readonly #closing = new AbortController();
  /** By router: the end of what runs, and what is to run then. */
  readonly #running = new Map<string, { readonly done: Promise<void>; next?: Hook }>();

  constructor(run: RunScript, log: Log) {
    this.#run = run;
    this.#log = log;
  }

  /** Returns at once; what goes wrong is in the log. Arguments: ROUTER STATE PRIORITY RULE. */
  notify(script: string, transition: RouterTransition): void {
    const { router } = transition;
    const running = this.#running.get(router);
    if (running) running.next = { script, transition };
    else this.#running.set(router, { done: this.#runAll(router, { script, transition }) });
  }

  async #runAll(router: string, first: Hook): Promise<void> {
    for (let hook: Hook | undefined = first; hook && !this.#closing.signal.aborted; ) {
      await this.#runOne(hook);
      const running = this.#running.get(router);
      hook = running?.next;
      delete running?.next;
    }
    this.#running.delete(router);
  }

  async #runOne({ script, transition: { router, to, priority, rule } }: Hook): Promise<void> {
    try {
      await this.#run(script, [router, to, String(priority), rule], PATIENCE, this.#closing.signal);
    } catch (error) {
      if (!this.#closing.signal.aborted) this.#log.error({ router, to, script, error: formatError(error) }, 'A notify hook failed');
    }
  }

  /** What runs is killed. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }
}
