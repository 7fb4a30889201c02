import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import { MtuProbe } from '../../../src/monitor/mtu-probe.ts';

const TIMEOUT = 1000;

/** What a packet of that size meets: undefined, it passes; a number or 'mute' from a link that says so; 'gone'. */
type Fate = 'passes' | 'gone' | { readonly tells: number | undefined };

interface Played {
  readonly probe: MtuProbe;
  now: number;
  sent: number;
}

/** Plays `time` ms: a packet's fate is told at once, or after the timeout where it is gone. */
function play(played: Played, time: number, fate: (size: number, sent: number) => Fate, small: () => boolean = () => true): void {
  const { probe } = played;
  const lost: { readonly size: number; readonly at: number }[] = [];
  for (const end = played.now + time; played.now < end; played.now += 5) {
    for (let gone; (gone = lost[0]) !== undefined && gone.at <= played.now;) {
      lost.shift();
      probe.vanished(gone.size, small(), ms(played.now));
    }
    if (probe.due > played.now) continue;
    const size = probe.next(ms(played.now));
    if (size === undefined) continue;
    const met = fate(size, ++played.sent);
    if (met === 'passes') probe.passed(size, ms(played.now));
    else if (met === 'gone') lost.push({ size, at: played.now + TIMEOUT });
    else probe.tooBig(size, met.tells, ms(played.now));
  }
}

const begin = (wanted = 1500): Played => ({ probe: new MtuProbe(wanted, 80), now: 0, sent: 0 });
const upTo = (limit: number) => (size: number): Fate => (size <= limit ? 'passes' : 'gone');

describe('the probing of a path\'s MTU', () => {
  it('sends one full-size packet a second while all is well', () => {
    const played = begin();
    play(played, 10_000, () => 'passes');
    assert.deepEqual([played.probe.mtu, played.sent], [{ wanted: 1500, passes: 1500, blackHole: false }, 10]);
  });

  it('finds a black hole within 10 s of its beginning, and soon what passes it to the byte', () => {
    fc.assert(fc.property(fc.integer({ min: 81, max: 8999 }), fc.integer({ min: 82, max: 9000 }), fc.nat(1000), (limit, wanted, since) => {
      fc.pre(limit < wanted);
      const played = begin(wanted);
      play(played, 2000 + since, () => 'passes');
      play(played, 10_000, upTo(limit));
      assert.equal(played.probe.mtu.blackHole, true);
      play(played, 15_000, upTo(limit));
      assert.deepEqual(played.probe.mtu, { wanted, passes: limit, blackHole: true });
      play(played, 3000, () => 'passes');
      assert.deepEqual(played.probe.mtu, { wanted, passes: wanted, blackHole: false });
    }), { numRuns: 60 });
  });

  it('takes no ordinary loss for one', () => {
    const played = begin();
    // Two in a row, never three.
    play(played, 120_000, (_, sent) => (sent % 3 === 0 ? 'passes' : 'gone'));
    assert.equal(played.probe.mtu.blackHole, false);
  });

  it('says nothing of a path on which nothing passes', () => {
    const played = begin();
    play(played, 5000, () => 'passes');
    play(played, 20_000, () => 'gone', () => false);
    assert.deepEqual(played.probe.mtu, { wanted: 1500, blackHole: false });
    play(played, 3000, () => 'passes');
    assert.equal(played.probe.mtu.passes, 1500);
  });

  it('tries what a router names, and is quick then', () => {
    const played = begin();
    play(played, 500, (size) => (size <= 1400 ? 'passes' : { tells: 1400 }));
    assert.deepEqual(played.probe.mtu, { wanted: 1500, passes: 1400, blackHole: false });
  });

  it('needs four packets where he is right, since routers say it once a second', () => {
    const played = begin();
    const sizes: number[] = [];
    play(played, 400, (size) => {
      sizes.push(size);
      return size <= 1400 ? 'passes' : { tells: 1400 };
    });
    assert.deepEqual(sizes, [1500, 1400, 1401, 1400]);
  });

  it('is not led astray by one who lies', () => {
    const told = (tells: number) => {
      const played = begin();
      play(played, 30_000, (size) => (size <= 1400 ? 'passes' : { tells }));
      return played.probe.mtu;
    };
    for (const lie of [0, 68, 600, 1450, 1500, 65535]) assert.deepEqual(told(lie), { wanted: 1500, passes: 1400, blackHole: false }, `${lie}`);
  });

  it('finds what the own link takes when that only says no', () => {
    const played = begin(9000);
    play(played, 2000, (size) => (size <= 1500 ? 'passes' : { tells: undefined }));
    assert.deepEqual(played.probe.mtu, { wanted: 9000, passes: 1500, blackHole: false });
  });

  it('is a black hole where the router that spoke falls silent', () => {
    const played = begin();
    play(played, 3000, (size) => (size <= 1400 ? 'passes' : { tells: 1400 }));
    play(played, 25_000, upTo(1400));
    assert.equal(played.probe.mtu.blackHole, false, 'it may have said so to others');
    play(played, 15_000, upTo(1400));
    assert.deepEqual(played.probe.mtu, { wanted: 1500, passes: 1400, blackHole: true });
  });

  it('finds less when what passed does no more', () => {
    const played = begin();
    play(played, 20_000, upTo(1400));
    play(played, 20_000, upTo(1300));
    assert.deepEqual(played.probe.mtu, { wanted: 1500, passes: 1300, blackHole: true });
  });
});
