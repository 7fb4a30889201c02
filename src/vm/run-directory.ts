/** What lies in the directory that one QEMU runs in. It outlives whoever started the QEMU, so that another can adopt it. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join, resolve } from 'node:path';

export interface RunDirectory {
  /** Absolute. */
  readonly path: string;
  readonly qmpSocket: string;
  readonly pidFile: string;
  /** What QEMU itself says. */
  readonly log: string;
  /** The guest's first serial port, both ways, for one at a time; who is connected has to read. */
  readonly ttySocket: string;
  /** What the guest writes to its first serial port. */
  readonly serialLog: string;
}

export function runDirectory(path: string): RunDirectory {
  const root = resolve(path);
  const file = (name: string): string => join(root, name);
  return { path: root, qmpSocket: file('qmp'), pidFile: file('qemu.pid'), log: file('qemu.log'), ttySocket: file('tty'), serialLog: file('serial.log') };
}

/** The last `lines` lines, out of the last 8 KiB; empty where there is no such file. */
export function lastLines(path: string, lines = 8): string {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return '';
  }
  try {
    const tail = Buffer.alloc(8192);
    const length = readSync(fd, tail, 0, tail.length, Math.max(0, fstatSync(fd).size - tail.length));
    return tail.toString('utf8', 0, length).trimEnd().split('\n').slice(-lines).join('\n');
  } finally {
    closeSync(fd);
  }
}
