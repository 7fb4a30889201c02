/** The pulse's end of its unix socket. Agents may connect as often as they like; each connection is greeted with all there is to tell. */
import { chmodSync, rmSync } from 'node:fs';
import { type Socket, createServer } from 'node:net';
import { readLines, writeLine } from './json-lines.ts';
import { type ReadCommand, decodeCommand } from './pulse-command.ts';
import type { PulseMessage } from './pulse-protocol.ts';

/** Bytes that a reader may be behind; the next connection is told everything anew. */
const BEHIND = 4 << 20;

export interface PulseServer {
  /** To all who are connected. */
  tell(message: PulseMessage): void;
  close(): void;
}

export interface PulseServerParts {
  readonly socketPath: string;
  /** What a new connection is told first: `hello`, then the state of everything. */
  readonly greeting: () => readonly PulseMessage[];
  readonly onCommand: (command: ReadCommand) => void;
  /** A connection ended because of this. */
  readonly onFault: (error: Error) => void;
}

/**
 * The run directory's lock is held: what lies at `socketPath` is of a dead pulse. Only root can connect. Rejects with the system's error
 * when it cannot listen.
 */
export async function servePulse({ socketPath, greeting, onCommand, onFault }: PulseServerParts): Promise<PulseServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', onFault).once('close', () => sockets.delete(socket));
    readLines(socket, (value) => onCommand(decodeCommand(value)));
    for (const message of greeting()) writeLine(socket, message);
  });
  rmSync(socketPath, { force: true });
  const mask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(socketPath, resolve);
    });
  } finally {
    process.umask(mask);
  }
  chmodSync(socketPath, 0o600);
  server.removeAllListeners('error').on('error', onFault);
  return {
    tell(message) {
      if (sockets.size === 0) return;
      const line = `${JSON.stringify(message)}\n`;
      for (const socket of sockets) {
        if (socket.writableLength > BEHIND) socket.destroy();
        else if (socket.writable) socket.write(line);
      }
    },
    close() {
      server.close();
      for (const socket of sockets) socket.end();
      rmSync(socketPath, { force: true });
    },
  };
}
