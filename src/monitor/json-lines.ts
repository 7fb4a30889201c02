/** Lines of JSON between agent and monitor. */
import type { Readable } from 'node:stream';
import { JsonLines } from '../base/json-lines.ts';
import { MonitorLineInvalid } from './errors.ts';

/** Characters: a plan of some thousand hosts, a report of as many paths. */
const LONGEST = 64 << 20;

/**
 * Calls `listener` with each line's value. What is no JSON, or too long, and what `listener` throws, goes to `fail`, and nothing is read
 * after it.
 */
export function readLines(stream: Readable, listener: (value: unknown) => void, fail: (error: unknown) => void): void {
  const lines = new JsonLines(LONGEST, (what, cause) => new MonitorLineInvalid(what, cause));
  const onData = (text: string): void => {
    try {
      lines.take(text, listener);
    } catch (error) {
      stream.off('data', onData);
      fail(error);
    }
  };
  stream.setEncoding('utf8').on('data', onData);
}
