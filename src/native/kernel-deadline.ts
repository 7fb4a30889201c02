/** Deadlines: timerfd_create(2) on CLOCK_MONOTONIC, to the nanosecond where setTimeout counts whole milliseconds. */
import { Descriptor, check } from './kernel-descriptor.ts';
import { checkInstant } from './native.ts';
import type { Deadline } from './native.ts';
import type { Rawio } from './rawio.ts';

/** linux/time.h */
export const CLOCK_REALTIME = 0;
export const CLOCK_MONOTONIC = 1;

/** The kernel takes i32 seconds here; no machine stays up that long. */
const LATEST = (2 ** 31 - 1) * 1000;

class KernelDeadline extends Descriptor implements Deadline {
  #at: number | undefined;

  arm(at: number | undefined): void {
    if (at !== undefined) checkInstant(at);
    this.#at = at;
    this.#set(at);
  }

  onExpired(listener: (() => void) | undefined): void {
    this.onReadable(listener && (() => {
      // Armed anew after the event loop had seen it expire: the event is that of the old instant.
      if (this.#at === undefined || this.rawio.clockGettime(CLOCK_MONOTONIC) < this.#at) return;
      this.arm(undefined);
      listener();
    }));
  }

  #set(at: number | undefined): void {
    // 0, 0 would disarm; and never before `at`: rounded up.
    const instant = at === undefined ? 0 : Math.min(Math.max(at, 1e-6), LATEST);
    let seconds = Math.floor(instant / 1000);
    let nanoseconds = Math.ceil((instant - seconds * 1000) * 1e6);
    if (nanoseconds >= 1e9) {
      seconds++;
      nanoseconds = 0;
    }
    check(`timerfd_settime ${this.what}`, this.rawio.timerfdSettime(this.fd, seconds, nanoseconds));
  }
}

export function deadline(rawio: Rawio): Deadline {
  return new KernelDeadline(rawio, check('timerfd_create', rawio.timerfdCreate(CLOCK_MONOTONIC)), 'deadline');
}
