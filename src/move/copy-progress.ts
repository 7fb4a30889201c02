/** How far a copy is, for people: a share that never falls, the time that is left, and why it is slow. */
import type { MigrationProgress } from '../model/migration.ts';
import type { MigrationSample } from '../vm/migration.ts';

const megabytes = (rate: number): string => `${(rate / 1e6).toFixed(0)} MB/s`;
/** What is written faster than this share of what can be sent will hardly ever be caught up with. */
const CLOSE = 0.9;

export class CopyProgress {
  #maxBandwidth: number;
  #total: number | undefined;
  #fraction = 0;

  /** `maxBandwidth`: bytes per second that the copy may take. */
  constructor(maxBandwidth: number) {
    this.#maxBandwidth = maxBandwidth;
  }

  limit(maxBandwidth: number): void {
    this.#maxBandwidth = maxBandwidth;
  }

  /** `copied`: everything has been, whatever QEMU last said. */
  at({ remaining, dirtySyncCount, transferred, throughput, dirtyRate }: MigrationSample, copied: boolean): MigrationProgress {
    // Infinity, until QEMU has begun to count.
    const left = Number.isFinite(remaining) ? remaining : 0;
    if (left > 0) this.#total ??= left;
    if (this.#total !== undefined && Number.isFinite(remaining)) this.#fraction = Math.max(this.#fraction, 1 - left / this.#total);
    if (copied) this.#fraction = 1;
    const gain = throughput - dirtyRate;
    const slow = copied || throughput === 0 ? undefined : this.#slow(throughput, dirtyRate);
    return {
      fraction: this.#fraction, pass: dirtySyncCount, transferred, remaining: left, throughput, dirtyRate,
      ...(gain > 0 && !copied ? { timeLeft: (left / gain) * 1000 } : {}), ...(slow === undefined ? {} : { slow }),
    };
  }

  #slow(throughput: number, dirtyRate: number): string | undefined {
    if (dirtyRate >= CLOSE * throughput) return `the guest writes ${megabytes(dirtyRate)} and ${megabytes(throughput)} can be sent`;
    return throughput >= CLOSE * this.#maxBandwidth ? `the bandwidth is limited to ${megabytes(this.#maxBandwidth)}` : undefined;
  }
}
