/** Lines of JSON on a stream socket. */
import type { Socket } from 'node:net';
import { JsonLines } from '../base/json-lines.ts';
import { PulseLineInvalid } from './errors.ts';

/** Characters. Far more than 1000 routers' plans or statuses take. */
const LONGEST = 8 << 20;

/**
 * Calls `listener` with each line's value. What is no JSON, or too long, and what `listener` throws, ends the connection with that
 * error.
 */
export function readLines(socket: Socket, listener: (value: unknown) => void): void {
  const lines = new JsonLines(LONGEST, (what, cause) => new PulseLineInvalid(what, cause));
  socket.setEncoding('utf8').on('data', (text: string) => {
    try {
      lines.take(text, listener);
    } catch (error) {
      socket.destroy(error instanceof Error ? error : new PulseLineInvalid(String(error)));
    }
  });
}

export function writeLine(socket: Socket, value: unknown): void {
  if (socket.writable) socket.write(`${JSON.stringify(value)}\n`);
}
