/**
 * Files in memory that know what a disk would still have after the power was cut: contents by the last sync of the file, names by
 * the last sync of the directory. The power can be cut, and the disk can be full, at any call.
 */
import { dirname } from 'node:path';
import type { RawFile, RawFiles } from './raw-files.ts';

/** Thrown by the call in which the power went, and by every later one. */
export class PowerCut extends Error {
  override readonly name = 'PowerCut';
}

/** What of the unsynced had reached the disk by itself: nothing, the names but not the contents, or names and a part of the contents. */
export type Survived = 'nothing' | 'names' | 'parts';

interface Node {
  data: Uint8Array;
  synced: Uint8Array;
}

type Directory = Map<string, Node | 'directory'>;

class FileError extends Error {
  readonly code: string;

  constructor(code: string, path: string) {
    super(`${code}: ${path}`);
    this.code = code;
  }
}

export class MemoryFiles implements RawFiles {
  /** By path, as programs see them, and as they are on the disk. */
  readonly #seen = new Map<string, Directory>([['.', new Map()]]);
  readonly #synced = new Map<string, Directory>([['.', new Map()]]);
  #room = Infinity;
  #cutAt = Infinity;
  #calls = 0;

  /** How many calls that change something there have been. */
  get calls(): number {
    return this.#calls;
  }

  /** The power has gone. */
  get cut(): boolean {
    return this.#calls > this.#cutAt;
  }

  /** The power goes in the call after `calls` more of them; a write is torn then. */
  cutAfter(calls: number): void {
    this.#cutAt = this.#calls + calls;
  }

  /** So many bytes may still be written before ENOSPC. */
  setRoom(bytes: number): void {
    this.#room = bytes;
  }

  /** What the next start of the host finds. */
  afterPowerCut(survived: Survived): MemoryFiles {
    const found = new MemoryFiles();
    const from = survived === 'nothing' ? this.#synced : this.#seen;
    const copy = (path: string): void => {
      const directory: Directory = new Map();
      found.#seen.set(path, directory);
      found.#synced.set(path, new Map());
      for (const [name, node] of from.get(path) ?? []) {
        if (node === 'directory') {
          directory.set(name, node);
          copy(path === '.' ? name : `${path}/${name}`);
          continue;
        }
        const kept = survived === 'parts' ? torn(node) : node.synced;
        directory.set(name, { data: kept, synced: kept });
      }
      found.#synced.set(path, new Map(directory));
    };
    copy('.');
    return found;
  }

  /** The same for the next process, after only this one crashed: nothing is lost, nothing more is synced. */
  afterCrash(): MemoryFiles {
    const next = new MemoryFiles();
    const copies = new Map<Node, Node>();
    for (const [from, to] of [[this.#seen, next.#seen], [this.#synced, next.#synced]] as const) {
      for (const [path, directory] of from) {
        to.set(path, new Map([...directory].map(([file, node]) => [file, node === 'directory' ? node : copyOf(node, copies)])));
      }
    }
    return next;
  }

  read(path: string): Uint8Array | undefined {
    this.#alive();
    const node = this.#seen.get(dirname(path))?.get(name(path));
    return node === undefined || node === 'directory' ? undefined : node.data.slice();
  }

  open(path: string, how: 'replace' | 'append' | 'existing' | 'directory'): RawFile {
    if (how === 'directory') {
      this.#alive();
      if (!this.#seen.has(path)) throw new FileError('ENOENT', path);
      return this.#directory(path);
    }
    const directory = this.#parent(path);
    const before = directory.get(name(path));
    if (before === 'directory') throw new FileError('EISDIR', path);
    if (how === 'existing') {
      this.#alive();
      if (!before) throw new FileError('ENOENT', path);
      return this.#file(before, path);
    }
    this.#change();
    const node: Node = before ?? { data: new Uint8Array(), synced: new Uint8Array() };
    if (how === 'replace') node.data = new Uint8Array();
    directory.set(name(path), node);
    return this.#file(node, path);
  }

  rename(from: string, to: string): void {
    this.#change();
    const node = this.#parent(from).get(name(from));
    if (!node || node === 'directory') throw new FileError('ENOENT', from);
    this.#parent(from).delete(name(from));
    this.#parent(to).set(name(to), node);
  }

  unlink(path: string): boolean {
    this.#change();
    return this.#parent(path).delete(name(path));
  }

  mkdir(path: string): boolean {
    this.#change();
    const parent = this.#parent(path);
    if (parent.has(name(path))) return false;
    parent.set(name(path), 'directory');
    this.#seen.set(path, new Map());
    return true;
  }

  list(path: string): string[] {
    this.#alive();
    return [...(this.#seen.get(path) ?? [])].filter(([, node]) => node !== 'directory').map(([file]) => file);
  }

  #file(node: Node, path: string): RawFile {
    const sync = (): void => {
      this.#change();
      node.synced = node.data;
    };
    return {
      write: (data) => {
        const torn = this.#calls + 1 > this.#cutAt;
        // Never all of a longer write at once: callers have to go on.
        const taken = data.subarray(0, Math.min(this.#room, torn ? data.length >> 1 : Math.max(1, data.length - 1)));
        if (taken.length === 0 && data.length > 0 && !torn) throw new FileError('ENOSPC', path);
        this.#room -= taken.length;
        node.data = Uint8Array.of(...node.data, ...taken);
        this.#change();
        return taken.length;
      },
      size: () => node.data.length,
      truncate: (size) => {
        this.#change();
        node.data = node.data.slice(0, size);
      },
      sync,
      dataSync: sync,
      close: () => undefined,
    };
  }

  #directory(path: string): RawFile {
    const refuse = (): never => {
      throw new FileError('EISDIR', path);
    };
    const sync = (): void => {
      this.#change();
      this.#synced.set(path, new Map(this.#seen.get(path)));
    };
    return { write: refuse, size: refuse, truncate: refuse, sync, dataSync: sync, close: () => undefined };
  }

  #parent(path: string): Directory {
    const directory = this.#seen.get(dirname(path));
    if (!directory) throw new FileError('ENOENT', path);
    return directory;
  }

  #alive(): void {
    if (this.cut) throw new PowerCut();
  }

  #change(): void {
    this.#alive();
    this.#calls++;
    this.#alive();
  }
}

const name = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** The same copy for the same file, under whichever name. */
function copyOf(node: Node, copies: Map<Node, Node>): Node {
  const copy = copies.get(node) ?? { ...node };
  copies.set(node, copy);
  return copy;
}

/** Half of what was added since the last sync; of a file that was cut short meanwhile, what both have. */
const torn = ({ data, synced }: Node): Uint8Array =>
  data.length >= synced.length ? data.slice(0, synced.length + ((data.length - synced.length) >> 1)) : data;
