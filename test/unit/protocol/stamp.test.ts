/** STAMP sessions against what really happened on a virtual link. Times in ms. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import { decodeStampAnswer, encodeStampProbe } from '../../../src/wire/stamp.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { timestampOf, unixNanoseconds } from '../../../src/wire/stamp-time.ts';
import type { StampTlv } from '../../../src/wire/stamp-tlv.ts';
import { StampDirection } from '../../../src/protocol/stamp-direction.ts';
import { StampReflector } from '../../../src/protocol/stamp-reflector.ts';
import { StampSender } from '../../../src/protocol/stamp-sender.ts';
import { EPOCH, type Fate, StampLink, reflectorSettings, senderSettings } from './stamp-link.ts';

// Of what is only likely the same draw each time: a test that fails once in some thousand runs would say nothing.
fc.configureGlobal({ seed: 20_261_122 });

const close = (actual: number | undefined, wanted: number, what?: string): void => assert.ok(Math.abs((actual ?? Number.NaN) - wanted) < 1e-3, `${what ?? ''} ${actual}, wanted ${wanted}`);
const run = (link: StampLink, fates: readonly (readonly [Fate, Fate])[], every = 10): void => {
  for (const [forward, backward] of fates) {
    link.send(forward, backward);
    link.advance(every);
  }
  link.advance(5000);
};
const unsynchronized = { synchronized: false, scale: 0, multiplier: 1 };

test('RTT without the reflector\'s time; one-way delays by synchronized clocks, with the error that they admit', () => {
  const link = new StampLink({ residence: 40, offset: { sender: 0, reflector: 0.5 } });
  run(link, [[[3], [5]], [[4], [5]]]);
  const [first, second] = link.samples;
  close(first?.rtt, 8);
  close(first?.residence, 40);
  close(first?.forward.delay, 3.5);
  close(first?.backward.delay, 4.5);
  // Twice 100 × 2^-22 s.
  close(first?.forward.error, 2 * 100 * 2 ** -22 * 1000);
  assert.equal(first?.forward.variation, undefined);
  close(second?.forward.variation, 1);
  close(second?.backward.variation, 0);
  assert.equal(first?.probeTtl, 64);
});

test('clocks that are not both synchronized: no one-way delay, however near they are, but its variation', () => {
  for (const clocks of [{ sender: unsynchronized, reflector: { synchronized: true, scale: 0, multiplier: 1 } }, { sender: { synchronized: true, scale: 0, multiplier: 1 }, reflector: unsynchronized }]) {
    const link = new StampLink({ clocks, offset: { sender: 0, reflector: 86_400_000 } });
    run(link, [[[3], [5]], [[4], [2]]]);
    close(link.samples[1]?.rtt, 6);
    assert.equal(link.samples[1]?.forward.delay, undefined);
    assert.equal(link.samples[1]?.forward.error, undefined);
    close(link.samples[1]?.forward.variation, 1);
    close(link.samples[1]?.backward.variation, -3);
  }
});

test('both formats of time, mixed: the same figures', () => {
  for (const sender of ['ntp', 'ptp'] as const) {
    for (const reflector of ['ntp', 'ptp'] as const) {
      const link = new StampLink({ sender: { format: sender }, reflector: { format: reflector } });
      run(link, [[[3], [5]]]);
      close(link.samples[0]?.rtt, 8);
      close(link.samples[0]?.forward.delay, 3);
    }
  }
});

test('the drawing in stamp-direction.ts: two lost, one in each direction', () => {
  const link = new StampLink();
  run(link, [[[1], [1]], [[], [1]], [[1], []], [[1], [1]]]);
  assert.deepEqual(link.sender.totals.lost, { forward: 1, backward: 1, unknown: 0 });
  assert.deepEqual(link.lost.map(({ sequence }) => sequence), [1, 2]);
});

test('what is lost has no direction before the next answer, before the first one, and with a stateless reflector', () => {
  const link = new StampLink();
  run(link, [[[], [1]], [[1], []], [[1], [1]], [[], [1]], [[1], []]]);
  assert.deepEqual(link.sender.totals.lost, { forward: 0, backward: 0, unknown: 4 });
  run(link, [[[1], [1]]]);
  assert.deepEqual(link.sender.totals.lost, { forward: 1, backward: 1, unknown: 2 });
  const stateless = new StampLink({ sender: { stateful: false } });
  run(stateless, [[[1], [1]], [[], [1]], [[1], [1]]]);
  assert.deepEqual(stateless.sender.totals.lost, { forward: 0, backward: 0, unknown: 1 });
});

test('a reflector that restarts: no loss is invented, what it hides has no direction, and it counts on', () => {
  const link = new StampLink();
  run(link, Array.from({ length: 50 }, (): [Fate, Fate] => [[1], [1]]));
  run(link, [[[], [1]]]);
  link.restartReflector();
  run(link, [[[1], []], ...Array.from({ length: 50 }, (): [Fate, Fate] => [[1], [1]]), [[], [1]], [[1], [1]]]);
  assert.deepEqual(link.sender.totals.lost, { forward: 1, backward: 0, unknown: 2 });
  assert.equal(link.sender.totals.restarts, 1);
  assert.equal(link.sender.totals.answered, 101);
});

test('doubled on the way there, or back, is told apart, and is not loss', () => {
  const link = new StampLink();
  run(link, [[[1], [1]], [[1, 2], [1]], [[1], [1, 3]], [[1], [1]], [[], [1]], [[1], [1]]]);
  assert.deepEqual(link.sender.totals.duplicates, { forward: 1, backward: 1 });
  assert.deepEqual(link.sender.totals.lost, { forward: 1, backward: 0, unknown: 0 });
  assert.deepEqual(link.echoes.map(({ kind, sequence }) => [kind, sequence]), [['duplicate', 1], ['duplicate', 2]]);
});

test('overtaken on the way there, or back (RFC 4737 §3)', () => {
  const link = new StampLink();
  run(link, [[[1], [1]], [[25], [1]], [[1], [1]], [[1], [25]], [[1], [1]], [[1], [1]]]);
  assert.deepEqual(link.sender.totals.reordered, { forward: 1, backward: 1 });
  assert.deepEqual(link.samples.filter(({ reordered }) => reordered).map(({ sequence }) => sequence), [3]);
  assert.deepEqual(link.sender.totals.lost, { forward: 0, backward: 0, unknown: 0 });
});

test('an answer after its time stays lost and is late once; the next one to it is a duplicate', () => {
  const link = new StampLink();
  run(link, [[[1], [1]], [[1], [1200, 1300]], [[1], [1]]]);
  assert.deepEqual(link.echoes.map(({ kind }) => kind), ['late', 'duplicate']);
  assert.equal(link.sender.totals.late, 1);
  assert.equal(link.sender.totals.answered, 2);
  assert.deepEqual(link.sender.totals.lost, { forward: 0, backward: 1, unknown: 0 });
});

test('where the DSCP is rewritten: on the way there, back, or refused by the reflector', () => {
  const cos: StampTlv = { type: 'class-of-service', wanted: 46, received: 0, ecn: 0, refused: false };
  const marking = (settings: ConstructorParameters<typeof StampLink>[0]): unknown => {
    const link = new StampLink(settings);
    link.send([1], [1], [cos], 46);
    link.advance(100);
    return link.samples[0]?.marking;
  };
  const same = (dscp: number): number => dscp;
  assert.deepEqual(marking({}), { wanted: 46, atReflector: 46, refused: false, returned: 46 });
  assert.deepEqual(marking({ remark: { forward: () => 0, backward: same } }), { wanted: 46, atReflector: 0, refused: false, returned: 46 });
  assert.deepEqual(marking({ remark: { forward: same, backward: () => 8 } }), { wanted: 46, atReflector: 46, refused: false, returned: 8 });
  assert.deepEqual(marking({ reflector: { permitsDscp: () => false }, remark: { forward: () => 10, backward: same } }), { wanted: 46, atReflector: 10, refused: true, returned: 10 });
});

test('packets of a wanted size, there and back, with or without other TLVs and a digest', () => {
  const digest = (text: Uint8Array): Uint8Array => createHmac('sha256', 'k').update(text).digest();
  const cos: StampTlv = { type: 'class-of-service', wanted: 0, received: 0, ecn: 0, refused: false };
  for (const key of [{}, { digest }]) {
    for (const tlvs of [[], [cos]]) {
      const link = new StampLink({ sender: key, reflector: key });
      link.send([1], [1], tlvs, 0, 1472);
      link.advance(100);
      assert.deepEqual([link.samples[0]?.size, link.samples[0]?.answerSize, link.samples[0]?.tlvs.forged], [1472, 1472, false]);
      link.send([], [1], tlvs, 0, 8972);
      link.advance(2000);
      assert.deepEqual(link.lost.map(({ size }) => size), [8972]);
    }
  }
});

test('a TWAMP-Light sender is answered with 44 bytes, whose first 41 are what it reads', () => {
  const reflector = new StampReflector(reflectorSettings);
  const wall = unixNanoseconds(EPOCH);
  const probe = encodeStampProbe({ sequence: 9, timestamp: timestampOf(wall, 'ntp'), clock: unsynchronized, ssid: 0 });
  const facts = { source: parseIpAddress('192.0.2.1'), sourcePort: 50_000, destination: parseIpAddress('192.0.2.2'), ttl: 63, dscp: 8, ecn: 0, at: ms(0), received: wall, leaves: wall, clock: unsynchronized };
  for (const length of [14, 41, 43]) {
    const answer = reflector.reflect(probe.subarray(0, length), facts);
    assert.ok(answer.kind === 'answer');
    assert.equal(answer.payload.length, 44);
    const decoded = decodeStampAnswer(answer.payload.subarray(0, 41));
    assert.ok(decoded.kind === 'answer');
    assert.deepEqual([decoded.answer.probe.sequence, decoded.answer.probeTtl, answer.dscp], [9, 63, 8]);
  }
  const padded = Uint8Array.of(...probe, ...new Uint8Array(100));
  const answer = reflector.reflect(padded, facts);
  assert.equal(answer.kind === 'answer' && answer.payload.length, 144, 'as long as the probe (RFC 6038)');
});

test('a count that leaps ahead is another life of the reflector, not a thousand lost answers', () => {
  const direction = new StampDirection(64);
  const settle = (answer: number, probe: number): string => {
    const seen = direction.heard(answer, probe);
    direction.answered(answer, probe, direction.epoch);
    return seen;
  };
  assert.deepEqual([settle(0, 0), settle(1, 1), settle(5000, 2), settle(5001, 3)], ['new', 'new', 'restart', 'new']);
  direction.lost();
  settle(5002, 5);
  assert.deepEqual(direction.totals, { forward: 1, backward: 0, unknown: 0 });
});

test('an answer that no probe misses (one was doubled, one of its answers lost) is no loss, and is forgotten', () => {
  const direction = new StampDirection(512);
  let [answer, probe] = [0, 0];
  const settle = (): void => {
    direction.heard(answer, probe);
    direction.answered(answer++, probe++, direction.epoch);
  };
  settle();
  answer++;
  settle();
  assert.deepEqual(direction.totals, { forward: 0, backward: 0, unknown: 0 });
  for (let i = 0; i < 70; i++) settle();
  direction.lost();
  probe++;
  settle();
  assert.deepEqual(direction.totals, { forward: 1, backward: 0, unknown: 0 });
});

test('every reason to drop', () => {
  const link = new StampLink();
  link.send([1], [1]);
  link.advance(100);
  const digest = (text: Uint8Array): Uint8Array => createHmac('sha256', 'k').update(text).digest();
  const strangers: [string, (link: StampLink) => void][] = [
    ['truncated', (l) => l.deliver(new Uint8Array(40))],
    ['sequence', (l) => answerTo(l, { sequence: 1 })], ['sequence', (l) => answerTo(l, { sequence: 2 ** 32 - 1 })],
    ['echo', (l) => answerTo(l, { sequence: 0, shift: 1n })], ['ssid', (l) => answerTo(l, { sequence: 0, ssid: 78 })],
  ];
  for (const [reason, act] of strangers) {
    link.drops.length = 0;
    act(link);
    assert.deepEqual(link.reasons(), [reason]);
  }
  assert.equal(link.sender.totals.answered, 1);
  const small = new StampLink({ sender: { window: 4 } });
  small.send([1], [100]);
  for (let i = 0; i < 4; i++) small.send([1], [1]);
  small.advance(200);
  assert.deepEqual(small.reasons(), ['sequence'], 'its slot was needed again');
  const authenticated = new StampLink({ sender: { digest }, reflector: { digest: (text) => digest(Uint8Array.of(...text, 1)) } });
  run(authenticated, [[[1], [1]]]);
  assert.deepEqual(authenticated.reasons(), ['hmac']);
});

function answerTo(link: StampLink, { sequence, shift = 0n, ssid = 77 }: { sequence: number; shift?: bigint; ssid?: number }): void {
  const reflector = new StampReflector(reflectorSettings);
  const wall = unixNanoseconds(EPOCH + shift);
  const probe = encodeStampProbe({ sequence, timestamp: timestampOf(wall, 'ntp'), clock: unsynchronized, ssid });
  const answer = reflector.reflect(probe, {
    source: parseIpAddress('192.0.2.1'), sourcePort: 50_000, destination: parseIpAddress('192.0.2.2'), ttl: 64, dscp: 0, ecn: 0, at: ms(0), received: wall, leaves: wall, clock: unsynchronized,
  });
  assert.ok(answer.kind === 'answer');
  link.deliver(answer.payload);
}

test('the reflector: whom it answers, how many sessions it has, and when it forgets them', () => {
  const peer = parseIpAddress('192.0.2.1');
  const reflector = new StampReflector({ ...reflectorSettings, sessions: 2, idle: ms(1000), admits: (source) => source.equals(peer) });
  const wall = unixNanoseconds(EPOCH);
  const ask = (at: number, change: { source?: string; sourcePort?: number; ssid?: number } = {}): number | string => {
    const probe = encodeStampProbe({ sequence: 0, timestamp: timestampOf(wall, 'ntp'), clock: unsynchronized, ssid: change.ssid ?? 1 });
    const answer = reflector.reflect(probe, {
      source: parseIpAddress(change.source ?? '192.0.2.1'), sourcePort: change.sourcePort ?? 50_000, destination: parseIpAddress('192.0.2.2'), ttl: 64, dscp: 0, ecn: 0,
      at: ms(at), received: wall, leaves: wall, clock: unsynchronized,
    });
    if (answer.kind === 'drop') return answer.reason;
    const decoded = decodeStampAnswer(answer.payload);
    return decoded.kind === 'answer' ? decoded.answer.sequence : decoded.reason;
  };
  assert.deepEqual([ask(0), ask(1), ask(2)], [0, 1, 2]);
  assert.equal(ask(3, { source: '192.0.2.9' }), 'peer');
  assert.equal(ask(3, { sourcePort: 862 }), 'port', 'two reflectors would never end');
  assert.equal(ask(500, { ssid: 2 }), 0, 'another session, counted by itself');
  assert.equal(ask(600, { ssid: 3 }), 'full');
  assert.equal(ask(900, { ssid: 2 }), 1);
  assert.equal(ask(1002, { ssid: 3 }), 0, 'the first was silent for a second');
  assert.equal(reflector.sessions, 2);
  assert.equal(ask(5000, { ssid: 3 }), 0, 'forgotten: counts anew');
  reflector.expire(ms(9000));
  assert.equal(reflector.sessions, 0);
  assert.deepEqual([ask(10_000, { ssid: 1 }), ask(10_001, { ssid: 2 }), ask(10_900, { ssid: 1 }), ask(11_500, { ssid: 3 }), ask(11_600, { ssid: 1 })], [0, 0, 1, 0, 2], 'the one that was silent longest goes');
});

const delay = fc.double({ min: 0.1, max: 9, noNaN: true });
const fate = (loss: number): fc.Arbitrary<Fate> => fc.tuple(fc.nat(999), delay).map(([dice, delay]) => (dice < loss * 1000 ? [] : [delay]));

test('loss by direction is exact on a link that keeps order, whatever is lost', () => {
  fc.assert(fc.property(fc.nat(900).chain((n) => fc.array(fc.tuple(fate(n / 1000), fate((900 - n) / 2000)), { minLength: 1, maxLength: 300 })), (fates) => {
    const link = new StampLink();
    // The first and the last are answered, so that everything lies between two answers. Packets do not overtake: 9 ms at most, every 10.
    run(link, [[[1], [1]], ...fates, [[1], [1]]]);
    const { sent, answered, lost } = link.sender.totals;
    assert.deepEqual(lost, { forward: link.truth.forward, backward: link.truth.backward, unknown: 0 });
    assert.equal(sent, answered + lost.forward + lost.backward);
    assert.equal(link.lost.length, lost.forward + lost.backward);
  }), { numRuns: 200 });
});

test('on a link that overtakes and doubles, every loss is counted and hardly one is put into the wrong direction', () => {
  const unruly = (loss: number): fc.Arbitrary<Fate> => fc.tuple(fc.nat(999), delay, fc.nat(99)).map(([dice, delay, odd]) =>
    (dice < loss * 1000 ? [] : odd < 5 ? [delay * 8] : odd < 6 ? [delay, delay + 1] : [delay]));
  let [wrong, all] = [0, 0];
  fc.assert(fc.property(fc.array(fc.tuple(unruly(0.05), unruly(0.02)), { minLength: 300, maxLength: 300 }), (fates) => {
    const link = new StampLink();
    run(link, [[[1], [1]], ...fates, [[1], [1]], [[1], [1]]]);
    const { sent, answered, lost } = link.sender.totals;
    assert.equal(sent, answered + lost.forward + lost.backward + lost.unknown);
    const missing = fates.filter(([forward, backward]) => forward.length === 0 || backward.length === 0).length;
    assert.equal(sent - answered, missing);
    wrong += Math.abs(lost.forward - fates.filter(([forward]) => forward.length === 0).length);
    all += missing;
  }), { numRuns: 100 });
  assert.ok(wrong < all * 0.05, `${wrong} of ${all}`);
});

test('the truth of 2000 probes with 0.5, 2 or 5 % loss one way: within 0.3 points, in its direction', () => {
  for (const loss of [0.005, 0.02, 0.05]) {
    for (const way of ['forward', 'backward'] as const) {
      fc.assert(fc.property(fc.array(fate(loss), { minLength: 2000, maxLength: 2000, size: 'max' }), (fates) => {
        const link = new StampLink();
        run(link, fates.map((fate) => (way === 'forward' ? [fate, [1]] : [[1], fate])));
        const { lost } = link.sender.totals;
        const other = way === 'forward' ? lost.backward : lost.forward;
        assert.equal(other, 0);
        assert.ok(Math.abs(lost[way] - link.truth[way]) / 2000 <= 0.003, `${lost[way]} of ${link.truth[way]}`);
      }), { numRuns: 5 });
    }
  }
});

test('whatever arrives, nothing throws, nothing is made up, and memory does not grow', () => {
  const sender = new StampSender({ ...senderSettings, window: 8 });
  const wall = unixNanoseconds(EPOCH);
  for (let i = 0; i < 20; i++) sender.send(ms(i), wall, unsynchronized);
  const bytes = fc.uint8Array({ maxLength: 120 });
  fc.assert(fc.property(bytes, (payload) => {
    assert.equal(sender.heard(payload, { at: ms(20), wall, dscp: 0 }).kind, 'drop');
  }), { numRuns: 2000 });
  assert.deepEqual(sender.totals.lost, { forward: 0, backward: 0, unknown: 12 }, 'slots that were needed again');
  assert.equal(sender.totals.answered, 0);
});

test('probe numbers wrap after 2^32, and answers with them', () => {
  const direction = new StampLink();
  // Not 2^32 probes: the arithmetic alone, of a session whose reflector counts from just below the wrap.
  const { sender } = direction;
  const wall = unixNanoseconds(EPOCH);
  const answers = [2 ** 32 - 2, 2 ** 32 - 1, 0, 2, 3];
  for (const [i, sequence] of answers.entries()) {
    const { payload } = sender.send(ms(i), wall, unsynchronized);
    const reflector = new StampReflector(reflectorSettings);
    const made = reflector.reflect(payload, { source: parseIpAddress('192.0.2.1'), sourcePort: 1, destination: parseIpAddress('192.0.2.2'), ttl: 1, dscp: 0, ecn: 0, at: ms(i), received: wall, leaves: wall, clock: unsynchronized });
    assert.ok(made.kind === 'answer');
    new DataView(made.payload.buffer).setUint32(0, sequence);
    assert.equal(sender.heard(made.payload, { at: ms(i), wall, dscp: 0 }).kind, 'sample');
  }
  sender.expire(ms(5000));
  assert.equal(sender.totals.restarts, 0);
});
