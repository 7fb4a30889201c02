/**
 * Deletes devices off this thread. The kernel waits for its readers at each deletion, some 10 to 20 ms; devices of one group go at once
 * and cost one wait.
 */
import { constants } from 'node:os';
import { deletionTogether } from '../host/link.ts';
import type { SlowNetlink } from './slow-netlink.ts';

interface Waiting {
  readonly index: number;
  readonly gone: () => void;
  readonly failed: (error: unknown) => void;
}

export class Deletions {
  readonly #slow: SlowNetlink;
  readonly #most: number;
  readonly #waiting: Waiting[] = [];
  #busy = false;

  /** `most`: so many at once, 1 to 100; the more, the longer everybody else who changes the network waits. */
  constructor(slow: SlowNetlink, most: number) {
    this.#slow = slow;
    this.#most = most;
  }

  /** Resolves when it is gone, or was. Rejects with KernelRefused. */
  delete(index: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ index, gone: resolve, failed: reject });
    if (!this.#busy) void this.#run();
    return promise;
  }

  async #run(): Promise<void> {
    this.#busy = true;
    while (this.#waiting.length > 0) {
      let batch: Waiting[] = [];
      try {
        await this.#slow.whenQuiet(() => {
          batch = this.#waiting.splice(0, this.#most);
          return deletionTogether(batch.map(({ index }) => index));
        }, [constants.errno.ENODEV]);
        // Closed: nobody asks any more.
        if (batch.length === 0) batch = this.#waiting.splice(0);
        for (const { gone } of batch) gone();
      } catch (error) {
        for (const { failed } of batch) failed(error);
      }
    }
    this.#busy = false;
  }
}
