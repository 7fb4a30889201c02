/** Contract of `Native`: clocks and deadlines. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NativeMisuseError } from '../../src/native/native.ts';
import type { Deadline } from '../../src/native/native.ts';
import { system } from './native-bench.ts';
import type { Bench } from './native-bench.ts';

const fired = (deadline: Deadline): Promise<void> => new Promise((resolve) => deadline.onExpired(resolve));
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export function deadlineContract(bench: () => Bench): void {
  describe('deadline', () => {
    it('fires once for each arm, never early', async (t) => {
      const { native, fixture } = bench();
      const deadline = bench().closing(t, native.deadline());
      const late: number[] = [];
      let at = native.monotonic() + 2.5;
      const done = new Promise<void>((resolve) => {
        deadline.onExpired(() => {
          late.push(native.monotonic() - at);
          if (late.length === 5) resolve();
          else deadline.arm(at += 1.25);
        });
      });
      deadline.arm(at);
      await fixture.passTime(10);
      await done;
      const witness = bench().closing(t, native.deadline());
      const ended = fired(witness);
      witness.arm(native.monotonic() + 5);
      await fixture.passTime(5);
      await ended;
      assert.equal(late.length, 5);
      assert.ok(late.every((ms) => ms >= 0), String(late));
    });

    it('is moved by another arm, and put off by undefined', async (t) => {
      const { native, fixture } = bench();
      const [moved, disarmed, witness] = [0, 1, 2].map(() => bench().closing(t, native.deadline()));
      assert.ok(moved && disarmed && witness);
      const order: string[] = [];
      moved.onExpired(() => order.push('moved'));
      disarmed.onExpired(() => order.push('disarmed'));
      const start = native.monotonic();
      moved.arm(start + 1);
      disarmed.arm(start + 2);
      moved.arm(start + 6);
      disarmed.arm(undefined);
      const ended = new Promise<void>((resolve) => {
        witness.onExpired(() => {
          order.push('witness');
          witness.onExpired(resolve);
          witness.arm(start + 10);
        });
      });
      witness.arm(start + 4);
      await fixture.passTime(12);
      await ended;
      assert.deepEqual(order, ['witness', 'moved']);
    });

    it('fires at once for what has passed, but not inside arm', async (t) => {
      const { native, fixture } = bench();
      await fixture.passTime(2);
      for (const at of [native.monotonic(), native.monotonic() - 1, 0, -5]) {
        const deadline = bench().closing(t, native.deadline());
        let calls = 0;
        const once = new Promise<void>((resolve) => {
          deadline.onExpired(() => {
            calls++;
            resolve();
          });
        });
        deadline.arm(at);
        assert.equal(calls, 0);
        await once;
        await settled();
        assert.equal(calls, 1);
      }
    });

    it('put off by another that expired with it, does not fire', async (t) => {
      const { native } = bench();
      const pair = [0, 1].map(() => bench().closing(t, native.deadline()));
      let calls = 0;
      const first = new Promise<void>((resolve) => {
        for (const deadline of pair) {
          deadline.onExpired(() => {
            calls++;
            for (const each of pair) each.arm(native.monotonic() + 1e6);
            resolve();
          });
        }
      });
      for (const deadline of pair) deadline.arm(native.monotonic());
      await first;
      await settled();
      await settled();
      assert.equal(calls, 1);
    });

    it('ends with close, also inside the listener; is no place for what is no instant', async (t) => {
      const { native } = bench();
      const deadline = bench().closing(t, native.deadline());
      for (const at of [NaN, Infinity]) assert.throws(() => deadline.arm(at), NativeMisuseError);
      const once = new Promise<void>((resolve) => {
        deadline.onExpired(() => {
          deadline.close();
          deadline.close();
          resolve();
        });
      });
      deadline.arm(0);
      await once;
      assert.throws(() => deadline.arm(1), system('EBADF', 'deadline'));
      assert.throws(() => deadline.onExpired(() => {}), system('EBADF', 'deadline'));
    });

    it('says how far the clock may be off', () => {
      const { synchronized, error } = bench().native.clockError();
      // NTP_PHASE_LIMIT; who is synchronized is below it, or the kernel would say so.
      assert.ok(error >= 0 && error <= 16_000, String(error));
      assert.equal(typeof synchronized, 'boolean');
    });

    it('the monotonic clock goes on, in fractions of a ms', async () => {
      const { native, fixture } = bench();
      const before = native.monotonic();
      await fixture.passTime(0.25);
      while (native.monotonic() === before);
      assert.ok(native.monotonic() > before);
      assert.notEqual(native.monotonic() % 1, before % 1);
    });
  });
}
