/** godwit-probe or godwit-flow in a namespace: prints a line when all flows, then one of JSON for each order (src/lab/guest/client.h). */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Interface, createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { GodwitError } from '../base/error.ts';
import type { Host } from '../host/host.ts';

export abstract class Reporter<R> {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #reader: Interface;
  readonly #lines: AsyncIterator<string>;
  #stderr = '';

  protected constructor(host: Host, program: string, args: readonly string[]) {
    this.#child = host.native.inNetns(host.netns, () => spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] }));
    this.#child.stdin.on('error', () => undefined); // it has ended; its words follow
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    this.#reader = createInterface({ input: this.#child.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** Without stopping: counts of the whole run, gaps and stalls since the last report. */
  async report(): Promise<R> {
    this.#child.stdin.write('report\n');
    return this.read(await this.line());
  }

  /** Ends the streams, waits for stragglers, and for the program's end. */
  async stop(): Promise<R> {
    const closed = this.#child.exitCode === null ? once(this.#child, 'close') : undefined;
    this.#child.stdin.end('stop\n');
    const result = this.read(await this.line());
    await closed;
    this.#reader.close();
    return result;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
    this.#reader.close();
  }

  /** Of a line that answers an order. */
  protected abstract read(line: string): R;

  /** Instead of a line there came the program's end, and these were its last words. */
  protected abstract ended(words: string): GodwitError;

  protected async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw this.ended(this.#stderr.trim() || 'no error text');
    return value;
  }
}
