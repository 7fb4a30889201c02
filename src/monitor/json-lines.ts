/** Lines of JSON between agent and monitor. */
import type { Readable } from 'node:stream';
import { MonitorLineInvalid } from './errors.ts';

/** Characters: a plan of some thousand hosts, a report of as many paths. */
const LONGEST = 64 << 20;

/**
 * Calls `listener` with each line's value. What is no JSON, or too long, and what `listener` throws, goes to `fail`, and nothing is read
 * after it.
 */
export function readLines(stream: Readable, listener: (value: unknown) => void, fail: (error: unknown) => void): void {
  let parts: string[] = [];
  let length = 0;
  const onData = (text: string): void => {
    try {
      for (let begin = 0, end; ; begin = end + 1) {
        end = text.indexOf('\n', begin);
        if (end < 0) {
          parts.push(text.slice(begin));
          length += text.length - begin;
          break;
        }
        const line = parts.join('') + text.slice(begin, end);
        parts = [];
        length = 0;
        listener(parse(line));
      }
      if (length > LONGEST) throw new MonitorLineInvalid(`a line of more than ${LONGEST} characters`);
    } catch (error) {
      stream.off('data', onData);
      fail(error);
    }
  };
  stream.setEncoding('utf8').on('data', onData);
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new MonitorLineInvalid('a line that is no JSON', cause);
  }
}
