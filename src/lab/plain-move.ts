/** A move as QEMU alone does it: what Godwit is measured against. max-bandwidth as Godwit's, downtime-limit 50 ms, QEMU's announce. */
import { type BytesPerSecond, type Milliseconds, ms, seconds } from '../base/units.ts';
import type { Host } from '../host/host.ts';
import { formatUri } from '../move/uri.ts';
import { KernelGuest } from '../move/kernel-guest.ts';
import { prepareIncoming, prepareOutgoing } from '../vm/migration.ts';
import type { IpAddress } from '../wire/ip-address.ts';

export interface PlainResult {
  readonly running: KernelGuest;
  /** From the order to RESUME. */
  readonly total: Milliseconds;
  readonly stopToResume: Milliseconds;
  readonly stoppedAt: Milliseconds;
  readonly resumedAt: Milliseconds;
}

const DOWNTIME_LIMIT = ms(50);
const PATIENCE = seconds(60);

export async function plainMove(
  from: KernelGuest, to: Host, address: IpAddress, options: { id: string; runDirectory: string; maxBandwidth: BytesPerSecond },
): Promise<PlainResult> {
  const startedAt = performance.timeOrigin + performance.now();
  const destination = await KernelGuest.start(to, from.vm, { runDirectory: options.runDirectory, id: options.id }, 'running');
  try {
    const incoming = await prepareIncoming(destination.qemu, { hold: false });
    const outgoing = await prepareOutgoing(from.qemu, { hold: false, maxBandwidth: options.maxBandwidth, downtimeLimit: DOWNTIME_LIMIT });
    const stop = from.qemu.qmp.waitFor('STOP', { since: from.qemu.qmp.mark(), timeout: PATIENCE });
    const resume = destination.qemu.qmp.waitFor('RESUME', { since: destination.qemu.qmp.mark(), timeout: PATIENCE });
    const uri = formatUri(address, 4444);
    await incoming.listen(uri);
    await outgoing.migrate(uri);
    const [{ at: stoppedAt }, { at: resumedAt }] = await Promise.all([stop, resume]);
    await outgoing.completed(PATIENCE);
    await from.kill();
    return { running: destination, total: ms(resumedAt - startedAt), stopToResume: ms(resumedAt - stoppedAt), stoppedAt: ms(stoppedAt), resumedAt: ms(resumedAt) };
  } catch (error) {
    await destination.kill();
    throw error;
  }
}
