/** A history's disk in memory, that can be full. */
import type { HistoryDisk, Piece } from '../../../src/monitor/history-disk.ts';

export class MemoryHistoryDisk implements HistoryDisk {
  readonly where = 'memory';
  readonly files = new Map<string, Uint8Array>();
  /** What every write rejects with. */
  refuses: Error | undefined;
  /** After so many pieces it is as if the host had lost its power: nothing is written any more, and nobody is told. */
  lasts = Infinity;
  /** Bytes written to files that were there already. */
  updated = 0;

  async list(): Promise<{ name: string; size: number }[]> {
    return [...this.files].map(([name, { length }]) => ({ name, size: length }));
  }

  async read(name: string): Promise<ArrayBuffer> {
    const bytes = this.files.get(name);
    if (!bytes) throw new Error(`no ${name}`);
    return new Uint8Array(bytes).buffer;
  }

  async create(name: string, bytes: Uint8Array): Promise<void> {
    await this.#write();
    if (this.lasts-- > 0) this.files.set(name, bytes.slice());
  }

  async write(name: string, pieces: readonly Piece[]): Promise<void> {
    const file = this.files.get(name);
    if (!file) throw new Error(`no ${name}`);
    for (const { at, bytes } of pieces) {
      await this.#write();
      if (this.lasts-- > 0) file.set(bytes, at);
      this.updated += bytes.length;
    }
  }

  async remove(name: string): Promise<void> {
    await this.#write();
    this.files.delete(name);
  }

  async setAside(name: string): Promise<void> {
    this.files.delete(name);
  }

  async #write(): Promise<void> {
    await Promise.resolve();
    if (this.refuses) throw this.refuses;
  }
}
