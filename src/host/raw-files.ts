/**
 * Files as the kernel has them, call by call: what `disk.ts` makes durable writes of. A seam, so that the order of these calls can
 * be tried with the power cut at each of them (`disk-memory.ts`). Paths are relative to a root that exists. Errors carry errno's name
 * in `code`.
 */
import {
  closeSync, constants, fdatasyncSync, fstatSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync,
  unlinkSync, writeSync,
} from 'node:fs';
import { join } from 'node:path';

export interface RawFile {
  /** At the end of the file; returns how many bytes were taken, perhaps not all. */
  write(data: Uint8Array): number;
  size(): number;
  truncate(size: number): void;
  /** fsync(2): contents and metadata; of a directory: its entries. */
  sync(): void;
  /** fdatasync(2): contents, and the size. */
  dataSync(): void;
  close(): void;
}

export interface RawFiles {
  /** Undefined when there is no such file. */
  read(path: string): Uint8Array | undefined;
  /** `replace`: emptied, or made; `append`: as it is, or made; `existing`: as it is; `directory`: only for `sync`. Mode 0600. */
  open(path: string, how: 'replace' | 'append' | 'existing' | 'directory'): RawFile;
  rename(from: string, to: string): void;
  /** False when there was none. */
  unlink(path: string): boolean;
  /** One level, mode 0700; false when it is there. */
  mkdir(path: string): boolean;
  /** Names of files; empty when there is no such directory. */
  list(path: string): string[];
}

/** The name of the errno that an error carries, `ENOSPC`. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function unlessError<T>(errno: string, instead: T, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (errnoOf(error) === errno) return instead;
    throw error;
  }
}

const FLAGS = {
  replace: constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND,
  append: constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND,
  existing: constants.O_WRONLY | constants.O_APPEND,
  directory: constants.O_RDONLY | constants.O_DIRECTORY,
} as const;

export function kernelFiles(root: string): RawFiles {
  const at = (path: string): string => join(root, path);
  return {
    read: (path) => unlessError<Uint8Array | undefined>('ENOENT', undefined, () => readFileSync(at(path))),
    open: (path, how) => {
      const fd = openSync(at(path), FLAGS[how], 0o600);
      return {
        write: (data) => writeSync(fd, data),
        size: () => fstatSync(fd).size,
        truncate: (size) => ftruncateSync(fd, size),
        sync: () => fsyncSync(fd),
        dataSync: () => fdatasyncSync(fd),
        close: () => closeSync(fd),
      };
    },
    rename: (from, to) => renameSync(at(from), at(to)),
    unlink: (path) => unlessError('ENOENT', false, () => (unlinkSync(at(path)), true)),
    mkdir: (path) => unlessError('EEXIST', false, () => (mkdirSync(at(path), { mode: 0o700 }), true)),
    list: (path) => {
      const entries = unlessError('ENOENT', [], () => readdirSync(at(path), { withFileTypes: true }));
      return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
    },
  };
}
