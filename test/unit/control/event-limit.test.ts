/** So many events of one thing, and of all, in a minute. */
import { strict as assert } from 'node:assert';
import test from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import { EventLimit, MOST_OF_ALL, MOST_OF_ONE } from '../../../src/control/event-limit.ts';

const of = (name: string) => ({ about: { kind: 'Path', name }, host: 'h1' }) as const;

test('whatever comes, when, and how often it is asked again: what is left out is counted, and no minute has too many', () => {
  const step = fc.record({ wait: fc.integer({ min: 0, max: 20_000 }), name: fc.constantFrom('a', 'b', 'c'), again: fc.boolean() });
  fc.assert(fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
    const limit = new EventLimit();
    let [at, told, left] = [0, 0, 0];
    const written = new Map<string, number[]>();
    steps.forEach(({ wait, name, again }, n) => {
      at += wait;
      const due = limit.due(ms(at));
      left += due.reduce((sum, { count }) => sum + count, 0);
      limit.settle(ms(at), due);
      const admitted = limit.admits(of(name), `x ${n}`, ms(at));
      if (again) assert.equal(limit.admits(of(name), `x ${n}`, ms(at)), admitted, 'the same answer');
      if (admitted) {
        told++;
        written.set(name, [...written.get(name) ?? [], at]);
      }
    });
    const due = limit.due(ms(at + 60_000));
    left += due.reduce((sum, { count }) => sum + count, 0);
    assert.equal(told + left, steps.length);
    // A window begins with its first, so within any minute there are parts of two.
    for (const times of written.values()) for (const from of times) assert.ok(times.filter((time) => time >= from && time < from + 60_000).length <= 2 * MOST_OF_ONE);
    limit.settle(ms(at + 60_000), due);
    assert.deepEqual(limit.due(ms(at + 200_000)), []);
  }));
});

test('many things that flap at once are limited together', () => {
  const limit = new EventLimit();
  const admitted = (at: number): number => Array.from({ length: 1000 }, (_, n) => limit.admits(of(`p${n}`), `${at} ${n}`, ms(at))).filter((yes) => yes).length;
  assert.equal(admitted(0), MOST_OF_ALL);
  assert.equal(admitted(1000), 0);
  const due = limit.due(ms(60_000));
  assert.deepEqual(due.map(({ about, count }) => [about.kind, about.name, count]), [['Host', 'h1', 2000 - MOST_OF_ALL]], 'what is told of them does not flood either');
  limit.settle(ms(60_000), due);
  assert.equal(admitted(61_000), MOST_OF_ALL);
});
