/**
 * A disk that forgets what was not synced. Fed with the calls that a program made on the files of one directory, it says what
 * that directory would hold after a power cut: of the writes since a file's last sync any may be lost, in any choice, and so may
 * names made or removed since the directory's last sync.
 */

type Write = { readonly at: number; readonly data: Buffer } | { readonly truncateTo: number };

class File {
  synced: Buffer = Buffer.alloc(0);
  readonly unsynced: Write[] = [];

  contents(survives: () => boolean): Buffer {
    return applied(this.synced, this.unsynced.filter(survives));
  }
}

export class DiskDouble {
  /** As the program sees them. */
  #names = new Map<string, File>();
  #syncedNames = new Map<string, File>();

  create(name: string): void {
    if (!this.#names.has(name)) this.#names.set(name, new File());
  }

  write(name: string, at: number, data: Buffer): void {
    this.#file(name).unsynced.push({ at, data });
  }

  truncate(name: string, truncateTo: number): void {
    this.#file(name).unsynced.push({ truncateTo });
  }

  unlink(name: string): void {
    this.#names.delete(name);
  }

  sync(name: string): void {
    const file = this.#file(name);
    file.synced = file.contents(() => true);
    file.unsynced.length = 0;
  }

  syncDirectory(): void {
    this.#syncedNames = new Map(this.#names);
  }

  /** Files with writes that a power cut may take back. */
  get unsynced(): string[] {
    return [...this.#names].filter(([, file]) => file.unsynced.length > 0).map(([name]) => name);
  }

  /** What is found after a power cut now. `survives` is asked for each write, and once for all names since their last sync. */
  afterPowerCut(survives: () => boolean): Map<string, Buffer> {
    const names = survives() ? this.#names : this.#syncedNames;
    return new Map([...names].map(([name, file]) => [name, file.contents(survives)]));
  }

  #file(name: string): File {
    const file = this.#names.get(name);
    if (!file) throw new Error(`${name} was never made`);
    return file;
  }
}

function applied(contents: Buffer, writes: readonly Write[]): Buffer {
  const ends = writes.map((write) => ('truncateTo' in write ? write.truncateTo : write.at + write.data.length));
  const result = Buffer.alloc(ends.reduce((a, b) => Math.max(a, b), contents.length));
  contents.copy(result);
  let length = contents.length;
  for (const write of writes) {
    if ('truncateTo' in write) {
      result.fill(0, write.truncateTo);
      length = write.truncateTo;
    } else {
      write.data.copy(result, write.at);
      length = Math.max(length, write.at + write.data.length);
    }
  }
  return result.subarray(0, length);
}
