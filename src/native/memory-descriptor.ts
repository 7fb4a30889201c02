/** Descriptors of the network in memory: numbers for open files, copies of which keep the file open. */
import { errno, systemError } from './errno.ts';
import type { ReadableListener } from './native.ts';

/** What a descriptor stands for. `released` runs when the last copy is closed. */
export class OpenFile {
  #copies = 0;
  readonly #released: () => void;

  constructor(released: () => void) {
    this.#released = released;
  }

  retain(): this {
    this.#copies++;
    return this;
  }

  release(): void {
    if (--this.#copies === 0) this.#released();
  }
}

/** The descriptors of one process. Numbers are never given out twice: a use after close is always seen. */
export class DescriptorTable {
  readonly #files = new Map<number, OpenFile>();
  #next = 3;

  /** The numbers in use; for tests that look for leaks. */
  get size(): number {
    return this.#files.size;
  }

  open(file: OpenFile): number {
    const fd = this.#next++;
    this.#files.set(fd, file.retain());
    return fd;
  }

  get(fd: number): OpenFile {
    const file = this.#files.get(fd);
    if (file === undefined) throw systemError(`descriptor ${fd}`, errno.EBADF);
    return file;
  }

  close(fd: number): void {
    const file = this.get(fd);
    this.#files.delete(fd);
    file.release();
  }
}

/** One descriptor as its holder sees it. The listener is called from microtasks, as long as something is readable. */
export abstract class MemoryDescriptor {
  readonly file: OpenFile;
  protected readonly what: string;
  readonly #table: DescriptorTable;
  #fd: number;
  #listener: ReadableListener | undefined;
  #scheduled = false;

  constructor(table: DescriptorTable, file: OpenFile, what: string) {
    this.#table = table;
    this.file = file;
    this.what = what;
    this.#fd = table.open(file);
  }

  get fd(): number {
    return this.#fd;
  }

  /** Is there something to receive, or an error waiting? */
  protected abstract hasInput(): boolean;

  onReadable(listener: ReadableListener | undefined): void {
    if (listener !== undefined) this.checkOpen('poll');
    this.#listener = listener;
    this.wake();
  }

  close(): void {
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#fd = -1;
    this.#listener = undefined;
    this.#table.close(fd);
  }

  /** To be called whenever something may have become readable. */
  wake(): void {
    if (this.#listener === undefined || this.#scheduled || !this.hasInput()) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (this.#listener === undefined || !this.hasInput()) return;
      try {
        this.#listener();
      } finally {
        this.wake();
      }
    });
  }

  protected checkOpen(call: string): void {
    if (this.#fd < 0) throw systemError(`${call} ${this.what}`, errno.EBADF);
  }
}
