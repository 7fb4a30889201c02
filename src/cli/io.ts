/** What the program touches of the world, so that tests can give it another: streams, files, time, Ctrl-C. */
import type { Clock } from '../base/clock.ts';
import { type Style, styleOf } from './style.ts';

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

export interface Io {
  /** Data, and nothing else. */
  readonly out: Output;
  /** Progress, words, errors. */
  readonly err: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** UTF-8; `-` is stdin. Fails as node:fs does. */
  read(path: string): Promise<string>;
  /** What is typed, key by key where it is a terminal (Ctrl-C among them), until the returned function is called. */
  onKeys?(listener: (bytes: Uint8Array) => void): () => void;
  /** Ctrl-C no longer ends the program until the returned function is called. */
  onInterrupt(listener: () => void): () => void;
  /**
   * SIGTERM and SIGHUP no longer end the program, but call this; so does its end, whatever brings it about. Until the returned function is
   * called.
   */
  onEnd?(listener: () => void): () => void;
}

export const say = (io: Io, text: string): void => void io.err.write(`${text}\n`);
export const print = (io: Io, text: string): void => void io.out.write(`${text}\n`);
export const styleOfOut = (io: Io): Style => styleOf(io.out, io.env);
export const styleOfErr = (io: Io): Style => styleOf(io.err, io.env);
