/**
 * Small files that are on the disk when a call returns: what an agent must know again after a crash of itself or of its host.
 *
 * A file is replaced as a whole: a new one is written beside it and synced, then takes its name, then the directory is synced. So a
 * crash at any moment leaves the old contents or the new.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { GodwitError } from '../base/error.ts';
import { type RawFile, type RawFiles, errnoOf, kernelFiles } from './raw-files.ts';

/** There is no room. Nothing was changed, nothing is half written. */
export class DiskFull extends GodwitError {
  constructor(path: string, cause: unknown) {
    const where = `${path} in the agent's state directory`;
    super('HOST_DISK_FULL', `There is no room on the disk for ${where}; nothing was changed: make room`, { cause });
  }
}

/** Nobody can say whether the old contents or the new are on the disk. */
export class DiskFailed extends GodwitError {
  constructor(path: string, cause: unknown) {
    const where = `${path} in the agent's state directory`;
    super('HOST_DISK_FAILED', `${where} could not be read or written: see to the disk, then restart the agent`, { cause });
  }
}

/** Paths are relative, of segments [A-Za-z0-9._-]; directories are made as needed. All methods throw DiskFull or DiskFailed. */
export interface Disk {
  /** Undefined when there is no such file. */
  read(path: string): Uint8Array | undefined;
  /** Replaces the file. A reader, and a crash, find the old contents or the new. */
  write(path: string, data: Uint8Array): void;
  /** A crash in the middle may leave a part of `data`; DiskFull leaves nothing of it. */
  append(path: string, data: Uint8Array): void;
  /** Names of the files in a directory, in their order; empty when there is none. */
  list(directory: string): string[];
  /** Harmless when there is none. */
  remove(path: string): void;
  /** The contents go on under another name; one that is there already is replaced. */
  rename(from: string, to: string): void;
}

/** `root` is made if need be. */
export function kernelDisk(root: string): Disk {
  const files = kernelFiles(dirname(root));
  mkdirSync(root, { recursive: true, mode: 0o700 });
  syncDirectory(files, '.');
  return new DurableDisk(kernelFiles(root));
}

const UNFINISHED = '.tmp';

/** The order of calls that makes it durable; the same above the kernel's files and above the double's. */
export class DurableDisk implements Disk {
  readonly #files: RawFiles;
  /** Directories whose own entry, and whose entries, an earlier process may have left in memory: synced at their first use. */
  readonly #settled = new Set<string>();

  constructor(files: RawFiles) {
    this.#files = files;
  }

  read(path: string): Uint8Array | undefined {
    return guarded(path, () => {
      const contents = this.#files.read(path);
      if (contents === undefined) return undefined;
      // What was read may have come from memory alone: on the disk before anybody acts on it.
      withFile(this.#files.open(path, 'existing'), (file) => file.dataSync());
      this.#settle(dirname(path));
      return contents;
    });
  }

  write(path: string, data: Uint8Array): void {
    guarded(path, () => {
      this.#settle(dirname(path));
      const unfinished = `${path}${UNFINISHED}`;
      try {
        withFile(this.#files.open(unfinished, 'replace'), (file) => {
          writeAll(file, data);
          file.sync();
        });
      } catch (error) {
        this.#files.unlink(unfinished);
        throw error;
      }
      this.#files.rename(unfinished, path);
      syncDirectory(this.#files, dirname(path));
    });
  }

  append(path: string, data: Uint8Array): void {
    guarded(path, () => {
      this.#settle(dirname(path));
      withFile(this.#files.open(path, 'append'), (file) => {
        const before = file.size();
        try {
          writeAll(file, data);
        } catch (error) {
          file.truncate(before);
          throw error;
        }
        try {
          file.dataSync();
          if (before === 0) syncDirectory(this.#files, dirname(path));
        } catch (error) {
          // Even for want of room: whether the data is on the disk nobody can say then.
          throw new DiskFailed(path, error);
        }
      });
    });
  }

  list(directory: string): string[] {
    return guarded(directory, () => this.#files.list(directory).filter((name) => !name.endsWith(UNFINISHED)).sort());
  }

  remove(path: string): void {
    guarded(path, () => {
      this.#settle(dirname(path));
      this.#files.unlink(path);
      // Also when there was none: an earlier removal may have failed between the two.
      syncDirectory(this.#files, dirname(path));
    });
  }

  rename(from: string, to: string): void {
    guarded(to, () => {
      this.#settle(dirname(to));
      this.#files.rename(from, to);
      syncDirectory(this.#files, dirname(to));
      if (dirname(from) !== dirname(to)) syncDirectory(this.#files, dirname(from));
    });
  }

  /** Makes the directory if need be; what it and its parents have now is on the disk afterwards. */
  #settle(path: string): void {
    if (this.#settled.has(path)) return;
    if (path !== '.') {
      this.#settle(dirname(path));
      this.#files.mkdir(path);
      syncDirectory(this.#files, dirname(path));
    }
    syncDirectory(this.#files, path);
    this.#settled.add(path);
  }
}

/** Nothing outside the state directory can be named. */
function guarded<T>(path: string, call: () => T): T {
  for (const segment of path.split('/')) {
    if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(segment)) throw new DiskFailed(path, new Error('not a path of the state directory'));
  }
  try {
    return call();
  } catch (error) {
    if (error instanceof DiskFailed) throw error;
    throw errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EDQUOT' ? new DiskFull(path, error) : new DiskFailed(path, error);
  }
}

function withFile(file: RawFile, use: (file: RawFile) => void): void {
  try {
    use(file);
  } finally {
    file.close();
  }
}

function writeAll(file: RawFile, data: Uint8Array): void {
  for (let written = 0; written < data.length; ) written += file.write(data.subarray(written));
}

function syncDirectory(files: RawFiles, path: string): void {
  withFile(files.open(path, 'directory'), (directory) => directory.sync());
}
