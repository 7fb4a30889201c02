import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ms, seconds } from '../../../src/base/units.ts';
import { PathJudge, qualityPolicy } from '../../../src/monitor/path-judge.ts';
import { watchPlan } from './memory-monitors.ts';

const RTT = ms(1);
const judge = (): PathJudge => new PathJudge(qualityPolicy(watchPlan('a').quality), ms(0));

/** A probe every 10 ms, each answered at once. */
function answers(path: PathJudge, from: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    path.sent(ms(from + 10 * i));
    return path.answered(RTT, ms(from + 10 * i))?.to;
  }).filter((to) => to !== undefined);
}

describe('a path\'s judge', () => {
  it('knows nothing before the first answer, which is no news', () => {
    const path = judge();
    assert.equal(path.state, 'unknown');
    assert.deepEqual(answers(path, 0, 1), []);
    assert.equal(path.state, 'fit');
  });

  it('does not hold against a path what was lost before anybody was there to answer', () => {
    const path = judge();
    answers(path, 1000, 1);
    for (let sent = 0; sent < 1000; sent += 10) assert.equal(path.lost(ms(sent), ms(sent + 1000)), undefined);
    assert.equal(path.state, 'fit');
    for (let sent = 1010; sent < 1100; sent += 10) path.lost(ms(sent), ms(sent + 1000));
    assert.equal(path.state, 'unfit');
  });

  it('calls it down after ten intervals, a second at least, in which probes were sent', () => {
    for (const [interval, least] of [[10, 1000], [500, 5000]] as const) {
      const path = judge();
      answers(path, 0, 1);
      const began = 100;
      let downAt: number | undefined;
      for (let now = began; now < began + 10_000; now += interval) {
        path.sent(ms(now));
        if (path.look(ms(interval), ms(now))?.to === 'down') downAt ??= now;
      }
      assert.equal(downAt, began + least);
    }
  });

  it('does not take its own sleep for a silence', () => {
    const path = judge();
    answers(path, 0, 1);
    path.sent(ms(100));
    assert.equal(path.look(ms(10), ms(60_000)), undefined);
    path.rest();
    for (let i = 0; i < 20; i++) path.sent(ms(60_000));
    assert.equal(path.look(ms(10), ms(60_500)), undefined);
  });

  it('tells that it is back, and what the outage made of it', () => {
    const path = judge();
    answers(path, 0, 1);
    for (let now = 100; now <= 1100; now += 10) path.sent(ms(now));
    const down = path.look(ms(10), ms(1100));
    assert.deepEqual([down?.from, down?.to], ['fit', 'down']);
    assert.match(down?.because ?? '', /^nothing came back for 1\.0 s, of 101 probes$/);
    assert.equal(path.lost(ms(200), ms(1200)), undefined, 'down is told once');
    assert.deepEqual([path.answered(RTT, ms(2000))?.to, path.state], ['fit', 'fit'], 'one lost probe is little');
  });

  it('is not fit after a long outage before its hold is over', () => {
    const path = judge();
    answers(path, 0, 1);
    for (let now = 100; now <= 1100; now += 10) path.sent(ms(now));
    path.look(ms(10), ms(1100));
    for (let sent = 100; sent <= 1100; sent += 10) path.lost(ms(sent), ms(sent + 1000));
    assert.deepEqual(answers(path, 3000, 1), ['unfit']);
    path.nobody('nobody', ms(3010));
    assert.equal(path.look(ms(10), ms(3300)), undefined, 'what was unfit stays so');
    const { heldUntil, state } = path.judgement((at) => at + 1e6);
    assert.equal(state, 'unfit');
    assert.ok(heldUntil !== undefined && heldUntil >= 1e6 + seconds(30));
    assert.equal(path.wantsMore, true);
  });

  it('has nothing to go by where the peer says that nobody listens', () => {
    const path = judge();
    answers(path, 0, 1);
    const turns: (string | undefined)[] = [];
    path.nobody('nobody', ms(450));
    assert.equal(path.lost(ms(10), ms(460)), undefined);
    for (let now = 500; now <= 5000; now += 10) {
      path.sent(ms(now));
      // Once a second, as hosts do.
      if (now % 1000 === 500) path.nobody('nobody', ms(now));
      turns.push(path.lost(ms(now - 1000), ms(now))?.to, path.look(ms(10), ms(now))?.to);
    }
    assert.deepEqual(turns.filter((to) => to !== undefined), ['unknown']);
    assert.deepEqual(answers(path, 6000, 1), ['fit']);
    assert.equal(path.lost(ms(5900), ms(6900)), undefined);
    assert.equal(path.judgement((at) => at).loss, 0);
  });

  it('is sick still when the peer, down for long, says that nobody listens, and then somebody does', () => {
    const path = judge();
    answers(path, 0, 1);
    for (let now = 100; now <= 1100; now += 10) path.sent(ms(now));
    path.look(ms(10), ms(1100));
    for (let sent = 100; sent <= 1100; sent += 10) path.lost(ms(sent), ms(sent + 1000));
    path.nobody('nobody', ms(3000));
    assert.equal(path.look(ms(10), ms(3300))?.to, 'unknown');
    assert.deepEqual(answers(path, 4000, 2), ['unfit']);
  });

  it('believes no refusal that is older than an answer', () => {
    for (const interval of [10, 1000]) {
      const path = judge();
      answers(path, 0, 1);
      path.nobody('nobody', ms(5));
      assert.equal(path.look(ms(interval), ms(5 + interval)), undefined);
      answers(path, 10 + interval, 1);
      assert.equal(path.look(ms(interval), ms(900 + interval)), undefined);
      assert.equal(path.state, 'fit');
    }
  });

  it('calls a host down that no longer even says so', () => {
    const path = judge();
    answers(path, 0, 1);
    path.nobody('nobody', ms(500));
    for (let now = 600; now < 6000; now += 10) path.sent(ms(now));
    assert.equal(path.look(ms(10), ms(800))?.to, 'unknown');
    assert.equal(path.look(ms(10), ms(3400)), undefined);
    assert.equal(path.look(ms(10), ms(3500)), undefined);
    for (let now = 3500; now <= 4500; now += 10) path.sent(ms(now));
    assert.equal(path.look(ms(10), ms(4500))?.to, 'down');
  });
});
