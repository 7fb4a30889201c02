/** The client's view: godwit-probe in the client's namespace, talking to godwit-guest in the VM. */
import { GodwitError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { PROBE } from './guest-image.ts';
import { Reporter } from './reporter.ts';

/** One direction of a numbered stream. Times in ms; `gapStartMs` and `gapEndMs` since the epoch. */
export interface StreamReport {
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly largestGapMs: number;
  readonly missing: readonly (readonly number[])[];
}

/** The last line godwit-probe prints (src/lab/guest/probe.c). */
export interface ProbeResult {
  readonly toGuest: StreamReport;
  readonly toClient: StreamReport & { readonly gapStartMs: number; readonly gapEndMs: number };
  readonly sessions: { readonly opened: number; readonly alive: number; readonly messages: number; readonly largestStallMs: number; readonly errors: readonly string[] };
  readonly bulk: { readonly toGuestBytes: number; readonly toClientBytes: number; readonly largestStallMs: number; readonly alive: boolean | null; readonly errors: readonly string[] };
  readonly guest: { readonly memoryErrors: number; readonly diskErrors: number; readonly diskWrites: number; readonly uptimeMs: number };
  readonly probe: { readonly largestOwnLatenessMs: number; readonly sendErrors: number; readonly socketDrops: number };
}

export interface ProberOptions {
  readonly to: IpAddress;
  /** UDP payload, bytes: 1472 fills an IPv4 frame of 1500, 1452 an IPv6 one. */
  readonly size?: number;
  /** TCP echo sessions. */
  readonly sessions?: number;
  /** TCP bulk, Mbit/s each way. */
  readonly bulk?: number;
  /** The guest writes this much memory, MB/s, over 64 MB. */
  readonly dirty?: number;
  /** The guest writes numbered blocks to its disk, so many a second. */
  readonly disk?: number;
}

export class Prober extends Reporter<ProbeResult> {
  private constructor(client: Host, options: ProberOptions) {
    const args = ['--to', String(options.to), '--pps', '1000', '--size', String(options.size ?? 64), '--sessions', String(options.sessions ?? 8)];
    if (options.bulk) args.push('--bulk', String(options.bulk));
    if (options.dirty) args.push('--dirty', `64,${options.dirty}`);
    if (options.disk) args.push('--disk', String(options.disk));
    super(client, PROBE, args);
  }

  /** Resolves when everything flows both ways. */
  static async start(client: Host, options: ProberOptions): Promise<Prober> {
    const prober = new Prober(client, options);
    await prober.line();
    return prober;
  }

  protected override read(line: string): ProbeResult {
    // The shape is godwit-probe's, of this same repository; its own test holds it to it.
    const result = JSON.parse(line) as ProbeResult | { readonly error: string };
    if ('error' in result) throw new GodwitError('LAB_GUEST_DEAF', `The prober ended: ${result.error}`);
    return result;
  }

  protected override ended(words: string): GodwitError {
    return new GodwitError('LAB_PROBE_ENDED', `The prober ended without a word: ${words}`);
  }
}
