/** Frames that were redirected come back in the order in which they arrived, though more arrive, and travel, all the while. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type HeldDestination, type HeldSource, returnHeld } from '../../../src/agent/return-held.ts';
import type { ReceivedFrame } from '../../../src/native/native.ts';

/** One frame for each NIC named arrives, then each tunnel delivers up to `deliver` frames. */
interface Tick {
  readonly arrive: readonly number[];
  readonly deliver: number;
}

/** What arrives at which NICs just before the redirect ends, too late to be seen at the other end, and just after. */
interface End {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** How many frames a NIC has in the source's tap, in the destination's, and on the way. */
interface Beginning {
  readonly left: number;
  readonly held: number;
  readonly travelling: number;
}

interface Lane {
  redirected: boolean;
  readonly sourceTap: number[];
  readonly tunnel: number[];
  readonly destinationTap: number[];
  into: number;
  outOf: number;
  /** Frames that arrived, numbered from 0. */
  arrived: number;
}

/**
 * The taps and tunnels of a VM that stands still. Before and after everything that is done to them one tick passes; when all have
 * passed, nothing arrives any more and the tunnels are quick.
 */
class Network implements HeldSource, HeldDestination {
  readonly running: { readonly taps: readonly Lane[] };
  readonly #ticks: Iterator<Tick, undefined>;
  readonly #ends: readonly End[];
  ended = 0;

  constructor(nics: readonly Beginning[], ticks: Iterable<Tick, undefined> = [], ends: readonly End[] = []) {
    this.#ends = ends;
    this.#ticks = ticks[Symbol.iterator]();
    this.running = {
      taps: nics.map(({ left, held, travelling }) => {
        const all = Array.from({ length: left + held + travelling }, (_, i) => i);
        return {
          redirected: true, sourceTap: all.slice(0, left), destinationTap: all.slice(left, left + held), tunnel: all.slice(left + held),
          into: held + travelling, outOf: held, arrived: all.length,
        };
      }),
    };
  }

  async prime(): Promise<void> {
    this.#tick();
  }

  redirect(nic: number): void {
    const lane = this.running.taps[nic];
    if (lane) this.#do(() => (lane.redirected = true));
  }

  endRedirect(nic: number): void {
    const end = this.#ends[this.ended++];
    this.#arrive(end?.before);
    const lane = this.running.taps[nic];
    if (lane) lane.redirected = false;
    this.#arrive(end?.after);
    this.#tick();
  }

  redirectedFrames(): number[] {
    return this.running.taps.map((lane) => this.#do(() => lane.into));
  }

  deliveredFrames(): number[] {
    return this.running.taps.map((lane) => this.#do(() => lane.outOf));
  }

  takeAll(nic: number): ReceivedFrame[] {
    return this.#drain(this.running.taps[nic]?.sourceTap);
  }

  takeHeld(nic: number): ReceivedFrame[] {
    return this.#drain(this.running.taps[nic]?.destinationTap);
  }

  inject(nic: number, frame: ReceivedFrame): void {
    this.#do(() => this.running.taps[nic]?.sourceTap.push(frame.timestamp));
  }

  /** Like reading a descriptor until nothing is there. */
  #drain(queue: number[] = []): ReceivedFrame[] {
    const frames: ReceivedFrame[] = [];
    for (;;) {
      const number = this.#do(() => queue.shift());
      if (number === undefined) return frames;
      frames.push({ vnetHeader: new Uint8Array(12), frame: new Uint8Array(60), packetType: 0, timestamp: number });
    }
  }

  #do<T>(what: () => T): T {
    this.#tick();
    const result = what();
    this.#tick();
    return result;
  }

  #tick(): void {
    const { arrive, deliver } = this.#ticks.next().value ?? { arrive: [], deliver: Infinity };
    this.#arrive(arrive);
    for (const lane of this.running.taps) {
      const out = lane.tunnel.splice(0, deliver);
      lane.destinationTap.push(...out);
      lane.outOf += out.length;
    }
  }

  #arrive(nics: readonly number[] = []): void {
    for (const nic of nics) {
      const lane = this.running.taps[nic];
      if (!lane) continue;
      (lane.redirected ? lane.tunnel : lane.sourceTap).push(lane.arrived++);
      if (lane.redirected) lane.into++;
    }
  }

  /** What the guest will read, NIC by NIC. */
  order(): number[][] {
    return this.running.taps.map(({ sourceTap }) => [...sourceTap]);
  }

  arrivals(): number[][] {
    return this.running.taps.map(({ arrived }) => Array.from({ length: arrived }, (_, i) => i));
  }
}

const few = fc.nat(4);
const nic = fc.record({ left: few, held: few, travelling: few });
const ticks = (nics: number, maxLength: number): fc.Arbitrary<Tick[]> => fc.array(
  fc.record({
    arrive: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.array(fc.nat(nics - 1), { minLength: 1, maxLength: 2 })),
    deliver: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.nat(3)),
  }),
  { maxLength, size: 'max' },
);

test('nothing held, nothing left: nothing to do', async () => {
  const network = new Network([{ left: 0, held: 0, travelling: 0 }]);
  assert.deepEqual(await returnHeld(network, network), { frames: [0], outOfOrder: 0, lost: [0] });
  assert.equal(network.ended, 1);
  assert.equal(network.running.taps[0]?.redirected, false);
});

test('what was left at the source comes before what was held', async () => {
  const network = new Network([{ left: 2, held: 3, travelling: 0 }]);
  assert.deepEqual(await returnHeld(network, network), { frames: [3], outOfOrder: 0, lost: [0] });
  assert.deepEqual(network.order(), [[0, 1, 2, 3, 4]]);
});

test('a frame in the tunnel at the end of the redirect goes before those that came directly after it', async () => {
  const network = new Network([{ left: 0, held: 0, travelling: 0 }], [], [{ before: [0], after: [0] }]);
  const { frames, outOfOrder, lost } = await returnHeld(network, network);
  assert.deepEqual([frames, outOfOrder, lost, network.ended], [[1], 0, [0], 2]);
  assert.deepEqual(network.order(), [[0, 1]]);
});

test('a frame that the tunnel lost is counted, and the others come back', async () => {
  const network = new Network([{ left: 1, held: 2, travelling: 1 }]);
  network.running.taps[0]?.tunnel.pop();
  assert.deepEqual(await returnHeld(network, network), { frames: [2], outOfOrder: 0, lost: [1] });
  assert.deepEqual(network.order(), [[0, 1, 2]]);
});

function exact(nics: number): () => Promise<void> {
  const some = fc.array(fc.nat(nics - 1), { maxLength: 2 });
  const ends = fc.array(fc.record({ before: some, after: some }), { maxLength: 5, size: 'max' });
  return async () => {
    let again = 0;
    const beginnings = fc.array(nic, { minLength: nics, maxLength: nics });
    await fc.assert(fc.asyncProperty(beginnings, ticks(nics, 150), ends, async (nics, ticks, ends) => {
      const network = new Network(nics, ticks, ends);
      const { frames, outOfOrder, lost } = await returnHeld(network, network);
      again += network.ended > 1 ? 1 : 0;
      assert.deepEqual([outOfOrder, lost], [0, nics.map(() => 0)]);
      assert.deepEqual(frames, network.redirectedFrames());
      assert.deepEqual(network.order(), network.arrivals());
      assert.ok(network.running.taps.every((lane) => !lane.redirected));
    }), { numRuns: 300 });
    assert.ok(again > 100, 'frames were hardly ever under way');
  };
}

test('one NIC: whatever arrives whenever, the order is that of arrival, nothing is lost and nothing twice', exact(1));
test('two NICs: the same', exact(2));

test('when a frame is under way at every end of the redirect it gives up at last, loses nothing, and admits what is out of order', async () => {
  const always = Array.from({ length: 1000 }, () => ({ before: [0], after: [0] }));
  const network = new Network([{ left: 0, held: 3, travelling: 0 }], [], always);
  const { outOfOrder, lost } = await returnHeld(network, network);
  assert.deepEqual([outOfOrder, lost], [1, [0]]);
  assert.ok(network.ended > 1 && network.ended < 1000, `${network.ended} tries`);
  const [order = []] = network.order();
  const arrivals = network.arrivals()[0] ?? [];
  assert.deepEqual(order.toSorted((a, b) => a - b), arrivals);
  // The last pair stands the wrong way round, and nothing else.
  assert.deepEqual(order, [...arrivals.slice(0, -2), ...arrivals.slice(-2).toReversed()]);
});
