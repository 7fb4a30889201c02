/** The history: what is asked for is what was put in, from memory and from disk, in its budget, whatever the disk does. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { test } from 'node:test';
import fc from 'fast-check';
import type { HistoryPoint } from '../../../src/model/history.ts';
import { DEFAULT_BUDGET, HistoryBook } from '../../../src/monitor/history-book.ts';
import { openHistoryDisk } from '../../../src/monitor/history-disk.ts';
import { WORST_GRADE, layoutsOfSeries } from '../../../src/monitor/history-layout.ts';
import { MemoryHistoryDisk } from './memory-history-disk.ts';

const START = Date.UTC(2030, 0, 1);
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const WRITE_BEHIND = 60_000;
const [RTT, LOSS, RX] = ['path/h2/main/rtt', 'path/h2/main/loss', 'link/eth0/rx'] as const;

const ask = (book: HistoryBook, series: string, from: number, to: number, points = 2000): readonly HistoryPoint[] =>
  book.query({ host: 'h1', series, from, to, points }).data;
const measured = (points: readonly HistoryPoint[]): readonly HistoryPoint[] => points.filter(({ count }) => count > 0);
const bytesAt = (name: string, grade: number): number => layoutsOfSeries(name)?.[grade]?.bytes ?? assert.fail();

/** A tick, and all that it began. */
async function ticked(book: HistoryBook, now: number): Promise<void> {
  book.tick(now);
  await setImmediate();
}

test('a day, second by second: every point of a chart is the mean of what was measured in it', async () => {
  const book = await HistoryBook.open(new MemoryHistoryDisk(), START);
  const value = (second: number): number => 1 + (second % 600) / 100;
  for (let second = 0; second < 86_400; second++) {
    const at = START + second * 1000;
    book.gauge(RTT, at, value(second));
    book.ratio(LOSS, at, second % 100 === 0 ? 1 : 0, 10);
  }
  const points = ask(book, RTT, START, START + DAY, 500);
  assert.ok(points.length > 400 && points.length <= 500);
  for (const { at, span, count, value: mean, min, max } of points) {
    const seconds = Array.from({ length: span / 1000 }, (_, i) => value((at - START) / 1000 + i));
    assert.equal(count, seconds.length);
    assert.ok(Math.abs((mean ?? 0) - seconds.reduce((a, b) => a + b) / seconds.length) < 1e-4);
    assert.ok(Math.abs((min ?? 0) - Math.min(...seconds)) < 1e-4 && Math.abs((max ?? 0) - Math.max(...seconds)) < 1e-4);
  }
  const fine = ask(book, RTT, START + 1000, START + 11_000);
  assert.deepEqual(fine.map(({ at, span }) => [at, span]), Array.from({ length: 10 }, (_, i) => [START + (1 + i) * 1000, 1000]));
  assert.deepEqual(book.query({ host: 'h1', series: LOSS, from: START, to: START + DAY, points: 1 }), {
    host: 'h1', series: LOSS, from: START, to: START + DAY, points: 1, kind: 'ratio',
    data: [{ at: START, span: DAY, count: 864_000, value: 0.001, min: null, max: null }],
  });
});

test('what was not measured is null, and a pause leaves nothing of the day before', async () => {
  const book = await HistoryBook.open(new MemoryHistoryDisk(), START);
  for (let second = 0; second < 60; second++) book.gauge(RX, START + second * 1000, 7);
  // The ring of seconds is 6 hours long: this is the same slot again.
  const again = START + 6 * HOUR;
  book.gauge(RX, again + 59_000, 9);
  const points = ask(book, RX, again, again + 60_000);
  assert.deepEqual(points.map(({ value }) => value), [...Array.from({ length: 59 }, () => null), 9]);
});

test('a day of 32 hosts with 2 paths, 2 links and 49 NICs fits the budget, in full and on disk', async () => {
  const disk = new MemoryHistoryDisk();
  const book = await HistoryBook.open(disk, START);
  const names: string[] = ['host/softirq', 'host/lateness'];
  for (let peer = 0; peer < 31; peer++) for (const path of ['main', 'storage']) {
    for (const what of ['rtt', 'loss', 'loss-forward', 'loss-backward']) names.push(`path/host-${peer}/${path}/${what}`);
  }
  for (const what of ['link/eth0', 'link/eth1', ...Array.from({ length: 49 }, (_, i) => `nic/vm-${i}/0`)]) names.push(`${what}/rx`, `${what}/tx`);
  for (const at of [START, START + DAY - 1000]) for (const name of names) {
    if (name.includes('loss')) book.ratio(name, at, 0, 1);
    else book.gauge(name, at, 1);
  }
  assert.equal(book.count, names.length);
  assert.ok(book.bytes <= DEFAULT_BUDGET);
  assert.deepEqual(book.troubles, []);
  for (const what of ['rtt', 'loss']) {
    const points = measured(ask(book, `path/host-30/storage/${what}`, START, START + 1000));
    assert.deepEqual(points.map(({ at, span }) => [at, span]), [[START, 1000]], 'a second of a day ago');
  }
  await book.close(START + DAY);
  assert.ok([...disk.files.values()].reduce((sum, { length }) => sum + length, 0) <= DEFAULT_BUDGET);
  assert.equal(disk.files.size, names.length);
});

/** Seconds to go on, mostly one, sometimes past a ring's end, sometimes back; whether a tick comes after it. */
const walks = fc.array(fc.record({
  step: fc.oneof({ weight: 8, arbitrary: fc.integer({ min: 0, max: 3 }) }, fc.integer({ min: -5, max: 100_000 })),
  value: fc.integer({ min: 0, max: 1000 }), tick: fc.boolean(),
}), { minLength: 1, maxLength: 60 });

test('what is written behind is what there is: read again, it says the same', async () => {
  await fc.assert(fc.asyncProperty(walks, async (walk) => {
    const disk = new MemoryHistoryDisk();
    const book = await HistoryBook.open(disk, START);
    let at = START + DAY;
    for (const { step, value, tick } of walk) {
      at += step * 1000;
      book.gauge(RX, at, value);
      book.ratio(LOSS, at, Math.min(value, 5), 5);
      if (tick) await ticked(book, at);
    }
    await book.close(at);
    const again = await HistoryBook.open(disk, at);
    for (const name of [RX, LOSS]) for (const [span, points] of [[60_000, 60], [HOUR, 600], [3 * DAY, 2000], [40 * DAY, 2000]] as const) {
      assert.deepEqual(ask(again, name, at - span, at + 1000, points), ask(book, name, at - span, at + 1000, points));
    }
    assert.deepEqual(again.troubles, []);
  }), { numRuns: 60 });
});

test('power lost between any two writes: what is there afterwards is true, and at most some of the last is missing', async () => {
  const value = (at: number): number => (at / 1000) % 1009;
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 120 }), fc.integer({ min: 0, max: 100 }), async (lasts, pause) => {
    const disk = new MemoryHistoryDisk();
    const book = await HistoryBook.open(disk, START);
    // The ring is full: behind every slot there is one of 6 hours ago.
    for (let at = START - 6 * HOUR; at < START; at += 1000) book.gauge(RX, at, value(at));
    await book.close(START - WRITE_BEHIND);
    disk.lasts = lasts;
    const tell = async (book: HistoryBook, from: number, seconds: number): Promise<void> => {
      for (let at = from; at < from + seconds * 1000; at += 1000) {
        book.gauge(RX, at, value(at));
        await ticked(book, at);
      }
    };
    await tell(book, START, 100);
    await tell(book, START + (100 + pause) * 1000, 100);
    const again = await HistoryBook.open(disk, START);
    disk.lasts = Infinity;
    const end = START + HOUR;
    await tell(again, end, 40);
    assert.deepEqual(again.troubles, []);
    const points = measured([...ask(again, RX, START, START + 400_000, 400), ...ask(again, RX, end, end + 40_000, 40)]);
    for (const { at, span, count, value: mean } of points) assert.deepEqual([span, count, mean], [1000, 1, value(at)]);
    const told = measured(ask(book, RX, START, START + 400_000, 400)).map(({ at }) => at);
    const kept = points.map(({ at }) => at).filter((at) => at < end);
    assert.deepEqual(kept, told.slice(0, kept.length));
    assert.equal(points.length - kept.length, 40);
  }), { numRuns: 40 });
});

test('a second is written once, behind, and by its own bytes alone', async () => {
  const disk = new MemoryHistoryDisk();
  const book = await HistoryBook.open(disk, START);
  let writes = 0;
  for (let second = 0; second < 240; second++) {
    const at = START + second * 1000;
    book.gauge(RX, at, second);
    const before = disk.updated;
    await ticked(book, at);
    if (disk.updated > before) writes++;
  }
  assert.equal(writes, 3);
  assert.ok(disk.updated < 3 * (60 * 14 + 3 * 3 * 14 + 100), `${disk.updated} bytes`);
});

test('a full disk is told once, costs nothing that was measured, and is over when it is', async () => {
  const disk = new MemoryHistoryDisk();
  const book = await HistoryBook.open(disk, START);
  disk.refuses = new Error('ENOSPC: no space left on device, write');
  let at = START;
  const seconds = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      book.gauge(RX, at += 1000, 5);
      book.gauge(RTT, at, 5);
      await ticked(book, at);
    }
  };
  await seconds(100);
  const [trouble, ...others] = book.troubles;
  assert.match(trouble ?? '', /^history: it cannot be written to memory \(ENOSPC: no space left on device\): /);
  assert.deepEqual(others, []);
  assert.equal(measured(ask(book, RX, START, at + 1000)).length, 100);
  disk.refuses = undefined;
  await seconds(31);
  assert.deepEqual(book.troubles, []);
  await book.close(at);
  assert.equal(measured(ask(await HistoryBook.open(disk, at), RX, START, at + 1000)).length, 131);
});

test('what does not fit: first less of everything, then no more of it, and that is told', async () => {
  const disk = new MemoryHistoryDisk();
  const budget = 3 * bytesAt(RX, 0);
  const book = await HistoryBook.open(disk, START, budget);
  const names = Array.from({ length: 40 }, (_, i) => `link/eth${i}/rx`);
  for (let second = 0; second < 3; second++) for (const name of names) book.gauge(name, START + second * 1000, second);
  const fit = Math.floor(budget / bytesAt(RX, WORST_GRADE));
  assert.equal(book.count, fit);
  assert.ok(book.bytes <= budget);
  assert.match(book.troubles.join(), new RegExp(`${40 - fit} series have no room`));
  assert.deepEqual(ask(book, 'link/eth0/rx', START, START + 3000).map(({ value }) => value), [0, 1, 2], 'what was there before is still there');
  assert.throws(() => ask(book, 'link/eth39/rx', START, START + 3000), { code: 'MONITOR_NO_SERIES' });
  await book.close(START + 3000);
  assert.equal([...disk.files.values()].reduce((sum, { length }) => sum + length, 0), book.bytes);
  const again = await HistoryBook.open(disk, START + 3000, budget);
  assert.deepEqual([again.count, again.bytes], [book.count, book.bytes]);
  assert.deepEqual(ask(again, 'link/eth0/rx', START, START + 3000).map(({ value }) => value), [0, 1, 2]);
});

test('what has been silent longest makes room, with its file; what is not silent does not', async () => {
  const disk = new MemoryHistoryDisk();
  const book = await HistoryBook.open(disk, START, 2 * bytesAt(RX, 0));
  book.gauge('link/old/rx', START, 1);
  book.gauge('link/older/rx', START - 1000, 1);
  await ticked(book, START);
  await ticked(book, START + 31_000);
  assert.equal(disk.files.size, 2);
  const later = START + 2 * HOUR;
  book.gauge('link/new/rx', later, 1);
  await ticked(book, later);
  assert.throws(() => ask(book, 'link/older/rx', START - HOUR, later), { code: 'MONITOR_NO_SERIES', message: /link\/old\/rx, link\/new\/rx/ });
  assert.equal(measured(ask(book, 'link/old/rx', START - HOUR, later)).length, 1);
  assert.deepEqual([...disk.files.keys()].toSorted(), ['link%2Fnew%2Frx.series', 'link%2Fold%2Frx.series']);
  assert.equal(bytesAt(RX, 0), book.bytes / 2, 'at full length');
});

test('a smaller budget at the next start: less of everything, then those silent longest go', async () => {
  const disk = new MemoryHistoryDisk();
  const book = await HistoryBook.open(disk, START);
  for (let i = 0; i < 20; i++) book.gauge(`link/eth${i}/rx`, START + i * 1000, i);
  await book.close(START + HOUR);
  const budget = 5 * bytesAt(RX, WORST_GRADE);
  const again = await HistoryBook.open(disk, START + HOUR, budget);
  assert.deepEqual([again.count, again.bytes], [5, budget]);
  assert.deepEqual(measured(ask(again, 'link/eth19/rx', START, START + HOUR)).map(({ value }) => value), [19]);
  assert.throws(() => ask(again, 'link/eth14/rx', START, START + HOUR), { code: 'MONITOR_NO_SERIES' });
});

test('a clock that was far ahead does not stop the history', async () => {
  const book = await HistoryBook.open(new MemoryHistoryDisk(), START);
  book.gauge(RX, START + 30 * DAY, 1);
  book.gauge(RX, START, 2);
  assert.deepEqual(ask(book, RX, START, START + 1000).map(({ value }) => value), [2]);
  assert.match(book.troubles.join(), /link\/eth0\/rx was ahead of the clock/);
  book.tick(START + 601_000);
  assert.deepEqual(book.troubles, []);
});

test('questions that make no sense, and what was never measured', async () => {
  const book = await HistoryBook.open(new MemoryHistoryDisk(), START);
  book.gauge(RX, START, 1);
  for (const [from, to, points] of [[0, 1, 0], [0, 1, 2001], [0, 1, 1.5], [5, 5, 1], [-1, 5, 1], [0, NaN, 1], [0, Infinity, 1]] as const) {
    assert.throws(() => ask(book, RX, from, to, points), { code: 'MONITOR_BAD_QUERY' });
  }
  assert.throws(() => ask(book, 'link/eth1/rx', 0, 1), { code: 'MONITOR_NO_SERIES', message: 'Nothing was measured as link/eth1/rx; there are link/eth0/rx' });
  assert.throws(() => ask(book, '../../etc/passwd', 0, 1), { code: 'MONITOR_NO_SERIES', message: /No series has a name like/ });
});

test('on a real disk: what could not be written whole leaves nothing', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'godwit-history-'));
  try {
    const disk = await openHistoryDisk(directory);
    // A directory that is not empty is in its way.
    await mkdir(join(directory, 'x', 'y'), { recursive: true });
    await assert.rejects(disk.create('x', new Uint8Array(1000)));
    assert.deepEqual(await readdir(directory), ['x']);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('on a real disk: files of fixed size; what is damaged or foreign is set aside and told, until the next start', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'godwit-history-'));
  try {
    const where = join(directory, 'deep', 'history');
    const open = async (): Promise<HistoryBook> => HistoryBook.open(await openHistoryDisk(where), START);
    const book = await open();
    book.gauge(RX, START, 4);
    book.ratio(LOSS, START, 1, 4);
    book.gauge(RTT, START, 4);
    await book.close(START);
    book.gauge(RX, START + 1000, 5);
    await book.close(START);
    const [rx, loss, rtt] = ['link%2Feth0%2Frx.series', 'path%2Fh2%2Fmain%2Floss.series', 'path%2Fh2%2Fmain%2Frtt.series'] as const;
    assert.deepEqual((await readdir(where)).toSorted(), [rx, loss, rtt]);
    assert.equal((await stat(join(where, rx))).size, bytesAt(RX, 0));
    await writeFile(join(where, loss), new Uint8Array(bytesAt(LOSS, 0)));
    await writeFile(join(where, rtt), 'short');
    await writeFile(join(where, 'notes.txt'), 'mine');
    await writeFile(join(where, '%zz.series'), 'mine');
    const again = await open();
    assert.deepEqual(ask(again, RX, START, START + 2000).map(({ value }) => value), [4, 5]);
    assert.equal(again.count, 1);
    assert.equal(again.troubles.length, 4);
    assert.ok(again.troubles.every((text) => text.includes('is set aside')));
    assert.deepEqual((await readdir(where)).toSorted(), ['%zz.series.bad', rx, 'notes.txt.bad', `${loss}.bad`, `${rtt}.bad`]);
    await again.close(START);
    assert.deepEqual((await open()).troubles, []);
    assert.deepEqual(await readdir(where), [rx]);
  } finally {
    await rm(directory, { recursive: true });
  }
});
