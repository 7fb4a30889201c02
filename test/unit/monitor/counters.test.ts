/** Counters of a kernel in memory, which may refuse; against a real one: test/lab/monitor-counters.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, decodeMessages, encodeAttributes, encodeMessage, text, u32 } from '../../../src/host/netlink-message.ts';
import { ifinfomsg } from '../../../src/host/link.ts';
import { MemoryNetwork } from '../../../src/native/memory.ts';
import { Counters } from '../../../src/monitor/counters.ts';

const [NEWLINK, GETLINK, NEWSTATS, GETSTATS, ERROR, DONE] = [16, 18, 92, 94, 2, 3];
const MULTI = 2;
const EINTR = 4;

/** One link, `eth0`, of index 5, that received so many bytes. */
class Kernel {
  received = 0;
  refuses = false;
  readonly counters: Counters;
  #monotonic = 0;

  constructor() {
    const network = new MemoryNetwork();
    network.addNetns('h');
    network.respond = (request) => this.#respond(request);
    const native = { ...network.native('h'), monotonic: () => this.#monotonic };
    this.counters = new Counters({ native, netns: native.openNetns(), lateness: () => 0 });
  }

  /** Bytes a second of the link after so many seconds; undefined: it is not told of. */
  after(seconds: number): number | undefined {
    this.#monotonic += seconds * 1000;
    const { links } = this.counters.read(0);
    return links.find(({ name }) => name === 'eth0')?.rxBytes;
  }

  #respond(request: Uint8Array): Uint8Array[] {
    const [{ type, sequence } = assert.fail()] = decodeMessages(request);
    if (this.refuses) return [encodeMessage(ERROR, 0x100, sequence, concat(u32(-EINTR >>> 0), u32(99), new Uint8Array(12)))];
    const done = encodeMessage(DONE, MULTI, sequence, u32(0));
    if (type === GETLINK) return [encodeMessage(NEWLINK ?? 0, MULTI, sequence, concat(ifinfomsg({ index: 5 }), encodeAttributes([[3, text('eth0')]]))), done];
    if (type !== GETSTATS) return [done];
    const stats = new BigUint64Array(24);
    stats[2] = BigInt(this.received);
    const attributes = encodeAttributes([[1, new Uint8Array(stats.buffer)]]);
    return [encodeMessage(NEWSTATS ?? 0, MULTI, sequence, concat(u32(0), u32(5), u32(1), attributes)), done];
  }
}

test('a second in which the kernel tells nothing is made up for by the next, not told twice', () => {
  const kernel = new Kernel();
  assert.equal(kernel.after(0), 0);
  kernel.received += 100;
  assert.equal(kernel.after(1), 100);
  kernel.received += 100;
  kernel.refuses = true;
  assert.equal(kernel.after(1), undefined);
  kernel.refuses = false;
  kernel.received += 300;
  assert.equal(kernel.after(1), 200);
  kernel.counters.close();
});

test('a counter that went backwards starts anew with 0; one of more than 32 bits counts on', () => {
  const kernel = new Kernel();
  kernel.received = 2 ** 40;
  kernel.after(0);
  kernel.received += 2 ** 33;
  assert.equal(kernel.after(1), 2 ** 33);
  kernel.received = 7;
  assert.equal(kernel.after(1), 0);
  kernel.received = 17;
  assert.equal(kernel.after(2), 5);
  kernel.counters.close();
});
