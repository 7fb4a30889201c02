/** One series of the history: its samples, and what of it is not on the disk yet. */
import { ms } from '../base/units.ts';
import type { HistoryPoint, HistoryQuery } from '../model/history.ts';
import { GaugeSeries, RatioSeries } from '../protocol/time-series.ts';
import type { Piece } from './history-disk.ts';
import type { Layout } from './history-layout.ts';

/** What is to be written: all of the file, or parts of it. */
export type Unwritten = { readonly whole: Uint8Array } | { readonly pieces: readonly Piece[] };

export class KeptSeries {
  readonly name: string;
  readonly layouts: readonly Layout[];
  #series: GaugeSeries | RatioSeries;
  #bytes: number;
  /** ms since the epoch: of the newest sample, and of those that are not written. */
  #latest: number;
  #unwritten: { readonly from: number; readonly to: number } | undefined;
  #whole: boolean;
  /** ms since the epoch: when writing was last tried. */
  tried = -Infinity;
  /** Why it could not be written. */
  failed: string | undefined;

  /** @param buffer of its file @throws SeriesError when that is of another layout */
  constructor(name: string, layouts: readonly Layout[], layout: Layout, buffer?: ArrayBuffer) {
    this.name = name;
    this.layouts = layouts;
    this.#series = seriesOf(layout, buffer);
    this.#bytes = layout.bytes;
    this.#latest = this.#series.newest ?? -Infinity;
    this.#whole = buffer === undefined;
  }

  get kind(): 'gauge' | 'ratio' {
    return this.#series instanceof GaugeSeries ? 'gauge' : 'ratio';
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** ms since the epoch; -Infinity: there is nothing in it. */
  get latest(): number {
    return this.#latest;
  }

  /** A gauge's value, or `value` of `whole`. */
  add(at: number, value: number, whole: number): void {
    if (this.#series instanceof GaugeSeries) this.#series.add(ms(at), value);
    else this.#series.add(ms(at), value, whole);
    // From the sample before on: the slots of a pause between are emptied now.
    const from = Math.min(at, this.#unwritten?.from ?? (this.#latest === -Infinity ? at : this.#latest));
    this.#unwritten = { from, to: Math.max(at, this.#unwritten?.to ?? at) };
    this.#latest = Math.max(at, this.#latest);
  }

  read({ from, to, points }: HistoryQuery): HistoryPoint[] {
    if (this.#series instanceof GaugeSeries) {
      return this.#series.read(ms(from), ms(to), points).map(({ at, span, count, mean, min, max }) =>
        (count > 0 ? { at, span, count, value: mean, min, max } : { at, span, count, value: null, min: null, max: null }));
    }
    return this.#series.read(ms(from), ms(to), points)
      .map(({ at, span, part, whole }) => ({ at, span, count: whole, value: whole > 0 ? part / whole : null, min: null, max: null }));
  }

  /** Goes on in rings of other lengths, with what fits of what it has. */
  layOut(layout: Layout): void {
    const next = seriesOf(layout);
    if (this.#series instanceof GaugeSeries && next instanceof GaugeSeries) next.takeOver(this.#series);
    else if (this.#series instanceof RatioSeries && next instanceof RatioSeries) next.takeOver(this.#series);
    this.#series = next;
    this.#bytes = layout.bytes;
    this.#whole = true;
  }

  /** Forgets everything. */
  clear(): void {
    const layout = this.layouts.find(({ bytes }) => bytes === this.#bytes);
    if (!layout) return;
    this.#series = seriesOf(layout);
    this.#latest = -Infinity;
    this.#unwritten = undefined;
    this.#whole = true;
  }

  get isUnwritten(): boolean {
    return this.#whole || this.#unwritten !== undefined;
  }

  /**
   * What is to be written now, and counts as written from here on. The columns are written as they are when the disk takes them; the
   * head is as it is now, and goes last: it never speaks of slots that are not there. After a crash the slots of at most one writing are
   * newer than their time.
   */
  take(): Unwritten | undefined {
    const [whole, unwritten] = [this.#whole, this.#unwritten];
    if (!whole && !unwritten) return undefined;
    this.#whole = false;
    this.#unwritten = undefined;
    if (whole || !unwritten) return { whole: new Uint8Array(this.#series.buffer) };
    const columns = this.#series.touched(ms(unwritten.from), ms(unwritten.to)).map((bytes) => ({ at: bytes.byteOffset, bytes }));
    return { pieces: [...columns, { at: 0, bytes: this.#series.head.slice() }] };
  }

  /** It could not be written: all of it is to be written again. */
  giveBack(): void {
    this.#whole = true;
  }
}

function seriesOf({ kind, rings }: Layout, buffer?: ArrayBuffer): GaugeSeries | RatioSeries {
  return kind === 'gauge' ? new GaugeSeries(rings, buffer) : new RatioSeries(rings, buffer);
}
