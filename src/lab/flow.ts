/** One numbered stream of datagrams from one namespace to others (src/lab/guest/flow.c): what a path loses, and when. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Interface, createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { GodwitError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { FLOW } from './guest-image.ts';

/** The line that godwit-flow prints. Instants in ms since the epoch. */
export interface FlowReport {
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly largestGapMs: number;
  readonly gapStartMs: number;
  readonly gapEndMs: number;
  /** [first, last, when the first was sent, when the first after them was sent]; at most 50. */
  readonly missing: readonly (readonly [number, number, number, number])[];
  readonly ownLatenessMs: number;
  readonly sendErrors: number;
  readonly socketDrops: number;
}

export interface FlowOptions {
  readonly to: IpAddress;
  /** The namespaces that `to` may be in, by their names. */
  readonly receiveIn: readonly string[];
  /** Datagrams a second. */
  readonly rate?: number;
}

export class Flow {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #reader: Interface;
  readonly #lines: AsyncIterator<string>;
  #stderr = '';

  private constructor(from: Host, { to, receiveIn, rate = 1000 }: FlowOptions) {
    const args = ['--to', String(to), ...receiveIn.flatMap((name) => ['--receive-in', name]), '--pps', String(rate)];
    this.#child = from.native.inNetns(from.netns, () => spawn(FLOW, args, { stdio: ['pipe', 'pipe', 'pipe'] }));
    this.#child.stdin.on('error', () => undefined); // it has ended; its words follow
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    this.#reader = createInterface({ input: this.#child.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** Resolves when something has come through; from then on everything counts. Rejects with LAB_FLOW_ENDED after 15 s without. */
  static async start(from: Host, options: FlowOptions): Promise<Flow> {
    const flow = new Flow(from, options);
    await flow.#line();
    return flow;
  }

  /** Without stopping: counts of the whole run, the largest gap since the last report. */
  async report(): Promise<FlowReport> {
    this.#child.stdin.write('report\n');
    return this.#result();
  }

  async stop(): Promise<FlowReport> {
    const closed = this.#child.exitCode === null ? once(this.#child, 'close') : undefined;
    this.#child.stdin.end('stop\n');
    const result = await this.#result();
    await closed;
    this.#reader.close();
    return result;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
    this.#reader.close();
  }

  async #result(): Promise<FlowReport> {
    // The shape is godwit-flow's, of this same repository.
    return JSON.parse(await this.#line()) as FlowReport;
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new GodwitError('LAB_FLOW_ENDED', `The stream ended without a word: ${this.#stderr.trim() || 'no error text'}`);
    return value;
  }
}
