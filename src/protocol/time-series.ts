/**
 * Figures over time in memory of a fixed size: rings of slots, fine ones for hours, coarse ones for weeks. A sample is put into its slot
 * of every ring at once, so nothing is ever computed later, and a ring's slots say the same whichever way the samples came.
 *
 * A `gauge` keeps the smallest, the mean, the largest and the number of its samples, and in coarse rings how many there were of each class
 * (smokeping_prober's buckets: 50 µs × 2^n, 20 of them, and what is above). A `ratio` keeps how many of how many: lost of sent.
 *
 * All of a series is one ArrayBuffer, so that a driver can write it to a file and map it again: 32 bytes of header (magic, format,
 * a digest of the layout), per ring the number of its newest slot (Float64), then the columns. Byte order is the machine's.
 *
 * Sizes: a day of seconds, 3 days of minutes and 8 weeks of hours of 32 hosts × 2 paths, each with RTT and loss in either direction:
 * `seriesBytes` says 165 MB.
 */
import { GodwitError } from '../base/error.ts';
import { fnv1a } from '../base/fnv-1a.ts';
import { type Milliseconds, ms, seconds } from '../base/units.ts';

/** From fine to coarse. */
export interface Ring {
  /** Of a slot, ms. */
  readonly step: Milliseconds;
  readonly slots: number;
  /** Fine rings count to 65535 per slot, and no classes: 14 bytes of a gauge, 4 of a ratio. Others 104 and 8. */
  readonly fine: boolean;
}

export type SeriesKind = 'gauge' | 'ratio';

export const defaultRings: readonly Ring[] = [
  { step: seconds(1), slots: 86_400, fine: true },
  { step: seconds(60), slots: 3 * 1440, fine: false },
  { step: seconds(3600), slots: 8 * 7 * 24, fine: false },
];

/** Upper ends in ms; the last class is what is above them. */
export const latencyBuckets: readonly number[] = Array.from({ length: 20 }, (_, n) => 0.05 * 2 ** n);
const CLASSES = latencyBuckets.length + 1;

export interface GaugePoint {
  /** When the point begins, and how long it is. */
  readonly at: Milliseconds;
  readonly span: Milliseconds;
  /** 0: nothing was measured, and the others are NaN. */
  readonly count: number;
  readonly min: number;
  readonly mean: number;
  readonly max: number;
  /** By class; empty from a fine ring. */
  readonly classes: readonly number[];
}

export interface RatioPoint {
  readonly at: Milliseconds;
  readonly span: Milliseconds;
  readonly part: number;
  readonly whole: number;
}

/** Code `PROTOCOL_SERIES`: bytes that are not of a series of this layout. */
export class SeriesError extends GodwitError {
  constructor(message: string) {
    super('PROTOCOL_SERIES', message);
  }
}

const MAGIC = 0x47_57_54_53;
const FORMAT = 1;
const HEADER = 32;
const FINE_MOST = 0xffff;
/** Slots that a query reads at most. */
const READ_MOST = 16_384;

type Counts = Uint16Array | Uint32Array;

/** Columns of one ring. */
interface Columns {
  readonly ring: Ring;
  readonly index: number;
  readonly whole: Counts;
  readonly part: Counts | undefined;
  readonly min: Float32Array;
  readonly max: Float32Array;
  readonly mean: Float32Array | Float64Array;
  readonly classes: Uint32Array | undefined;
}

interface Range {
  readonly first: number;
  readonly last: number;
  readonly per: number;
}

/** Of one series, exact. */
export function seriesBytes(kind: SeriesKind, rings: readonly Ring[]): number {
  return rings.reduce((sum, ring) => sum + ringBytes(kind, ring), HEADER + rings.length * 8);
}

function ringBytes(kind: SeriesKind, { slots, fine }: Ring): number {
  const bytes = kind === 'ratio' ? (fine ? 4 : 8) : fine ? 14 : 4 + 8 + 8 + CLASSES * 4;
  return Math.ceil(slots * bytes / 8) * 8;
}

/** The storage of one series. */
class Store {
  readonly buffer: ArrayBuffer;
  /** The number of the newest slot of each ring since 1970, -1: none. */
  readonly newest: Float64Array;
  readonly columns: readonly Columns[];

  constructor(kind: SeriesKind, rings: readonly Ring[], buffer: ArrayBuffer | undefined) {
    const size = seriesBytes(kind, rings);
    const layout = layoutDigest(kind, rings);
    this.buffer = buffer ?? new ArrayBuffer(size);
    const found = this.buffer.byteLength;
    if (found !== size) throw new SeriesError(`A series of ${found} bytes where ${size} are needed. Begin a new one.`);
    const header = new Uint32Array(this.buffer, 0, HEADER / 4);
    this.newest = new Float64Array(this.buffer, HEADER, rings.length);
    if (!buffer) {
      header.set([MAGIC, FORMAT, layout]);
      this.newest.fill(-1);
    } else if (header[0] !== MAGIC || header[1] !== FORMAT || header[2] !== layout) {
      throw new SeriesError('These bytes are no series of this layout, or another machine\'s. Begin a new one.');
    }
    let at = HEADER + rings.length * 8;
    this.columns = rings.map((ring, index) => {
      const begin = at;
      at += ringBytes(kind, ring);
      return columnsOf(kind, ring, index, this.buffer, begin);
    });
  }

  /** The slot of a ring that `at` belongs to, made ready; undefined: too long ago. */
  slot({ ring, index, whole, part, classes }: Columns, at: Milliseconds): number | undefined {
    const number = Math.floor(at / ring.step);
    const newest = this.newest[index] ?? -1;
    if (number < 0 || number <= newest - ring.slots) return undefined;
    if (number > newest) {
      for (let n = Math.max(newest + 1, number - ring.slots + 1); n <= number; n++) {
        const slot = n % ring.slots;
        whole[slot] = 0;
        if (part) part[slot] = 0;
        classes?.fill(0, slot * CLASSES, (slot + 1) * CLASSES);
      }
      this.newest[index] = number;
    }
    return number % ring.slots;
  }

  /** Of the rings that reach back to `from` in READ_MOST slots: the coarsest that is no coarser than `wanted`, or else the finest. */
  choose(from: Milliseconds, to: Milliseconds, wanted: Milliseconds): Columns {
    const [finest] = this.columns;
    if (!finest) throw new SeriesError('A series without rings. Give one at least.');
    const newest = ((this.newest[finest.index] ?? -1) + 1) * finest.ring.step;
    const reaching = this.columns.filter(({ ring }) => from >= newest - ring.step * ring.slots && (to - from) / ring.step <= READ_MOST);
    return reaching.findLast(({ ring }) => ring.step <= wanted) ?? reaching[0] ?? this.columns.at(-1) ?? finest;
  }

  /** The numbers of the slots that a query reads, cut to those that there are and to READ_MOST; `per` of them make a point. */
  range({ ring, index }: Columns, from: Milliseconds, to: Milliseconds, points: number): Range {
    const newest = this.newest[index] ?? -1;
    const last = Math.min(Math.ceil(to / ring.step) - 1, newest);
    const first = Math.max(Math.floor(from / ring.step), newest - ring.slots + 1, last - READ_MOST + 1, 0);
    return { first, last, per: Math.max(1, Math.ceil((last - first + 1) / Math.max(1, points))) };
  }
}

function columnsOf(kind: SeriesKind, ring: Ring, index: number, buffer: ArrayBuffer, begin: number): Columns {
  const { slots, fine } = ring;
  // Widest first, so that each begins at a multiple of its width.
  let at = begin;
  const take = (width: number, count = slots): number => {
    const here = at;
    at += width * count;
    return here;
  };
  const counts = (): Counts => (fine ? new Uint16Array(buffer, take(2), slots) : new Uint32Array(buffer, take(4), slots));
  const none = new Float32Array(0);
  if (kind === 'ratio') return { ring, index, whole: counts(), part: counts(), min: none, max: none, mean: none, classes: undefined };
  const mean = fine ? new Float32Array(buffer, take(4), slots) : new Float64Array(buffer, take(8), slots);
  const [min, max] = [new Float32Array(buffer, take(4), slots), new Float32Array(buffer, take(4), slots)];
  const classes = fine ? undefined : new Uint32Array(buffer, take(4, slots * CLASSES), slots * CLASSES);
  return { ring, index, whole: counts(), part: undefined, min, max, mean, classes };
}

/** Of the layout, so that a file of another one is not mistaken for it. */
function layoutDigest(kind: SeriesKind, rings: readonly Ring[]): number {
  return fnv1a(`${kind} ${rings.map(({ step, slots, fine }) => `${step}/${slots}/${fine}`).join(' ')}`);
}

/** The class of a latency in ms. */
export function latencyClass(latency: number): number {
  const found = latencyBuckets.findIndex((upper) => latency <= upper);
  return found < 0 ? CLASSES - 1 : found;
}

/** What all series have: their bytes. */
class Series {
  protected readonly store: Store;

  constructor(store: Store) {
    this.store = store;
  }

  get buffer(): ArrayBuffer {
    return this.store.buffer;
  }

  /** Where the newest slot of the finest ring begins; undefined: nothing was ever put in. */
  get newest(): Milliseconds | undefined {
    const [number = -1, step = 0] = [this.store.newest[0], this.store.columns[0]?.ring.step];
    return number < 0 ? undefined : ms(number * step);
  }

  /** The bytes before the columns, which say how much of these is to be believed: who writes both to a disk writes these last. */
  get head(): Uint8Array {
    return new Uint8Array(this.store.buffer, 0, HEADER + this.store.newest.byteLength);
  }

  /** The bytes of the columns in which samples from `from` up to `to`, both in, are. Views, in order. */
  touched(from: Milliseconds, to: Milliseconds): Uint8Array[] {
    return this.store.columns.flatMap(({ ring, whole, part, min, max, mean, classes }) => {
      const runs = runsOf(Math.floor(from / ring.step), Math.floor(to / ring.step), ring.slots);
      return [mean, min, max, whole, part, classes].flatMap((column) => {
        if (!column || column.length === 0) return [];
        const width = column.byteLength / ring.slots;
        return runs.map(([slot, slots]) => new Uint8Array(column.buffer, column.byteOffset + slot * width, slots * width));
      });
    });
  }

  /** Takes what another series of the same kind and steps has, as far as this one's rings reach back. Before anything is added. */
  takeOver(other: this): void {
    for (const [index, into] of this.store.columns.entries()) {
      const from = other.store.columns[index];
      const newest = other.store.newest[index] ?? -1;
      if (!from || newest < 0) continue;
      const [slots, others] = [into.ring.slots, from.ring.slots];
      for (let n = Math.max(0, newest - Math.min(slots, others) + 1); n <= newest;) {
        const run = Math.min(newest - n + 1, slots - n % slots, others - n % others);
        copyRun(from, n % others, into, n % slots, run);
        n += run;
      }
      this.store.newest[index] = newest;
    }
  }
}

/** The slots of numbers `first` to `last` in a ring: where a run begins, and how long it is. */
function runsOf(first: number, last: number, slots: number): readonly (readonly [slot: number, slots: number])[] {
  const count = last - first + 1;
  if (count >= slots) return [[0, slots]];
  const begin = first % slots;
  return begin + count <= slots ? [[begin, count]] : [[begin, slots - begin], [0, begin + count - slots]];
}

function copyRun(from: Columns, at: number, into: Columns, to: number, run: number): void {
  into.whole.set(from.whole.subarray(at, at + run), to);
  if (from.part) into.part?.set(from.part.subarray(at, at + run), to);
  if (from.classes) into.classes?.set(from.classes.subarray(at * CLASSES, (at + run) * CLASSES), to * CLASSES);
  if (from.min.length === 0) return;
  into.min.set(from.min.subarray(at, at + run), to);
  into.max.set(from.max.subarray(at, at + run), to);
  into.mean.set(from.mean.subarray(at, at + run), to);
}

export class GaugeSeries extends Series {
  /** @param buffer of an earlier series of the same layout @throws SeriesError when it is of another one */
  constructor(rings: readonly Ring[] = defaultRings, buffer?: ArrayBuffer) {
    super(new Store('gauge', rings, buffer));
  }

  /** A sample, ms where it is a latency. Samples may come a little out of order; what is older than a ring reaches is not in it. */
  add(at: Milliseconds, value: number): void {
    for (const columns of this.store.columns) {
      const slot = this.store.slot(columns, at);
      if (slot === undefined) continue;
      const { whole, min, max, mean, classes, ring } = columns;
      const count = whole[slot] ?? 0;
      min[slot] = count === 0 ? value : Math.min(min[slot] ?? value, value);
      max[slot] = count === 0 ? value : Math.max(max[slot] ?? value, value);
      // Full: the mean goes on with the weight it has.
      const next = ring.fine ? Math.min(FINE_MOST, count + 1) : count + 1;
      mean[slot] = count === 0 ? value : (mean[slot] ?? 0) + (value - (mean[slot] ?? 0)) / next;
      whole[slot] = next;
      if (classes) {
        const at = slot * CLASSES + latencyClass(value);
        classes[at] = (classes[at] ?? 0) + 1;
      }
    }
  }

  /** What there is from `from` up to `to`, in at most `points` points; the last slot may still be filling. Reads 16 384 slots at most. */
  read(from: Milliseconds, to: Milliseconds, points: number): GaugePoint[] {
    const columns = this.store.choose(from, to, ms((to - from) / Math.max(1, points)));
    const { ring, whole, min, max, mean, classes } = columns;
    const { first, last, per } = this.store.range(columns, from, to, points);
    const out: GaugePoint[] = [];
    for (let n = first; n <= last; n += per) {
      const found = classes ? Array.from({ length: CLASSES }, () => 0) : [];
      let [count, least, most, total] = [0, Infinity, -Infinity, 0];
      const end = Math.min(last, n + per - 1);
      for (let k = n; k <= end; k++) {
        const slot = k % ring.slots;
        const here = whole[slot] ?? 0;
        if (here === 0) continue;
        count += here;
        least = Math.min(least, min[slot] ?? Infinity);
        most = Math.max(most, max[slot] ?? -Infinity);
        total += here * (mean[slot] ?? 0);
        if (classes) for (let c = 0; c < CLASSES; c++) found[c] = (found[c] ?? 0) + (classes[slot * CLASSES + c] ?? 0);
      }
      out.push({
        at: ms(n * ring.step), span: ms((end - n + 1) * ring.step), count,
        min: count > 0 ? least : NaN, mean: count > 0 ? total / count : NaN, max: count > 0 ? most : NaN, classes: found,
      });
    }
    return out;
  }
}

export class RatioSeries extends Series {
  /** @param buffer of an earlier series of the same layout @throws SeriesError when it is of another one */
  constructor(rings: readonly Ring[] = defaultRings, buffer?: ArrayBuffer) {
    super(new Store('ratio', rings, buffer));
  }

  /** `part` of `whole` more; whole numbers. A slot of a fine ring that is full takes no more of either. */
  add(at: Milliseconds, part: number, whole: number): void {
    for (const columns of this.store.columns) {
      const slot = this.store.slot(columns, at);
      if (slot === undefined || !columns.part) continue;
      const before = columns.whole[slot] ?? 0;
      if (columns.ring.fine && before + whole > FINE_MOST) continue;
      columns.whole[slot] = before + whole;
      columns.part[slot] = (columns.part[slot] ?? 0) + part;
    }
  }

  /** As GaugeSeries.read. */
  read(from: Milliseconds, to: Milliseconds, points: number): RatioPoint[] {
    const columns = this.store.choose(from, to, ms((to - from) / Math.max(1, points)));
    const { ring, whole, part } = columns;
    const { first, last, per } = this.store.range(columns, from, to, points);
    const out: RatioPoint[] = [];
    for (let n = first; n <= last; n += per) {
      const end = Math.min(last, n + per - 1);
      let [parts, wholes] = [0, 0];
      for (let k = n; k <= end; k++) {
        parts += part?.[k % ring.slots] ?? 0;
        wholes += whole[k % ring.slots] ?? 0;
      }
      out.push({ at: ms(n * ring.step), span: ms((end - n + 1) * ring.step), part: parts, whole: wholes });
    }
    return out;
  }
}
