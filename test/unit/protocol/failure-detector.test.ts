/** What a detector says, against traces whose truth is known. Times in ms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import { ArrivalJitter } from '../../../src/protocol/arrival-jitter.ts';
import { type DetectorPolicy, FailureDetector, defaultDetectorPolicy } from '../../../src/protocol/failure-detector.ts';
import { exponential, normal, seeded } from './seeded.ts';

// Of what is only likely the same draw each time: a test that fails once in some thousand runs would say nothing.
fc.configureGlobal({ seed: 20_261_122 });

const DAY = 86_400_000;
const policy: DetectorPolicy = { ...defaultDetectorPolicy, floor: ms(1), ceiling: ms(60_000) };

type Gaps = (random: () => number) => number;
const INTERVAL = 100;
/** Arrival times are due + delay: a late one shortens the next gap. Lost ones leave gaps of several intervals. */
const models: Record<string, () => Gaps> = {
  'exponential delay': () => {
    let before = 0;
    return (random) => {
      const delay = exponential(random, 5);
      const gap = INTERVAL + delay - before;
      before = delay;
      return gap;
    };
  },
  'half-normal delay': () => {
    let before = 0;
    return (random) => {
      const delay = Math.abs(normal(random)) * 10;
      const gap = INTERVAL + delay - before;
      before = delay;
      return gap;
    };
  },
  '5 % loss': () => (random) => {
    let gap = INTERVAL * (0.95 + random() * 0.1);
    while (random() < 0.05) gap += INTERVAL;
    return gap;
  },
  'a stall of 200 now and then': () => (random) => INTERVAL * (0.95 + random() * 0.1) + (random() < 0.02 ? exponential(random, 200) : 0),
};

/** Arrivals of a peer that lives; returns how often it was suspected, and what was predicted on the way. */
function suspect(gaps: Gaps, count: number, policy: DetectorPolicy, seed: number): { alarms: number; predicted: number } {
  const detector = new FailureDetector(policy);
  const random = seeded(seed);
  let [now, alarms, predicted, asked] = [0, 0, 0, 0];
  detector.watch('b', 'p', ms(INTERVAL), ms(0));
  for (let i = 0; i < count; i++) {
    now += gaps(random);
    alarms += detector.expire(ms(now)).length;
    detector.heard('b', 'p', ms(now));
    if (i > 1000 && i % 97 === 0) {
      predicted += detector.opinion('b', ms(now))?.paths[0]?.falseAlarmsPerDay ?? Number.NaN;
      asked++;
    }
  }
  return { alarms: alarms * DAY / now, predicted: predicted / asked };
}

for (const [name, model] of Object.entries(models)) {
  test(`${name}: a peer that lives is suspected about as often as policy allows, and as is shown`, () => {
    // One in a thousand gaps: enough to count, and beyond what a window of 512 has seen.
    const wanted = DAY / INTERVAL / 1000;
    const { alarms, predicted } = suspect(model(), 200_000, { ...policy, falseAlarmsPerDay: wanted }, 1);
    // The window's own largest gap is never under the time-out: alarms are at most one in 512, and mostly fewer than allowed.
    assert.ok(alarms < 2 * wanted, `${alarms} a day, allowed ${wanted}`);
    assert.ok(alarms > wanted / 20, `${alarms} a day, allowed ${wanted}`);
    assert.ok(predicted < 3 * Math.max(alarms, wanted / 3) && predicted > alarms / 3, `${predicted} predicted, ${alarms} seen`);
  });
}

test('rare alarms: hardly one in some days of a peer with exponential delay, and the time-out stays near the interval', () => {
  const { alarms } = suspect(models['exponential delay']?.() ?? (() => 0), 200_000, { ...policy, falseAlarmsPerDay: 1 }, 2);
  assert.ok(alarms <= 20, `${alarms} a day`);
  const detector = heardFor(models['exponential delay']?.() ?? (() => 0), 2000, { ...policy, falseAlarmsPerDay: 1 });
  const timeout = detector.opinion('b', detector.last)?.paths[0]?.timeout ?? Number.NaN;
  // ln(864 000 × 5) / 0.2 = 76 over the delay's mean, give or take what a window knows.
  assert.ok(timeout > INTERVAL + 50 && timeout < INTERVAL + 150, String(timeout));
});

test('the tail beyond the window: where one in 10 000 exponential gaps is longer, that is what is said, and rather too much than too little', () => {
  const told: number[] = [];
  for (let seed = 0; seed < 1000; seed++) {
    const jitter = new ArrivalJitter(512);
    const random = seeded(seed * 7919);
    for (let i = 0; i < 512; i++) jitter.add(1 + exponential(random, 0.1));
    told.push(jitter.probability(1 + 0.1 * Math.log(10_000)) * 10_000);
    assert.ok(Math.abs(jitter.probability(1 + 0.1 * Math.log(2)) - 0.5) < 0.1);
  }
  told.sort((a, b) => a - b);
  const [rare = 0, quarter = 0, median = 0, most = 0] = [50, 250, 500, 900].map((n) => told[n]);
  assert.ok(rare > 0.12 && quarter > 0.5 && median > 1 && median < 2 && most < 9, `${rare} ${quarter} ${median} ${most}`);
});

test('probability falls as silence grows, and quantile is its inverse in the tail', () => {
  fc.assert(fc.property(fc.array(fc.double({ min: 0.1, max: 5, noNaN: true }), { minLength: 20, maxLength: 700 }), fc.double({ min: 0, max: 9, noNaN: true }), fc.double({ min: 0, max: 3, noNaN: true }), (gaps, silence, more) => {
    const jitter = new ArrivalJitter(512);
    for (const gap of gaps) jitter.add(gap);
    assert.ok(jitter.probability(silence + more) <= jitter.probability(silence) + 1e-12);
    for (const p of [1e-2, 1e-4, 1e-8]) assert.ok(jitter.probability(jitter.quantile(p) * (1 + 1e-9)) <= Math.max(p, 1 / Math.min(512, gaps.length)) * 1.001, String(p));
    assert.ok(jitter.quantile(1e-8) >= jitter.quantile(1e-3));
    assert.equal(jitter.size, Math.min(512, gaps.length));
  }));
});

interface Fed extends FailureDetector {
  last: ReturnType<typeof ms>;
}

function heardFor(gaps: Gaps, count: number, policy: DetectorPolicy, seed = 3): Fed {
  const detector = new FailureDetector(policy);
  const random = seeded(seed);
  let now = 0;
  detector.watch('b', 'p', ms(INTERVAL), ms(0));
  for (let i = 0; i < count; i++) {
    now += gaps(random);
    detector.expire(ms(now));
    detector.heard('b', 'p', ms(now));
  }
  return Object.assign(detector, { last: ms(now) });
}

const steady: Gaps = (random) => INTERVAL * (0.95 + random() * 0.1);

test('a death is seen exactly when the time-out has passed since the last arrival, between floor and ceiling', () => {
  fc.assert(fc.property(fc.constantFrom(...Object.values(models)), fc.integer(), fc.integer({ min: 0, max: 400 }), fc.integer({ min: 120, max: 400 }), (model, seed, count, floor) => {
    const detector = heardFor(model(), count, { ...policy, floor: ms(floor), ceiling: ms(800) }, seed);
    // One arrival in any case.
    const last = ms(detector.last + INTERVAL);
    detector.heard('b', 'p', last);
    const timeout = detector.opinion('b', last)?.paths[0]?.timeout ?? Number.NaN;
    assert.ok(timeout >= floor && timeout <= 800, String(timeout));
    assert.deepEqual(detector.expire(ms(last + timeout - 0.01)), []);
    const due = detector.deadline();
    assert.ok(due !== undefined && due <= last + timeout + 1e-9 && due >= last + timeout - 1, `${due}`);
    const [turn] = detector.expire(ms(last + timeout + 1e-6));
    assert.deepEqual([turn?.peer, turn?.path, turn?.to], ['b', 'p', 'silent']);
    assert.deepEqual(detector.expire(ms(last + 10_000)), [], 'once');
    assert.equal(detector.deadline(), undefined);
    assert.equal(detector.heard('b', 'p', ms(last + 20_000))?.to, 'heard');
  }));
});

test('what was never heard is unknown until the ceiling, then silent; it is heard with its first arrival', () => {
  const detector = new FailureDetector({ ...policy, ceiling: ms(1000) });
  detector.watch('b', 'p', ms(100), ms(0));
  assert.equal(detector.opinion('b', ms(999))?.paths[0]?.state, 'unknown');
  assert.equal(detector.opinion('b', ms(999))?.paths[0]?.falseAlarmsPerDay, undefined);
  assert.equal(detector.expire(ms(1000))[0]?.to, 'silent');
  assert.equal(detector.heard('b', 'p', ms(1100))?.to, 'heard');
  assert.equal(detector.heard('b', 'q', ms(1100)), undefined);
  detector.forget('b', 'p');
  assert.equal(detector.opinion('b', ms(1200)), undefined);
  assert.equal(detector.deadline(), undefined);
});

test('an outage is no jitter: the next death is seen as fast as the one before', () => {
  const detector = heardFor(steady, 1000, policy);
  const before = detector.opinion('b', detector.last)?.paths[0]?.timeout;
  const back = ms(detector.last + 30_000);
  detector.expire(back);
  detector.heard('b', 'p', back);
  for (let i = 1; i <= 64; i++) detector.heard('b', 'p', ms(back + i * INTERVAL));
  const after = detector.opinion('b', ms(back + 64 * INTERVAL))?.paths[0]?.timeout ?? Number.NaN;
  assert.ok(after < 1.1 * (before ?? 0), `${before}, ${after}`);
});

test('jitter that grows is learnt from before it costs many alarms', () => {
  const calm = heardFor(steady, 1000, policy);
  const random = seeded(9);
  let [now, alarms] = [calm.last as number, 0];
  for (let i = 0; i < 5000; i++) {
    now += INTERVAL * (0.9 + exponential(random, 0.15));
    alarms += calm.expire(ms(now)).length;
    calm.heard('b', 'p', ms(now));
  }
  assert.ok(alarms > 0 && alarms < 20, String(alarms));
});

test('after an interval that changes, what was measured still counts, in units of the interval', () => {
  const detector = heardFor(steady, 1000, policy);
  const before = detector.opinion('b', detector.last)?.paths[0]?.timeout ?? Number.NaN;
  detector.watch('b', 'p', ms(INTERVAL * 3), detector.last);
  const after = detector.opinion('b', detector.last)?.paths[0]?.timeout ?? Number.NaN;
  // A third of the gaps a day: each may be a little more probable.
  assert.ok(after > before * 2.9 && after <= before * 3, `${before}, ${after}`);
});

test('who overslept counts silence from its waking, with a longer time-out', () => {
  const detector = heardFor(steady, 1000, { ...policy, floor: ms(250) });
  const wake = ms(detector.last + 5000);
  detector.late(ms(4900), wake);
  assert.deepEqual(detector.expire(wake), []);
  const opinion = detector.opinion('b', wake);
  assert.deepEqual([opinion?.paths[0]?.state, opinion?.paths[0]?.silence, opinion?.health], ['heard', 0, { score: 1, worstLateness: 4900, sleptAgo: 0, unwell: false }]);
  assert.equal(opinion?.paths[0]?.timeout, 500, 'twice the floor');
  assert.deepEqual(detector.expire(ms(wake + 499)), []);
  assert.equal(detector.expire(ms(wake + 500)).length, 1, 'a dead peer is found all the same');
});

test('excuses end: who sleeps on and on suspects all the same, but says that it was asleep, until it has listened for a whole time-out', () => {
  const detector = heardFor(steady, 1000, { ...policy, floor: ms(250) });
  let now = detector.last as number;
  let found = 0;
  for (let i = 0; i < 40 && found === 0; i++) {
    now += 200;
    detector.late(ms(150), ms(now));
    found = detector.expire(ms(now)).length;
  }
  assert.equal(found, 1);
  assert.ok(now - detector.last < 3 * 200 + 9 * 250 + 400, String(now - detector.last));
  assert.equal(detector.opinion('b', ms(now))?.health.unwell, true);
  const timeout = detector.opinion('b', ms(now))?.paths[0]?.timeout ?? 0;
  assert.equal(detector.opinion('b', ms(now + timeout - 1))?.health.unwell, true);
  assert.equal(detector.opinion('b', ms(now + timeout))?.health.unwell, false);
  detector.late(ms(150), ms(now + 5000));
  assert.equal(detector.opinion('b', ms(now + 5000))?.health.unwell, true, 'asleep while it was silent');
  detector.heard('b', 'p', ms(now + 5001));
  assert.equal(detector.opinion('b', ms(now + 5001))?.health.unwell, false);
});

test('each arrival gives new excuses, and a gap that was slept through is no jitter of the peer', () => {
  const detector = heardFor(steady, 1000, { ...policy, calm: ms(100) });
  const before = detector.opinion('b', detector.last)?.paths[0]?.timeout ?? Number.NaN;
  let now = detector.last as number;
  for (let i = 0; i < 40; i++) {
    // Short ones would be taken for jitter; long ones would not, but for silence.
    const intervals = i % 2 === 0 ? 1.7 : 10;
    now += intervals * INTERVAL;
    detector.late(ms((intervals - 0.5) * INTERVAL), ms(now));
    assert.deepEqual(detector.expire(ms(now)), [], String(i));
    detector.heard('b', 'p', ms(now));
  }
  for (let i = 0; i < 64; i++) detector.heard('b', 'p', ms(now += INTERVAL));
  const after = detector.opinion('b', ms(now))?.paths[0]?.timeout ?? Number.NaN;
  assert.ok(after < before * 1.1, `${before}, ${after}`);
});

test('health comes back: a step for each calm time, and lateness of half the floor costs none', () => {
  const detector = heardFor(steady, 100, { ...policy, floor: ms(150), calm: ms(1000) });
  const at = detector.last;
  for (const late of [INTERVAL / 2, 75]) detector.late(ms(late), at);
  assert.deepEqual(detector.opinion('b', at)?.health, { score: 0, worstLateness: 75, sleptAgo: 0, unwell: false });
  for (let i = 0; i < 12; i++) detector.late(ms(76), ms(at + i));
  assert.equal(detector.opinion('b', ms(at + 11))?.health.score, 8);
  assert.equal(detector.opinion('b', ms(at + 11 + 3000))?.health.score, 5);
  assert.equal(detector.opinion('b', ms(at + 11 + 8000))?.health.unwell, false);
});

test('what the peer says of hearing us is believed for one time-out', () => {
  const detector = heardFor(steady, 1000, { ...policy, floor: ms(300) });
  const at = detector.last;
  detector.told('b', 'p', false, at);
  assert.equal(detector.opinion('b', ms(at + 299))?.paths[0]?.heardThere, false);
  assert.equal(detector.opinion('b', ms(at + 300))?.paths[0]?.heardThere, undefined);
});

test('what is due at its deadline is decided on there, however the times are rounded', () => {
  fc.assert(fc.property(fc.double({ min: 0, max: 1e6, noNaN: true }), fc.double({ min: 0.1, max: 1000, noNaN: true }), (began, gap) => {
    const detector = new FailureDetector({ ...policy, floor: ms(0.1) });
    detector.watch('b', 'p', ms(gap), ms(began));
    for (let i = 0; i < 40; i++) detector.heard('b', 'p', ms(began + i * gap));
    // Looks for nothing go before it, each at a later time.
    for (let due, last = -Infinity; (due = detector.deadline()) !== undefined; last = due) {
      assert.ok(due > last);
      detector.expire(due);
    }
    assert.equal(detector.opinion('b', ms(began))?.paths[0]?.state, 'silent');
  }));
});

test('arrivals per second, printed', (t) => {
  const detector = new FailureDetector(defaultDetectorPolicy);
  for (let i = 0; i < 200; i++) detector.watch(`h${i >> 1}`, `p${i & 1}`, ms(50), ms(0));
  const random = seeded(4);
  const begin = performance.now();
  let arrivals = 0;
  for (let now = 0; now < 10_000; now += 50) {
    for (let i = 0; i < 200; i++) {
      detector.heard(`h${i >> 1}`, `p${i & 1}`, ms(now + random() * 5));
      detector.late(ms(0.1), ms(now));
      detector.expire(ms(now));
      detector.deadline();
      arrivals++;
    }
  }
  t.diagnostic(`200 paths: ${Math.round(arrivals / (performance.now() - begin))} arrivals/ms, each with a look at the clock`);
});
