/** Metrics and their text, Prometheus' exposition format 0.0.4. Every metric forgets what has not been told of for a while. */
import { latencyBuckets, latencyClass } from '../protocol/time-series.ts';

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** ms: a gauge that nobody sets is no longer true; a counter may be back, and would begin again at 0. */
const FORGOTTEN = { gauge: 60_000, counter: 3_600_000, histogram: 3_600_000 } as const;

/** Names are those of the metric: `[a-zA-Z_][a-zA-Z0-9_]*`. */
export type Labels = Readonly<Record<string, string | number>>;

interface Family {
  /** Lines of this family. @param now ms */
  lines(now: number): string[];
}

interface Sample {
  value: number;
  seen: number;
}

/** `{peer="h2",path="main"}`, empty without labels. */
export function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(String(value))}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');

const head = (name: string, type: string, help: string): string[] =>
  [`# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`, `# TYPE ${name} ${type}`];

/** Sums of rates are whole but for the last bits. */
const rounded = (value: number): number => Math.round(value * 1e6) / 1e6;

export class Metric implements Family {
  readonly #name: string;
  readonly #type: 'counter' | 'gauge';
  readonly #help: string;
  readonly #samples = new Map<string, Sample>();

  constructor(type: 'counter' | 'gauge', name: string, help: string) {
    this.#type = type;
    this.#name = name;
    this.#help = help;
  }

  /** Of a counter: so much more. @param labels of `labelText` */
  add(labels: string, more: number, now: number): void {
    const sample = this.#samples.get(labels);
    if (!sample) this.#samples.set(labels, { value: more, seen: now });
    else {
      sample.value += more;
      sample.seen = now;
    }
  }

  set(labels: string, value: number, now: number): void {
    this.#samples.set(labels, { value, seen: now });
  }

  lines(now: number): string[] {
    forget(this.#samples, now - FORGOTTEN[this.#type]);
    if (this.#samples.size === 0) return [];
    const shown = this.#type === 'counter' ? rounded : (value: number): number => value;
    const samples = [...this.#samples].map(([labels, { value }]) => `${this.#name}${labels} ${shown(value)}`);
    return [...head(this.#name, this.#type, this.#help), ...samples];
  }
}

interface Observed {
  readonly labels: Labels;
  readonly counts: Float64Array;
  sum: number;
  seen: number;
}

/** Of latencies, in seconds, in smokeping_prober's buckets. */
export class LatencyHistogram implements Family {
  readonly #name: string;
  readonly #help: string;
  readonly #observed = new Map<string, Observed>();

  constructor(name: string, help: string) {
    this.#name = name;
    this.#help = help;
  }

  /** @param key of the labels @param latency ms */
  observe(key: string, labels: () => Labels, latency: number, now: number): void {
    let observed = this.#observed.get(key);
    if (!observed) {
      observed = { labels: labels(), counts: new Float64Array(latencyBuckets.length + 1), sum: 0, seen: now };
      this.#observed.set(key, observed);
    }
    const bucket = latencyClass(latency);
    observed.counts[bucket] = (observed.counts[bucket] ?? 0) + 1;
    observed.sum += latency / 1000;
    observed.seen = now;
  }

  lines(now: number): string[] {
    forget(this.#observed, now - FORGOTTEN.histogram);
    if (this.#observed.size === 0) return [];
    const samples = [...this.#observed.values()].flatMap(({ labels, counts, sum }) => {
      let total = 0;
      const buckets = [...counts].map((count, i) => {
        total += count;
        const upper = latencyBuckets[i];
        return `${this.#name}_bucket${labelText({ ...labels, le: upper === undefined ? '+Inf' : rounded(upper / 1000) })} ${total}`;
      });
      return [...buckets, `${this.#name}_sum${labelText(labels)} ${sum}`, `${this.#name}_count${labelText(labels)} ${total}`];
    });
    return [...head(this.#name, 'histogram', this.#help), ...samples];
  }
}

function forget(samples: Map<string, { readonly seen: number }>, before: number): void {
  for (const [key, { seen }] of samples) if (seen < before) samples.delete(key);
}
