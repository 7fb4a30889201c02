/** Paths out of use and back: never the last one, never too often, and what is said of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms, seconds } from '../../../src/base/units.ts';
import type { PathState } from '../../../src/model/path.ts';
import { PathQuality, defaultQualityPolicy } from '../../../src/protocol/path-quality.ts';
import { wellAgainAt } from '../../../src/policy/acting-facts.ts';
import { pathFact } from '../../../src/policy/acting-paths.ts';
import { wayFor } from '../../../src/policy/path-use.ts';
import { seeded } from '../protocol/seeded.ts';
import { ActingWorld, GBIT, acting, allModes } from './acting-world.ts';

test('a sick path goes out of use, is said once with its numbers, and comes back', () => {
  const world = new ActingWorld();
  world.step();
  assert.equal(world.told.length, 0);
  world.set('h2', 'h1', 'storage', 'unfit');
  for (let n = 0; n < 5; n++) world.step();
  assert.deepEqual(world.inUse('h1', 'h2'), ['main']);
  assert.deepEqual(world.inUse('h1', 'h3'), ['main', 'storage']);
  const [told, ...more] = world.told;
  assert.equal(more.length, 0);
  assert.deepEqual(told?.report, { action: 'path', mode: 'act', what: 'path storage between h1 and h2 is taken out of use', because: ['h2: it is unfit'] });
  world.set('h1', 'h2', 'storage', 'fit');
  world.step();
  assert.deepEqual(world.inUse('h1', 'h2'), ['main', 'storage']);
  assert.deepEqual(world.reasons(), ['PathTakenOut', 'PathBroughtBack']);
});

test('the last path stays, and that is said; when another is well again it goes', () => {
  const world = new ActingWorld();
  world.set('h1', 'h2', 'storage', 'down');
  world.step();
  world.set('h1', 'h2', 'main', 'unfit');
  world.step();
  assert.deepEqual(world.inUse('h1', 'h2'), ['main']);
  assert.deepEqual(world.reasons(), ['PathTakenOut', 'HeldBack']);
  assert.match(world.told.at(-1)?.report.heldBack ?? '', /last path/);
  world.set('h1', 'h2', 'storage', 'fit');
  world.step();
  assert.deepEqual(world.inUse('h1', 'h2'), ['storage']);
});

test('a host that is gone leaves its paths as they were, without a word', () => {
  const world = new ActingWorld();
  world.set('h1', 'h2', 'storage', 'unfit');
  world.step();
  for (const path of world.paths) world.setHost('h1', path, 'down');
  for (let n = 0; n < 5; n++) world.step();
  assert.deepEqual([world.inUse('h1', 'h2'), world.inUse('h1', 'h3')], [['main'], ['main', 'storage']]);
  assert.deepEqual(world.reasons(), ['PathTakenOut']);
});

test('what befalls many pairs at once is told in one, with its number', () => {
  const world = new ActingWorld(6);
  world.setHost('h3', 'storage', 'unfit');
  world.step();
  for (const host of world.hosts) if (host !== 'h3') assert.deepEqual(world.inUse('h3' < host ? 'h3' : host, 'h3' < host ? host : 'h3'), ['main']);
  assert.deepEqual(world.told.map(({ report }) => report.what), ['path storage is taken out of use between 5 pairs of hosts: h1 and h3, h2 and h3, h3 and h4, h3 and h5, h3 and h6']);
  world.setHost('h3', 'storage', 'fit');
  world.step();
  assert.match(world.told[1]?.report.what ?? '', /^path storage is used again between 5 pairs of hosts: h1 and h3,/);
});

test('of two sick ones the clearly better one takes the place of the other', () => {
  const world = new ActingWorld();
  world.set('h1', 'h2', 'storage', 'unfit', 0.2);
  world.step();
  world.set('h1', 'h2', 'main', 'unfit', 0.5);
  world.step();
  assert.deepEqual(world.inUse('h1', 'h2'), ['storage']);
});

test('what carries what moves send is not taken away, unless nothing comes through it', () => {
  const world = new ActingWorld();
  world.traffic = 1.5 * GBIT;
  world.set('h1', 'h2', 'storage', 'unfit');
  world.step();
  assert.deepEqual(world.inUse('h1', 'h2'), ['main', 'storage']);
  assert.match(world.told[0]?.report.heldBack ?? '', /what is left carries 1000 Mbit\/s, and moves send 1500 Mbit\/s/);
  world.set('h1', 'h2', 'storage', 'down');
  world.step();
  assert.deepEqual(world.inUse('h1', 'h2'), ['main']);
  world.set('h1', 'h2', 'storage', 'fit');
  world.step();
  world.traffic = 0.5 * GBIT;
  world.set('h1', 'h2', 'storage', 'unfit');
  world.step();
  assert.deepEqual(world.inUse('h1', 'h2'), ['main']);
});

test('a path of which nothing is known any more stays as it was', () => {
  const world = new ActingWorld();
  world.set('h1', 'h2', 'storage', 'unfit');
  world.set('h1', 'h3', 'storage', 'unknown');
  world.step();
  world.set('h1', 'h2', 'storage', 'unknown');
  world.step();
  assert.deepEqual(world.inUse('h1', 'h2'), ['main']);
  assert.deepEqual(world.inUse('h1', 'h3'), ['main', 'storage']);
});

test('one that falls too often stays out until the limit has room, and is never in use sick because of it', () => {
  const world = new ActingWorld();
  const wasOut: number[] = [];
  for (let n = 0; n < 1200; n++) {
    const sick = n % 20 < 10;
    world.set('h1', 'h2', 'storage', sick ? 'down' : 'fit');
    world.step();
    const used = world.inUse('h1', 'h2').includes('storage');
    assert.ok(!(sick && used), `in use at ${n}`);
    if (!used) wasOut.push(n);
  }
  const outs = world.reasons().filter((reason) => reason === 'PathTakenOut').length;
  assert.ok(outs >= 4 && outs <= 12, `${outs} times in 20 min`);
  assert.ok(wasOut.length > 600);
  world.set('h1', 'h2', 'storage', 'fit');
  for (let n = 0; n < 700; n++) world.step();
  assert.deepEqual(world.inUse('h1', 'h2'), ['main', 'storage']);
});

test('one that stays out for the limit alone comes back when the other fails', () => {
  const world = new ActingWorld(3, ['main', 'storage'], { ...acting, limit: 1 });
  world.set('h1', 'h2', 'storage', 'unfit');
  world.step();
  world.set('h1', 'h2', 'storage', 'fit');
  world.step();
  assert.deepEqual(world.inUse('h1', 'h2'), ['main']);
  world.set('h1', 'h2', 'main', 'unfit');
  world.step();
  assert.deepEqual(world.inUse('h1', 'h2'), ['storage']);
});

const statesOf = fc.constantFrom<PathState>('fit', 'fit', 'unfit', 'down', 'unknown');
const turns = fc.array(fc.record({ a: fc.nat(3), b: fc.nat(3), path: fc.constantFrom('main', 'storage', 'third'), state: statesOf, loss: fc.double({ min: 0, max: 1, noNaN: true }), wait: fc.integer({ min: 1, max: 120_000 }), traffic: fc.nat(4) }), { maxLength: 60 });

test('whatever happens to paths: never the last one, never more than the limit, and one that is well and alone is in use', () => {
  fc.assert(fc.property(turns, (steps) => {
    const world = new ActingWorld(4, ['main', 'storage', 'third']);
    for (const { a, b, path, state, loss, wait, traffic } of steps) {
      if (a !== b) world.set(`h${a + 1}`, `h${b + 1}`, path, state, loss);
      world.traffic = traffic * GBIT;
      world.step(wait);
      for (const pair of world.facts().pairs) {
        const fit = pair.paths.filter((p) => p.state === 'fit').map((p) => p.path);
        if (fit.length > 0) assert.ok(world.inUse(pair.a, pair.b).some((p) => fit.includes(p) || pair.paths.find((f) => f.path === p)?.state === 'unknown'), JSON.stringify(pair));
      }
    }
  }), { numRuns: 200 });
});

test('off does nothing; advise decides the same, says it, and takes nothing out', () => {
  fc.assert(fc.property(turns, (steps) => {
    const [off, advise] = (['off', 'advise'] as const).map((mode) => new ActingWorld(4, ['main', 'storage', 'third'], { ...acting, modes: allModes(mode) }));
    const act = new ActingWorld(4, ['main', 'storage', 'third']);
    assert.ok(off && advise);
    for (const { a, b, path, state, loss, wait } of steps) {
      for (const world of [off, advise, act]) {
        if (a !== b) world.set(`h${a + 1}`, `h${b + 1}`, path, state, loss);
        world.step(wait);
      }
      for (const pair of advise.facts().pairs) assert.equal(advise.inUse(pair.a, pair.b).length, 3);
    }
    assert.deepEqual([off.told, off.deeds, off.standings.size], [[], [], 0]);
    assert.deepEqual(new Set(advise.reasons()).difference(new Set(['Advised', 'HeldBack'])), new Set());
    assert.deepEqual(advise.told.map(({ report, now }) => [now, report.what]), act.told.map(({ report, now }) => [now, report.what]));
  }), { numRuns: 100 });
});

test('switched off, what was done is taken back, and that is said', () => {
  const world = new ActingWorld();
  world.set('h1', 'h2', 'storage', 'unfit');
  world.step();
  world.policy = { ...acting, modes: { ...allModes('act'), path: 'off' } };
  world.step();
  assert.deepEqual(world.inUse('h1', 'h2'), ['main', 'storage']);
  assert.deepEqual(world.told.at(-1)?.report.because, ['act.path is off now']);
});

/** Probes at 100 a second through PathQuality, reported each second, acted on each second and on every turn. @param loss 0..1 by ms */
function probed(span: number, loss: (at: number) => number, random: () => number) {
  const world = new ActingWorld(3);
  const quality = new PathQuality(defaultQualityPolicy, ms(0));
  const at: { readonly reason: string; readonly ms: number }[] = [];
  let first: number | undefined;
  for (let now = 0; now < span; now += 10) {
    const lost = random() < loss(now);
    if (lost) first ??= now;
    const turn = quality.probe(lost ? undefined : ms(1), ms(now));
    if (!turn && now % 1000 !== 0) continue;
    const { fitness, because = '', slowLoss } = quality.status();
    const judgement = { state: fitness, since: 0, because, loss: 0, slowLoss, suspicious: false };
    const fact = pathFact('storage', [{ from: 'h1', judgement }, { from: 'h2' }], GBIT, wellAgainAt(undefined));
    world.set('h1', 'h2', 'storage', fact.state, fact.slowLoss);
    world.now = 1_000_000 + now;
    at.push(...world.step(0).told.map(({ reason }) => ({ reason, ms: now })));
  }
  return { at, first: first ?? 0 };
}

test('3 % loss on one of two paths: out of use within 3 s of the first lost probe in nine of ten cases, and back after it heals', () => {
  let late = 0;
  const runs = 60;
  for (let seed = 0; seed < runs; seed++) {
    const random = seeded(seed);
    const { at, first } = probed(240_000, (now) => (now >= 30_000 && now < 60_000 ? 0.03 : 0), random);
    const [out, back] = at;
    assert.deepEqual(at.map(({ reason }) => reason), ['PathTakenOut', 'PathBroughtBack'], `seed ${seed}`);
    assert.ok(out && back && first >= 30_000);
    if (out.ms - first > 3000) late++;
    assert.ok(back.ms > 60_000 && back.ms - out.ms >= seconds(30), `${back.ms}`);
  }
  assert.ok(late <= runs / 10, `${late} of ${runs} late`);
});

test('a loss that oscillates round the threshold takes the path out, and does not bring it back and forth', () => {
  for (let seed = 0; seed < 20; seed++) {
    const random = seeded(seed);
    // 1 to 3 %, limit 2 %, in 20 s.
    const { at } = probed(1_200_000, (now) => 0.02 + 0.01 * Math.sin(now / 20_000 * 2 * Math.PI), random);
    assert.ok(at.length >= 1 && at.length <= 3, `seed ${seed}: ${JSON.stringify(at)}`);
  }
});

test('both directions count, and a silence of the detector only where no probe comes back either', () => {
  const judgement = (state: PathState) => ({ state, since: 0, because: `it is ${state}`, loss: 0, slowLoss: 0.1, suspicious: false });
  const of = (...sides: Parameters<typeof pathFact>[1]) => pathFact('main', sides, 1, wellAgainAt(undefined));
  assert.deepEqual(of({ from: 'a', judgement: judgement('fit') }, { from: 'b', judgement: judgement('unfit') }), { path: 'main', capacity: 1, slowLoss: 0.1, latency: undefined, state: 'unfit', recovers: true, because: 'b: it is unfit' });
  assert.equal(of({ from: 'a', judgement: { ...judgement('unfit'), loss: 0.006 } }, { from: 'b', judgement: judgement('unfit') }).recovers, false);
  const slow = { ...judgement('unfit'), latency: 30 };
  const judged = wellAgainAt({ quality: { latency: { rising: '50ms', falling: '20ms' } } });
  assert.deepEqual([30, 20].map((latency) => pathFact('main', [{ from: 'a', judgement: { ...slow, latency } }], 1, judged).recovers), [false, true]);
  assert.equal(of({ from: 'a', judgement: judgement('down') }, { from: 'b', judgement: judgement('unfit') }).state, 'down');
  assert.equal(of({ from: 'a', judgement: judgement('fit'), heard: 'silent' }, { from: 'b', judgement: judgement('fit') }).state, 'fit');
  assert.equal(of({ from: 'a', heard: 'silent' }, { from: 'b', heard: 'heard' }).state, 'down');
  assert.equal(of({ from: 'a', heard: 'heard' }).state, 'fit');
  // B's monitor does not run, and nobody answers there.
  assert.equal(of({ from: 'a', heard: 'heard', judgement: judgement('down') }, { from: 'b', heard: 'heard' }).state, 'fit');
  assert.equal(of({ from: 'a', heard: 'heard', judgement: judgement('down') }).state, 'unknown');
  // Cut from a to b alone.
  assert.equal(of({ from: 'a', heard: 'heard', judgement: judgement('down') }, { from: 'b', heard: 'silent', judgement: judgement('down') }).state, 'down');
  assert.equal(of({ from: 'a', heard: 'unknown' }).state, 'unknown');
  assert.equal(of().state, 'unknown');
});

test('a move takes main when it is in use, else the widest that is', () => {
  const from = { main: '10.0.0.1', storage: '10.1.0.1', third: '10.2.0.1', own: '10.3.0.1' };
  const to = { main: '10.0.0.2', storage: '10.1.0.2', third: '10.2.0.2' };
  const way = (used: string[]) => wayFor(from, to, (path) => used.includes(path), (path) => (path === 'third' ? 2 : 1));
  assert.equal(way(['main', 'third'])?.path, 'main');
  assert.deepEqual(way(['storage', 'third', 'own']), { path: 'third', source: '10.2.0.1', destination: '10.2.0.2' });
  assert.equal(way([])?.path, 'main');
});
