/** Frames that were redirected come back in the order in which they arrived, though more arrive, and travel, all the while. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PeerLost } from '../../../src/move/errors.ts';
import { type HeldDestination, type HeldSource, returnHeld } from '../../../src/move/return-held.ts';
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
  readonly lanes: readonly Lane[];
  readonly #ticks: Iterator<Tick, undefined>;
  readonly #ends: readonly End[];
  /** How many more questions the destination hears. */
  #hears = Infinity;
  ended = 0;

  constructor(nics: readonly Beginning[], ticks: Iterable<Tick, undefined> = [], ends: readonly End[] = []) {
    this.#ends = ends;
    this.#ticks = ticks[Symbol.iterator]();
    this.lanes = nics.map(({ left, held, travelling }) => {
      const all = Array.from({ length: left + held + travelling }, (_, i) => i);
      return {
        redirected: true, sourceTap: all.slice(0, left), destinationTap: all.slice(left, left + held), tunnel: all.slice(left + held),
        into: held + travelling, outOf: held, arrived: all.length,
      };
    });
  }

  get nics(): number {
    return this.lanes.length;
  }

  /** The wire to the destination's agent breaks after so many questions. */
  breakAfter(questions: number): void {
    this.#hears = questions;
  }

  async prime(): Promise<void> {
    this.#tick();
  }

  redirect(nic: number): void {
    const lane = this.lanes[nic];
    if (lane) this.#do(() => (lane.redirected = true));
  }

  endRedirect(nic: number): void {
    const end = this.#ends[this.ended++];
    this.#arrive(end?.before);
    const lane = this.lanes[nic];
    if (lane) lane.redirected = false;
    this.#arrive(end?.after);
    this.#tick();
  }

  redirectedFrames(): number[] {
    return this.lanes.map((lane) => this.#do(() => lane.into));
  }

  async deliveredFrames(): Promise<number[]> {
    this.#asked();
    return this.lanes.map((lane) => this.#do(() => lane.outOf));
  }

  takeAll(nic: number): ReceivedFrame[] {
    return this.#drain(this.lanes[nic]?.sourceTap);
  }

  async takeHeld(nic: number): Promise<ReceivedFrame[]> {
    this.#asked();
    return this.#drain(this.lanes[nic]?.destinationTap);
  }

  inject(nic: number, frame: ReceivedFrame): void {
    this.#do(() => this.lanes[nic]?.sourceTap.push(frame.timestamp));
  }

  #asked(): void {
    if (this.#hears-- <= 0) throw new PeerLost('host-b', 'the wire is cut');
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
    for (const lane of this.lanes) {
      const out = lane.tunnel.splice(0, deliver);
      lane.destinationTap.push(...out);
      lane.outOf += out.length;
    }
  }

  #arrive(nics: readonly number[] = []): void {
    for (const nic of nics) {
      const lane = this.lanes[nic];
      if (!lane) continue;
      (lane.redirected ? lane.tunnel : lane.sourceTap).push(lane.arrived++);
      if (lane.redirected) lane.into++;
    }
  }

  /** What the guest will read, NIC by NIC. */
  order(): number[][] {
    return this.lanes.map(({ sourceTap }) => [...sourceTap]);
  }

  arrivals(): number[][] {
    return this.lanes.map(({ arrived }) => Array.from({ length: arrived }, (_, i) => i));
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
  assert.equal(network.lanes[0]?.redirected, false);
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
  network.lanes[0]?.tunnel.pop();
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
      assert.ok(network.lanes.every((lane) => !lane.redirected));
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

test('a destination that is lost from the start: every redirect ends, what was redirected counts as lost, the rest is as it was', async () => {
  const network = new Network([{ left: 2, held: 3, travelling: 1 }, { left: 1, held: 0, travelling: 0 }]);
  network.breakAfter(0);
  assert.deepEqual(await returnHeld(network, network), { frames: [0, 0], outOfOrder: 0, lost: [4, 0] });
  assert.deepEqual(network.lanes.map(({ redirected }) => redirected), [false, false]);
  assert.deepEqual(network.order(), [[0, 1], [0]]);
});

test('a destination that is lost at any question: no NIC stays redirected, none is out of order, and no loss goes uncounted', async () => {
  let [cutShort, some] = [0, 0];
  const either = fc.array(fc.nat(1), { maxLength: 2 });
  const ends = fc.array(fc.record({ before: either, after: either }), { maxLength: 5 });
  const two = fc.array(nic, { minLength: 2, maxLength: 2 });
  await fc.assert(fc.asyncProperty(two, ticks(2, 100), ends, fc.nat(12), async (nics, ticks, ends, questions) => {
    const network = new Network(nics, ticks, ends);
    network.breakAfter(questions);
    const { frames, outOfOrder, lost } = await returnHeld(network, network);
    assert.equal(outOfOrder, 0);
    assert.deepEqual(network.lanes.map(({ redirected }) => redirected), [false, false]);
    const whole = lost.every((n) => n === 0);
    for (const [i, order] of network.order().entries()) {
      assert.deepEqual(order, [...new Set(order)].toSorted((a, b) => a - b), 'in order, none twice');
      const gone = (network.arrivals()[i]?.length ?? 0) - order.length;
      assert.ok(gone <= (lost[i] ?? 0), `${gone} gone, ${lost[i]} counted`);
      if (!whole) assert.equal(frames[i], 0, 'what came back before cannot be told from what did not');
    }
    cutShort += whole ? 0 : 1;
    some += !whole && questions > 0 ? 1 : 0;
  }), { numRuns: 300 });
  assert.ok(cutShort > 50 && some > 50, `cut short ${cutShort} times, ${some} of them in the middle`);
});

test('any other failure is the caller\'s', async () => {
  const network = new Network([{ left: 0, held: 1, travelling: 0 }]);
  const failing = { takeHeld: () => Promise.reject(new RangeError('no such NIC')), deliveredFrames: () => network.deliveredFrames() };
  await assert.rejects(returnHeld(network, failing), RangeError);
});
