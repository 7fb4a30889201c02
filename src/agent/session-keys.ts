/** Keys of BFD sessions, from one directory of the administrator's. Only files that nobody else can read, or could have put there. */
import { type Stats, closeSync, constants, fstatSync, lstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { GodwitError } from '../base/error.ts';

/** Bytes: the longest that any authentication of BFD takes (RFC 5880 §4.4: a SHA1 key). */
const LONGEST = 20;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** The text says what is wrong with the file and what to do. */
export class KeyUnusable extends GodwitError {
  constructor(text: string, options?: { cause?: unknown }) {
    super('AGENT_KEY', text, options);
  }
}

/** The key of this file's name. Throws KeyUnusable. */
export type ReadKey = (file: string) => Uint8Array;

/** The first line of a file of `directory`, without its end. */
export const keysOf = (directory: string): ReadKey => (file) => {
  const path = join(directory, file);
  if (!NAME.test(file)) throw new KeyUnusable(`${JSON.stringify(file)} is no name of a key: letters, digits, dots and dashes`);
  checkDirectory(directory);
  let fd: number;
  try {
    // Not waited for, should it be a pipe.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    if (isErrno(cause, 'ELOOP')) throw new KeyUnusable(`${path} is no regular file: links are not followed`);
    throw new KeyUnusable(`${path} cannot be opened: put the key there, owned by root and readable by nobody else`, { cause });
  }
  try {
    checkFile(path, fstatSync(fd));
    const bytes = Buffer.alloc(LONGEST + 2);
    return firstLine(path, bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0)));
  } catch (cause) {
    if (cause instanceof KeyUnusable) throw cause;
    throw new KeyUnusable(`${path} cannot be read: see to the disk`, { cause });
  } finally {
    closeSync(fd);
  }
};

function checkDirectory(directory: string): void {
  let found: Stats;
  try {
    found = lstatSync(directory);
  } catch (cause) {
    throw new KeyUnusable(`${directory} is not there: make it, owned by root, with mode 700`, { cause });
  }
  if (!found.isDirectory()) throw new KeyUnusable(`${directory} is no directory: links are not followed`);
  checkOwner(directory, found);
  if ((found.mode & 0o022) !== 0) throw new KeyUnusable(`${directory} may be changed by others than its owner: chmod go-w ${directory}`);
}

function checkFile(path: string, found: Stats): void {
  if (!found.isFile()) throw new KeyUnusable(`${path} is no regular file`);
  checkOwner(path, found);
  if ((found.mode & 0o077) !== 0) throw new KeyUnusable(`${path} may be used by others than its owner: chmod 600 ${path}`);
}

function checkOwner(path: string, { uid }: Stats): void {
  if (uid !== (process.getuid?.() ?? 0)) throw new KeyUnusable(`${path} belongs to user ${uid}, not to root: chown root ${path}`);
}

function firstLine(path: string, bytes: Uint8Array): Uint8Array {
  const newline = bytes.indexOf(0x0a);
  const end = newline < 0 ? bytes.length : newline > 0 && bytes[newline - 1] === 0x0d ? newline - 1 : newline;
  if (end === 0) throw new KeyUnusable(`${path} has an empty first line: that is where the key stands`);
  if (end > LONGEST) throw new KeyUnusable(`The first line of ${path} is longer than ${LONGEST} bytes: BFD takes no longer key`);
  return bytes.slice(0, end);
}

const isErrno = (error: unknown, code: string): boolean => error instanceof Error && 'code' in error && error.code === code;
