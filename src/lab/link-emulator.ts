/** godwit-emulate (src/lab/guest/emulate.c): a wire between two interfaces of one namespace, with faults, and the truth about them. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Interface, createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { GodwitError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import { EMULATE } from './guest-image.ts';

export type Side = 'left' | 'right';

/** What befalls frames that come in at one side; what is absent does not. Times in ms, shares 0..1. */
export interface Faults {
  readonly delay?: number;
  /** `uniform`: delay ± jitter; `normal`: its deviation; `exponential`: its mean, on top of delay. */
  readonly jitter?: number;
  readonly distribution?: 'uniform' | 'normal' | 'exponential';
  /** At random. */
  readonly loss?: number;
  /** Every so manieth frame is lost. */
  readonly every?: number;
  /** This share is delayed by `reorderBy` more, and may be overtaken; nothing else ever is. */
  readonly reorder?: number;
  readonly reorderBy?: number;
  /** Bytes per second, of frames without their FCS. */
  readonly rate?: number;
  /** Bytes that may wait for the rate; absent: no limit. */
  readonly queue?: number;
  /** IP packets longer than this vanish without a word, bytes. */
  readonly mtu?: number;
  /** Of all that is random. */
  readonly seed?: number;
  /** IP packets longer than this are not among `Truth.delays`, bytes; a fault of none. */
  readonly countedTo?: number;
}

/** What did befall the frames that came in at one side. */
export interface Truth {
  readonly received: number;
  readonly forwarded: number;
  readonly lost: number;
  readonly tooLong: number;
  readonly queueFull: number;
  /** Were delayed by `reorderBy`. */
  readonly reordered: number;
  /** Not of the faults but of the emulator: must be 0, or a figure means nothing. */
  readonly overflow: number;
  readonly sendErrors: number;
  readonly socketDrops: number;
  /** How late it was at most, against what it had meant to do. */
  readonly latestMs: number;
  /** [n, count]: so many frames stayed n to n + 1 hundredths of a ms; in order of n. */
  readonly delays: readonly (readonly [number, number])[];
}

/** ms of one step of `Truth.delays`. */
const DELAY_STEP = 0.01;

export class LinkEmulator {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #reader: Interface;
  readonly #lines: AsyncIterator<string>;
  #stderr = '';

  private constructor({ native, netns }: Host, left: string, right: string) {
    this.#child = native.inNetns(netns, () => ({ child: spawn(EMULATE, [left, right], { stdio: ['pipe', 'pipe', 'pipe'] }) })).child;
    this.#child.on('error', (error) => (this.#stderr += error.message));
    this.#child.stdin.on('error', () => undefined); // it has ended; its words follow
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    this.#reader = createInterface({ input: this.#child.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** Resolves when it carries frames, as a wire without faults. Rejects with LAB_EMULATOR. */
  static async start(host: Host, left: string, right: string): Promise<LinkEmulator> {
    const emulator = new LinkEmulator(host, left, right);
    try {
      await emulator.#answer();
      return emulator;
    } catch (error) {
      emulator.close();
      throw error;
    }
  }

  /** All faults of this side from now on. What is held already goes as it was meant to. */
  async set(from: Side, faults: Faults): Promise<void> {
    await this.#ask({ from, ...faults });
  }

  /** Since the start, or the last `forget`. */
  async truth(): Promise<Readonly<Record<Side, Truth>>> {
    // The shape is godwit-emulate's, of this same repository.
    return await this.#ask({ report: true }) as Readonly<Record<Side, Truth>>;
  }

  async forget(): Promise<void> {
    await this.#ask({ forget: true });
  }

  /** Its frames are gone. Resolves when it has ended. */
  async stop(): Promise<void> {
    const ended = this.#child.exitCode === null && this.#child.signalCode === null ? once(this.#child, 'close') : undefined;
    this.#child.stdin.end();
    await ended;
    this.#reader.close();
  }

  close(): void {
    this.#child.kill('SIGKILL');
    this.#reader.close();
  }

  async #ask(order: object): Promise<object> {
    this.#child.stdin.write(`${JSON.stringify(order)}\n`);
    const answer = await this.#answer();
    if ('error' in answer) throw new GodwitError('LAB_EMULATOR', `The link emulator refused ${JSON.stringify(order)}: ${answer.error}`);
    return answer;
  }

  async #answer(): Promise<object> {
    const { value, done } = await this.#lines.next();
    if (done) {
      const words = this.#stderr.trim() || 'without a word';
      throw new GodwitError('LAB_EMULATOR', `The link emulator ended: ${words}; is it built (\`sh tools/setup.sh lab\`)?`);
    }
    const answer: unknown = JSON.parse(value);
    return typeof answer === 'object' && answer !== null ? answer : {};
  }
}

/** The delay below which `share` (0..1) of the frames stayed, by the nearest rank, ms, to half a step; NaN where there were none. */
export function delayQuantile({ delays }: Pick<Truth, 'delays'>, share: number): number {
  const total = delays.reduce((n, [, count]) => n + count, 0);
  const rank = Math.max(1, Math.ceil(share * total));
  let seen = 0;
  for (const [step, count] of delays) {
    seen += count;
    if (seen >= rank) return (step + 0.5) * DELAY_STEP;
  }
  return NaN;
}
