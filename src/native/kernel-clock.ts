/** What the kernel knows about its clock: adjtimex(2), which tells it to anybody. */
import { check } from './kernel-descriptor.ts';
import type { KernelClockError } from './native.ts';
import type { Rawio } from './rawio.ts';

/** linux/timex.h */
const STA_UNSYNC = 0x40;
/** maxerror counts µs, whatever STA_NANO says. */
const PER_MS = 1000;

export function clockError(rawio: Rawio): KernelClockError {
  const about = new Float64Array(2);
  check('adjtimex', rawio.adjtimex(about));
  const [status = STA_UNSYNC, most = 0] = about;
  return { synchronized: (status & STA_UNSYNC) === 0, error: most / PER_MS };
}
