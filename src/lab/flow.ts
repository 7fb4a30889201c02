/** One numbered stream of datagrams from one namespace to others (src/lab/guest/flow.c): what a path loses, and when. */
import { GodwitError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { FLOW } from './guest-image.ts';
import { Reporter } from './reporter.ts';

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
}

/** 1000 datagrams a second. */
export class Flow extends Reporter<FlowReport> {
  private constructor(from: Host, { to, receiveIn }: FlowOptions) {
    super(from, FLOW, ['--to', String(to), ...receiveIn.flatMap((name) => ['--receive-in', name]), '--pps', '1000']);
  }

  /** Resolves when something has come through; from then on everything counts. Rejects with LAB_FLOW_ENDED after 15 s without. */
  static async start(from: Host, options: FlowOptions): Promise<Flow> {
    const flow = new Flow(from, options);
    await flow.line();
    return flow;
  }

  protected override read(line: string): FlowReport {
    // The shape is godwit-flow's, of this same repository.
    return JSON.parse(line) as FlowReport;
  }

  protected override ended(words: string): GodwitError {
    return new GodwitError('LAB_FLOW_ENDED', `The stream ended without a word: ${words}`);
  }
}
