/**
 * Webhooks (`webhooks` of the policy): events that carry an alert, a verdict or an action are POSTed to each as they are, as JSON. Nothing
 * waits for them. What a server had still to tell when it ended is not told by the next: the events themselves are in the store.
 */
import type { Clock } from '../base/clock.ts';
import { formatError } from '../base/error.ts';
import type { EventSpec } from '../model/event.ts';
import type { Cluster } from './cluster.ts';
import { record } from './events.ts';
import { policyOf } from './lookup.ts';
import { resource } from './resources.ts';
import { type Post, WebhookLine, type WebhookNews } from './webhook-line.ts';

interface WebhookLog {
  warn(fields: object, text: string): void;
}

export interface WebhookOptions {
  readonly clock: Clock;
  readonly log?: WebhookLog;
  readonly post?: Post;
}

export class Webhooks {
  readonly #cluster: Cluster;
  readonly #options: WebhookOptions;
  readonly #lines = new Map<string, WebhookLine>();
  readonly #ending: Promise<void>[] = [];
  readonly #stop = new AbortController();
  readonly #watching: Promise<void>;
  /** The newest event that has been looked at: those of before this server are not told again. */
  #last: string;

  constructor(cluster: Cluster, options: WebhookOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.#last = cluster.rows('events').at(-1)?.name ?? '';
    this.#watching = this.#watch();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#watching;
    await Promise.all([...this.#ending, ...[...this.#lines.values()].map((line) => line.close())]);
  }

  async #watch(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const { revision } = this.#cluster;
      this.#keepLines(policyOf(this.#cluster)?.webhooks ?? []);
      this.#look();
      await this.#cluster.changedSince(revision, this.#stop.signal);
    }
  }

  #look(): void {
    const rows = this.#cluster.rows('events');
    const first = rows.findLastIndex(({ name }) => name <= this.#last) + 1;
    this.#last = rows.at(-1)?.name ?? this.#last;
    if (this.#lines.size === 0) return;
    for (const row of rows.slice(first)) {
      if (!isTold(row.record.spec)) continue;
      const body = JSON.stringify(resource('Event', row));
      for (const line of this.#lines.values()) line.send(body);
    }
  }

  #keepLines(urls: readonly string[]): void {
    for (const [url, line] of this.#lines) {
      if (urls.includes(url)) continue;
      this.#lines.delete(url);
      this.#ending.push(line.close());
    }
    for (const url of urls) {
      if (this.#lines.has(url)) continue;
      const { clock, post = postJson } = this.#options;
      this.#lines.set(url, new WebhookLine(url, { clock, post, onNews: (news) => void this.#say(url, news) }));
    }
  }

  async #say(url: string, news: WebhookNews): Promise<void> {
    const { log, clock } = this.#options;
    const event = wordsOf(originOf(url), news);
    if (news.kind !== 'works') log?.warn({ webhook: originOf(url) }, event.message);
    try {
      await this.#cluster.change((draft) => record(draft, { at: clock.now(), about: { kind: 'Policy', name: 'default' }, ...event }));
    } catch (error) {
      log?.warn({ error: formatError(error) }, 'That a webhook changed could not be written down');
    }
  }
}

const isTold = ({ evidence }: EventSpec): boolean =>
  evidence !== undefined && 'kind' in evidence && (evidence.kind === 'alert' || evidence.kind === 'verdict' || evidence.kind === 'action');

function wordsOf(origin: string, news: WebhookNews): Pick<EventSpec, 'severity' | 'reason' | 'message'> {
  const what = `The webhook at ${origin}`;
  switch (news.kind) {
    case 'fails': return { severity: 'warning', reason: 'WebhookFails', message: `${what} is not told what happens: ${news.why}` };
    case 'drops': return { severity: 'warning', reason: 'WebhookDrops', message: `${what} does not get all: what could not be delivered in time is dropped, the oldest first` };
    case 'works': return { severity: 'info', reason: 'WebhookWorks', message: `${what} is told again${news.dropped === 0 ? '' : `; ${news.dropped} ${news.dropped === 1 ? 'event was' : 'events were'} dropped meanwhile`}` };
  }
}

/** The rest of a URL may hold a secret. */
function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : 'an address that is none';
}

async function postJson(url: string, body: string, signal: AbortSignal): Promise<number> {
  const response = await fetch(url, { method: 'POST', redirect: 'manual', headers: { 'content-type': 'application/json', 'user-agent': 'godwit' }, body, signal });
  await response.body?.cancel();
  return response.status;
}
