/**
 * Questions to the hosts' monitors: passed on over the agent's stream of what is wanted, since agents dial, and answered by a request of
 * its own. An order's id is its secret, and is good for one answer of that host's agent.
 */
import type { HistoryOrder } from '../api/agent-protocol.ts';
import type { NoHistory } from '../api/agent-client.ts';
import { ApiError } from '../api/api.ts';
import type { Clock } from '../base/clock.ts';
import { seconds } from '../base/units.ts';
import type { History, HistoryQuery } from '../model/history.ts';
import { MOST_POINTS } from '../api/monitor-schemas.ts';
import { historySilent, historyUnknown } from './errors.ts';
import type { Random } from './migrations.ts';

const PATIENCE = seconds(5);
/** Questions at a time. */
const MOST_OPEN = 256;
/** Of a monitor that answers, and has nothing. */
const ASKED_WRONG = new Set(['MONITOR_NO_SERIES', 'MONITOR_BAD_QUERY']);

interface Open {
  readonly query: HistoryQuery;
  readonly settle: (answer: History | NoHistory) => void;
}

type Told = (order: HistoryOrder) => unknown;

export class Histories {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #agents = new Map<string, Set<Told>>();
  readonly #open = new Map<string, Open>();
  readonly #ending = new AbortController();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** An agent hears of what is asked of its host, until what it returns is called. */
  listen(host: string, told: Told): () => void {
    const agents = this.#agents.get(host) ?? new Set<Told>();
    this.#agents.set(host, agents.add(told));
    return () => {
      agents.delete(told);
      if (agents.size === 0 && this.#agents.get(host) === agents) this.#agents.delete(host);
    };
  }

  /** Throws ApiError API_INVALID, CONTROL_HISTORY_UNKNOWN, CONTROL_HISTORY_SILENT. */
  async ask(query: HistoryQuery): Promise<History> {
    const { host, series, from, to, points } = query;
    if (!(from < to)) throw new ApiError(400, 'API_INVALID', `There is nothing between ${from} and ${to}: let \`from\` be before \`to\``);
    if (!Number.isInteger(points) || points < 1 || points > MOST_POINTS) throw new ApiError(400, 'API_INVALID',
      `${points} points are not to be had: ask for 1 to ${MOST_POINTS}`);
    const agents = this.#agents.get(host);
    if (!agents) throw historySilent(host, 'its agent has no connection to the server. See that it runs and reaches it');
    if (this.#open.size >= MOST_OPEN) throw historySilent(host, 'too many questions wait for an answer. Ask again in some seconds');
    const id = Buffer.from(this.#random(32)).toString('base64url');
    const { promise, resolve } = Promise.withResolvers<History | NoHistory | undefined>();
    const late = new AbortController();
    const stop = AbortSignal.any([late.signal, this.#ending.signal]);
    this.#open.set(id, { query, settle: resolve });
    try {
      for (const told of agents) told({ id, query });
      const answer = await Promise.race([promise, this.#clock.sleep(PATIENCE, stop).then(() => undefined)]);
      if (!answer) throw historySilent(host, `its agent did not answer in ${PATIENCE / 1000} s. See whether it and its monitor run`, 504);
      if ('data' in answer) return { ...query, kind: answer.kind, data: answer.data };
      throw ASKED_WRONG.has(answer.code) ? historyUnknown(host, series, answer.message) : historySilent(host, answer.message);
    } finally {
      late.abort();
      this.#open.delete(id);
    }
  }

  /** Throws ApiError CONTROL_NOT_FOUND: nobody waits for it, or it was another host that was asked. */
  answer(host: string, id: string, answer: History | NoHistory): void {
    const open = this.#open.get(id);
    if (!open || open.query.host !== host) throw new ApiError(404, 'CONTROL_NOT_FOUND', 'Nobody waits for this history any more');
    this.#open.delete(id);
    open.settle(answer);
  }

  /** Whoever waits is told that there is no answer. */
  close(): void {
    this.#ending.abort();
  }
}
