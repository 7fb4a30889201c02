/**
 * The way back of held frames: out of the destination's taps and into the source's, in the order in which they came, while new
 * ones keep arriving. The guest stands still meanwhile, and this program is the only reader of both taps.
 *
 * A frame that was still in the tunnel when the redirect ended comes after frames that already reached the tap directly. The
 * counters tell whether there was one; then the redirect is put back, the tap's contents are taken out and put back in
 * their true order, and the end is tried again.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { ReceivedFrame } from '../native/native.ts';
import type { DestinationEnd, SourceEnd } from './ends.ts';
import { PeerLost } from './errors.ts';

export type HeldSource = Pick<SourceEnd, 'nics' | 'prime' | 'redirect' | 'endRedirect' | 'redirectedFrames' | 'takeAll' | 'inject'>;
export type HeldDestination = Pick<DestinationEnd, 'takeHeld' | 'deliveredFrames'>;

export interface Returned {
  /** Per NIC. */
  readonly frames: readonly number[];
  /** Frames that may stand behind younger ones, after all tries; 0 is proven order. */
  readonly outOfOrder: number;
  /** Per NIC: frames that entered the tunnel and were never seen again. */
  readonly lost: readonly number[];
}

/** Each succeeds when no frame comes in the fraction of a millisecond that the end of a redirect takes: at 4000/s every other one. */
const TRIES = 40;
/** How long a frame may be under way in a tunnel. */
const IN_FLIGHT = 200;

/** What was held at a destination that cannot be spoken with is lost, and counted as lost; the guest need not wait for it. */
export async function returnHeld(source: HeldSource, destination: HeldDestination): Promise<Returned> {
  await source.prime();
  try {
    return await bringBack(source, destination);
  } catch (error) {
    if (!(error instanceof PeerLost)) throw error;
    for (let nic = 0; nic < source.nics; nic++) source.endRedirect(nic);
    const lost = source.redirectedFrames();
    return { frames: lost.map(() => 0), outOfOrder: 0, lost };
  }
}

async function bringBack(source: HeldSource, destination: HeldDestination): Promise<Returned> {
  // `injected`: how many frames at the head of the source's tap are in their place.
  const nics = Array.from({ length: source.nics }, (_, i) => ({ index: i, injected: 0 }));
  for (const nic of nics) {
    const left = source.takeAll(nic.index);
    for (const frame of left) source.inject(nic.index, frame);
    nic.injected = left.length;
  }
  let outOfOrder = 0;
  // By the counters, not by what was taken: a NIC may have merged segments on their way (GRO). Read before the taps are emptied:
  // what they count is in the taps by then.
  const delivered: number[] = [];

  // Each NIC for itself: that none of several has a frame under way at the same moment is rare under load.
  for (const nic of nics) {
    for (let tries = 1; ; tries++) {
      // Until a look finds nothing, so that little can be under way when the redirect ends.
      for (let frames; (frames = await destination.takeHeld(nic.index)).length > 0; nic.injected += frames.length) {
        for (const frame of frames) source.inject(nic.index, frame);
      }
      source.endRedirect(nic.index);
      const late: ReceivedFrame[] = [];
      for (const deadline = performance.now() + IN_FLIGHT; ; await pause(0.5)) {
        delivered[nic.index] = (await destination.deliveredFrames())[nic.index] ?? 0;
        const all = source.redirectedFrames()[nic.index] === delivered[nic.index];
        late.push(...(await destination.takeHeld(nic.index)));
        if (all || performance.now() > deadline) break;
      }
      if (late.length === 0) break;
      if (tries === TRIES) {
        // As they are, behind what came directly: to put all in order would let still more in between.
        for (const frame of late) source.inject(nic.index, frame);
        outOfOrder += late.length;
        break;
      }
      source.redirect(nic.index);
      // In the tap: what was put back, then what came directly after the redirect's end, which is younger than `late`.
      const inTap = source.takeAll(nic.index);
      const direct = inTap.splice(nic.injected);
      for (const frame of [...inTap, ...late, ...direct]) source.inject(nic.index, frame);
      nic.injected += late.length + direct.length;
    }
  }

  return { frames: delivered, outOfOrder, lost: source.redirectedFrames().map((n, i) => n - (delivered[i] ?? 0)) };
}
