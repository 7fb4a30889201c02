/** Who may begin to move: limits hold, nothing idles that could run, nobody starves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytesPerSecond, ms } from '../../../src/base/units.ts';
import { type Move, type WaitingMove, admit, movedTooOften, share } from '../../../src/policy/admission.ts';

const limitOf = (limits: readonly number[]) => (host: string): number => limits[Number(host)] ?? 1;
const pair = (m: Move): string => [m.from, m.to].toSorted().join();
const at = (host: string, moves: readonly Move[]): number => moves.filter((m) => m.from === host || m.to === host).length;
const HOSTS = 4;
const limits = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: HOSTS, maxLength: HOSTS });
const ends = fc.tuple(fc.nat(HOSTS - 1), fc.integer({ min: 1, max: HOSTS - 1 })).map(([from, step]) => ({ from: String(from), to: String((from + step) % HOSTS) }));

test('two moves between the same two hosts wait for each other, in words', () => {
  const waiting = [{ name: 'x', from: 'a', to: 'b' }, { name: 'y', from: 'b', to: 'a' }, { name: 'z', from: 'a', to: 'c' }, { name: 'w', from: 'a', to: 'd' }, { name: 'v', from: 'd', to: 'e', blocked: 'd is silent' }];
  const { begin, waits } = admit({ running: [], waiting, limit: () => 2 });
  assert.deepEqual(begin, ['x', 'z']);
  assert.deepEqual([...waits], [
    ['y', 'x comes first between b and a: one move at a time between two hosts'],
    ['w', 'a takes 2 moves at a time, and has or waits for x, z'],
    ['v', 'd is silent'],
  ]);
});

test('limits and pairs hold, and the first that nothing of its own holds back waits only for what runs', () => {
  fc.assert(fc.property(limits, fc.array(fc.record({ ends, blocked: fc.boolean() }), { maxLength: 12 }), (limits, asked) => {
    const limit = limitOf(limits);
    // What runs is what an earlier round let begin.
    const first = asked.slice(0, 5).map(({ ends }, i) => ({ name: `r${i}`, ...ends }));
    const running = first.filter((m) => admit({ running: [], waiting: first, limit }).begin.includes(m.name));
    const waiting: WaitingMove[] = asked.slice(5).map(({ ends, blocked }, i) => ({ name: `w${i}`, ...ends, ...(blocked ? { blocked: 'no' } : {}) }));
    const { begin, waits } = admit({ running, waiting, limit });
    const all = [...running, ...waiting.filter((m) => begin.includes(m.name))];
    for (let host = 0; host < HOSTS; host++) assert.ok(at(String(host), all) <= limit(String(host)));
    assert.equal(new Set(all.map(pair)).size, all.length);
    assert.deepEqual(waiting.map((m) => m.name).toSorted(), [...begin, ...waits.keys()].toSorted());
    assert.ok(waiting.every((m) => m.blocked === undefined || !begin.includes(m.name)));
    const head = waiting.find((m) => m.blocked === undefined);
    if (head && !begin.includes(head.name)) {
      assert.ok(running.some((m) => pair(m) === pair(head)) || at(head.from, running) >= limit(head.from) || at(head.to, running) >= limit(head.to));
    }
  }));
});

test('nobody starves: the oldest begins when all that ran before it have ended, whoever comes after it and whatever ends first', () => {
  fc.assert(fc.property(limits, fc.array(fc.record({ ends, end: fc.nat(7) }), { minLength: 30, maxLength: 80 }), (limits, steps) => {
    const limit = limitOf(limits);
    let running: Move[] = [];
    let waiting: Move[] = [];
    let oldest: { readonly name: string; readonly before: Set<string> } | undefined;
    steps.forEach(({ ends, end }, n) => {
      // An adversary: a new one at every step, and of those that run he picks which ends.
      waiting.push({ name: `m${n}`, ...ends });
      if (running.length > 0 && end < 6) running.splice(end % running.length, 1);
      const { begin } = admit({ running, waiting, limit });
      running = [...running, ...waiting.filter((m) => begin.includes(m.name))];
      waiting = waiting.filter((m) => !begin.includes(m.name));
      const head = waiting[0];
      if (!head) oldest = undefined;
      else if (oldest?.name !== head.name) oldest = { name: head.name, before: new Set(running.map((m) => m.name)) };
      else assert.ok(running.some((m) => oldest?.before.has(m.name)), `${head.name} waits although all that ran before it have ended`);
    });
  }), { numRuns: 300 });
});

test('a share is never above a cap, never nothing, and all shares of a host together are within its cap', () => {
  fc.assert(fc.property(fc.array(ends, { minLength: 1, maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 1e9 }), { minLength: HOSTS, maxLength: HOSTS }), (all, caps) => {
    const running = all.map((e, i) => ({ name: `m${i}`, ...e }));
    const cap = (host: string) => bytesPerSecond(caps[Number(host)] ?? 1);
    const shares = running.map((m) => share(m, running, cap));
    for (const [i, m] of running.entries()) assert.ok(shares[i]! >= 1 && shares[i]! <= Math.min(cap(m.from), cap(m.to)));
    for (let host = 0; host < HOSTS; host++) {
      const mine = running.flatMap((m, i) => (m.from === String(host) || m.to === String(host) ? [shares[i]!] : []));
      // Nothing is not given to anyone, so that a cap below the number of moves is passed by that.
      assert.ok(mine.reduce<number>((a, b) => a + b, 0) <= Math.max(cap(String(host)), mine.length));
    }
  }));
});

test('the fourth move within three minutes is the last for now', () => {
  const minute = 60_000;
  const moved = [0, 1, 2].map((n) => ms(n * minute));
  assert.equal(movedTooOften(moved, ms(2 * minute), 4), undefined);
  assert.match(movedTooOften([...moved, ms(2 * minute)], ms(3 * minute - 1), 4) ?? '', /moved 4 times/);
  assert.equal(movedTooOften([...moved, ms(2 * minute)], ms(3 * minute), 4), undefined);
});
