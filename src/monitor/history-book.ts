/**
 * The history of one host: series in memory, each with a file of fixed size that is written behind. Sized up front: memory and files
 * together never take more than the budget each. When another series would not fit,
 * 1. those that have been silent for an hour make room, the one silent longest first;
 * 2. all are laid out at the next grade, with fewer seconds (history-layout.ts);
 * 3. at the worst grade the new one is not kept, and that is told.
 *
 * At a start everything is laid out at the best grade at which it fits.
 */
import { GodwitError, formatError } from '../base/error.ts';
import type { History, HistoryQuery } from '../model/history.ts';
import { HistoryQueryInvalid, NoSuchSeries } from './errors-keeping.ts';
import type { HistoryDisk } from './history-disk.ts';
import { WORST_GRADE, layoutsOfSeries } from './history-layout.ts';
import { KeptSeries } from './history-series.ts';

const EXTENSION = '.series';
/** All in ms. Written so long after it was measured, at the latest. */
const WRITE_BEHIND = 60_000;
const SILENT = 3_600_000;
/** A series so far ahead of the clock began under a wrong one, and would take nothing until the clock is there. */
const AHEAD = 3_600_000;
/** Before a series that had no room is tried again; how long something is told that happened once. */
const AGAIN = 60_000;
const TOLD = 600_000;
const MOST_POINTS = 2000;
const MOST_NOTES = 10;

/** At 200 MB: 32 hosts with 2 paths and 51 links and NICs at full length (history-layout.ts). */
export const DEFAULT_BUDGET = 200e6;

export class HistoryBook {
  readonly #disk: HistoryDisk;
  readonly #budget: number;
  readonly #series = new Map<string, KeptSeries>();
  #bytes = 0;
  #grade = 0;
  /** Names that had no room, tried again after a while. */
  readonly #refused = new Set<string>();
  #refusedAt = -Infinity;
  readonly #notes: { readonly at: number; readonly text: string }[] = [];
  #removals: string[] = [];
  #removalFailed: string | undefined;
  #writing: Promise<void> | undefined;

  private constructor(disk: HistoryDisk, budget: number) {
    this.#disk = disk;
    this.#budget = budget;
  }

  /** Reads what there is; a file that is no series is set aside. @param now ms since the epoch @throws of the disk */
  static async open(disk: HistoryDisk, now: number, budget = DEFAULT_BUDGET): Promise<HistoryBook> {
    const book = new HistoryBook(disk, budget);
    for (const { name, size } of await disk.list()) await book.#load(name, size, now);
    const found = [...book.#series.values()].toSorted((a, b) => b.latest - a.latest);
    const sizeAt = (grade: number): number => found.reduce((sum, { layouts }) => sum + (layouts[grade]?.bytes ?? 0), 0);
    while (book.#grade < WORST_GRADE && sizeAt(book.#grade) > budget) book.#grade++;
    book.#layOut();
    for (const series of found.toReversed()) if (book.#bytes > budget) book.#remove(series);
    return book;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#series.size;
  }

  gauge(name: string, at: number, value: number): void {
    this.#open(name, at)?.add(at, value, 1);
  }

  /** `part` of `whole`, whole numbers. */
  ratio(name: string, at: number, part: number, whole: number): void {
    this.#open(name, at)?.add(at, part, whole);
  }

  /** @throws HistoryQueryInvalid, NoSuchSeries */
  query(query: HistoryQuery): History {
    const { series: name, from, to, points } = query;
    if (!(Number.isInteger(points) && points >= 1 && points <= MOST_POINTS)) {
      throw new HistoryQueryInvalid(`points is ${points}, and has to be 1 to ${MOST_POINTS}`);
    }
    if (!(Number.isFinite(from) && Number.isFinite(to) && from >= 0 && from < to)) {
      throw new HistoryQueryInvalid(`from ${from} to ${to}: both are ms since 1970, and from comes first`);
    }
    const series = this.#series.get(name);
    if (!series) throw new NoSuchSeries(name, layoutsOfSeries(name) !== undefined, this.#like(name));
    return { ...query, kind: series.kind, data: series.read(query) };
  }

  /** To be called now and then, once a second, say: begins to write what is due, a tenth of all at once. Never waits. */
  tick(now: number): void {
    while ((this.#notes[0]?.at ?? now) < now - TOLD) this.#notes.shift();
    if (this.#writing) return;
    const due = [...this.#series.values()].filter((series) => series.isUnwritten && Math.abs(now - series.tried) >= WRITE_BEHIND);
    if (due.length === 0 && this.#removals.length === 0) return;
    this.#writing = this.#write(due.slice(0, Math.ceil(this.#series.size / 10)), now).finally(() => {
      this.#writing = undefined;
    });
  }

  /** In words, what is wrong now. */
  get troubles(): string[] {
    const troubles = this.#notes.map(({ text }) => text);
    const [failed] = [...this.#series.values()].flatMap((series) => series.failed ?? []);
    const { where } = this.#disk;
    // No numbers: as long as it is the same trouble, it is told in the same words.
    if (failed !== undefined) {
      troubles.push(`history: it cannot be written to ${where} (${failed}): see that there is space; until then it is in memory alone`);
    }
    if (this.#removalFailed !== undefined) troubles.push(`history: what went cannot be removed from ${where}: ${this.#removalFailed}`);
    const megabytes = Math.round(this.#budget / 1e6);
    if (this.#refused.size > 0) troubles.push(`history: ${this.#refused.size} series have no room in ${megabytes} MB and are not kept`);
    return troubles;
  }

  /** Writes what is not yet written, as far as the disk takes it. */
  async close(now: number): Promise<void> {
    await this.#writing;
    await this.#write([...this.#series.values()].filter((series) => series.isUnwritten), now);
  }

  /** Names of the same kind of thing. */
  #like(name: string): string[] {
    const kind = `${name.split('/')[0]}/`;
    return [...this.#series.keys()].filter((other) => other.startsWith(kind));
  }

  #open(name: string, at: number): KeptSeries | undefined {
    const series = this.#series.get(name) ?? this.#begin(name, at);
    if (series && series.latest > at + AHEAD) {
      this.#note(at, `history: ${name} was ahead of the clock and begins anew`);
      series.clear();
    }
    return series;
  }

  #begin(name: string, at: number): KeptSeries | undefined {
    if (Math.abs(at - this.#refusedAt) > AGAIN) this.#refused.clear();
    if (this.#refused.has(name)) return undefined;
    const layouts = layoutsOfSeries(name);
    if (!layouts || !this.#makeRoom(() => layouts[this.#grade]?.bytes ?? Infinity, at)) {
      if (layouts) this.#refuse(name, at);
      return undefined;
    }
    const layout = layouts[this.#grade];
    if (!layout) return undefined;
    const series = new KeptSeries(name, layouts, layout);
    this.#series.set(name, series);
    this.#bytes += layout.bytes;
    return series;
  }

  #refuse(name: string, at: number): void {
    if (this.#refused.size === 0) this.#refusedAt = at;
    this.#refused.add(name);
  }

  #makeRoom(bytes: () => number, now: number): boolean {
    while (this.#bytes + bytes() > this.#budget) {
      const oldest = [...this.#series.values()].reduce<KeptSeries | undefined>((a, b) => (a && a.latest <= b.latest ? a : b), undefined);
      if (oldest && now - oldest.latest >= SILENT) this.#remove(oldest);
      else if (oldest && this.#grade < WORST_GRADE) {
        this.#grade++;
        this.#layOut();
      } else return false;
    }
    return true;
  }

  #layOut(): void {
    for (const series of this.#series.values()) {
      const layout = series.layouts[this.#grade];
      if (layout && layout.bytes !== series.bytes) series.layOut(layout);
    }
    this.#bytes = [...this.#series.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #remove(series: KeptSeries): void {
    this.#series.delete(series.name);
    this.#bytes -= series.bytes;
    this.#removals.push(fileOf(series.name));
  }

  async #load(file: string, size: number, now: number): Promise<void> {
    try {
      const name = seriesOf(file);
      const layouts = name === undefined ? undefined : layoutsOfSeries(name);
      const layout = layouts?.find(({ bytes }) => bytes === size);
      if (name === undefined || !layouts || !layout) throw new NotOurs('no series has such a name, or such a size');
      this.#series.set(name, new KeptSeries(name, layouts, layout, await this.#disk.read(file)));
    } catch (error) {
      this.#note(now, `history: ${this.#disk.where}/${file} is set aside: ${formatError(error)}`);
      await this.#disk.setAside(file);
    }
  }

  /** Never rejects. */
  async #write(due: readonly KeptSeries[], now: number): Promise<void> {
    await this.#removeFiles();
    for (const series of due) {
      // It may have made room meanwhile.
      if (this.#series.get(series.name) !== series) continue;
      series.tried = now;
      const unwritten = series.take();
      if (!unwritten) continue;
      try {
        const file = fileOf(series.name);
        await ('whole' in unwritten ? this.#disk.create(file, unwritten.whole) : this.#disk.write(file, unwritten.pieces));
        series.failed = undefined;
      } catch (error) {
        series.failed = reasonOf(error);
        series.giveBack();
      }
    }
    await this.#removeFiles();
  }

  async #removeFiles(): Promise<void> {
    const removals = this.#removals.splice(0);
    this.#removalFailed = undefined;
    for (const file of removals) {
      // Begun anew meanwhile: its file will be, too.
      if (this.#series.has(seriesOf(file) ?? '')) continue;
      try {
        await this.#disk.remove(file);
      } catch (error) {
        this.#removalFailed = reasonOf(error);
        this.#removals.push(file);
      }
    }
  }

  #note(at: number, text: string): void {
    if (this.#notes.length < MOST_NOTES) this.#notes.push({ at, text });
  }
}

/** Without the call and the file, which differ: `ENOSPC: no space left on device`. */
const reasonOf = (error: unknown): string => (error instanceof Error ? error.message.split(',')[0] : undefined) ?? String(error);

class NotOurs extends GodwitError {
  constructor(message: string) {
    super('MONITOR_HISTORY_FILE', message);
  }
}

const fileOf = (name: string): string => encodeURIComponent(name) + EXTENSION;

/** Undefined for what is no name that `fileOf` makes. */
function seriesOf(file: string): string | undefined {
  try {
    const name = decodeURIComponent(file.slice(0, -EXTENSION.length));
    return fileOf(name) === file ? name : undefined;
  } catch {
    return undefined;
  }
}
