/** Lines of JSON on a stream socket. */
import type { Socket } from 'node:net';
import { PulseLineInvalid } from './errors.ts';

/** Characters. Far more than 1000 routers' plans or statuses take. */
const LONGEST = 8 << 20;

/**
 * Calls `listener` with each line's value. What is no JSON, or too long, and what `listener` throws, ends the connection with that
 * error.
 */
export function readLines(socket: Socket, listener: (value: unknown) => void): void {
  let begun = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    begun += text;
    try {
      for (let end; (end = begun.indexOf('\n')) >= 0; ) {
        const line = begun.slice(0, end);
        begun = begun.slice(end + 1);
        listener(parse(line));
      }
      if (begun.length > LONGEST) throw new PulseLineInvalid(`a line of more than ${LONGEST} characters`);
    } catch (error) {
      socket.destroy(error instanceof Error ? error : new PulseLineInvalid(String(error)));
    }
  });
}

export function writeLine(socket: Socket, value: unknown): void {
  if (socket.writable) socket.write(`${JSON.stringify(value)}\n`);
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new PulseLineInvalid('a line that is no JSON', cause);
  }
}
