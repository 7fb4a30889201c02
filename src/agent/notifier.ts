/** Runs routers' notify hooks: one after the other for each router, in the order of its transitions, so that the last word is the last run. */
import { formatError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import { seconds } from '../base/units.ts';
import type { RouterTransition } from '../model/virtual-router.ts';
import type { RunScript } from './script.ts';

const PATIENCE = seconds(30);

export class Notifier {
  readonly #run: RunScript;
  readonly #log: Log;
  readonly #closing = new AbortController();
  /** By router: the end of the last hook that was asked for. */
  readonly #last = new Map<string, Promise<void>>();

  constructor(run: RunScript, log: Log) {
    this.#run = run;
    this.#log = log;
  }

  /** Returns at once; what goes wrong is in the log. Arguments: ROUTER STATE PRIORITY RULE. */
  notify(script: string, transition: RouterTransition): void {
    const { router } = transition;
    const own = this.#runAfter(this.#last.get(router), script, transition);
    this.#last.set(router, own);
    void this.#forget(router, own);
  }

  async #runAfter(before: Promise<void> | undefined, script: string, { router, to, priority, rule }: RouterTransition): Promise<void> {
    await before;
    if (this.#closing.signal.aborted) return;
    try {
      await this.#run(script, [router, to, String(priority), rule], PATIENCE, this.#closing.signal);
    } catch (error) {
      if (!this.#closing.signal.aborted) this.#log.error({ router, to, script, error: formatError(error) }, 'A notify hook failed');
    }
  }

  async #forget(router: string, own: Promise<void>): Promise<void> {
    await own;
    if (this.#last.get(router) === own) this.#last.delete(router);
  }

  /** What runs is killed. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#last.values());
  }
}
