/** Where series are kept: one file each, of a size that does not change, in one directory. Nothing here waits for the disk. */
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Part of a file. */
export interface Piece {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** Everything rejects with what the system said. */
export interface HistoryDisk {
  readonly where: string;
  list(): Promise<readonly { readonly name: string; readonly size: number }[]>;
  read(name: string): Promise<ArrayBuffer>;
  /** All of a file, in place of another one that may be there: after a crash it is the old one or the new one. */
  create(name: string, bytes: Uint8Array): Promise<void>;
  /** In that order. */
  write(name: string, pieces: readonly Piece[]): Promise<void>;
  remove(name: string): Promise<void>;
  /** For people to look at, until the next start. */
  setAside(name: string): Promise<void>;
}

const UNFINISHED = '.new';
const SET_ASIDE = '.bad';

/** Makes the directory, and removes what an earlier start set aside or did not finish. @throws of mkdir, readdir, rm */
export async function openHistoryDisk(where: string): Promise<HistoryDisk> {
  await mkdir(where, { recursive: true, mode: 0o700 });
  const path = (name: string): string => join(where, name);
  for (const name of await readdir(where)) {
    if (name.endsWith(UNFINISHED) || name.endsWith(SET_ASIDE)) await rm(path(name), { recursive: true });
  }

  return {
    where,
    async list() {
      const names = await readdir(where);
      return Promise.all(names.map(async (name) => ({ name, size: (await stat(path(name))).size })));
    },
    async read(name) {
      await using file = await open(path(name), 'r');
      const bytes = new Uint8Array((await file.stat()).size);
      for (let at = 0; at < bytes.length;) {
        const { bytesRead } = await file.read(bytes, at, bytes.length - at, at);
        if (bytesRead === 0) break;
        at += bytesRead;
      }
      return bytes.buffer;
    },
    async create(name, bytes) {
      const unfinished = path(name) + UNFINISHED;
      try {
        await writePieces(unfinished, 'w', [{ at: 0, bytes }]);
        await rename(unfinished, path(name));
      } catch (error) {
        // What did get there would keep a full disk full.
        await rm(unfinished, { force: true });
        throw error;
      }
    },
    write: (name, pieces) => writePieces(path(name), 'r+', pieces),
    remove: (name) => rm(path(name), { force: true }),
    setAside: (name) => rename(path(name), path(name) + SET_ASIDE),
  };
}

/** Instead of one that cannot be used: nothing is there, and nothing is written. */
export function noHistoryDisk(where: string): HistoryDisk {
  const nothing = (): Promise<void> => Promise.resolve();
  return {
    where, list: async () => [], read: async () => new ArrayBuffer(0), create: nothing, write: nothing, remove: nothing, setAside: nothing,
  };
}

async function writePieces(path: string, flags: string, pieces: readonly Piece[]): Promise<void> {
  await using file = await open(path, flags, 0o600);
  for (const { at, bytes } of pieces) {
    for (let done = 0; done < bytes.length;) done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
  }
}
