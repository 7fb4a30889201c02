import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { columnsOf, summaryOf } from '../../../src/cli/chart-of-history.ts';
import { chart } from '../../../src/cli/chart.ts';
import { parseSince } from '../../../src/cli/since.ts';
import { kept } from './detection.ts';
import { golden } from './golden.ts';
import { NOW } from './resources.ts';
import { StubApi, StubIo, godwit } from './stub.ts';

const api = (): StubApi => Object.assign(new StubApi(), { kept });

test('a chart and a table', async () => {
  const parts: string[] = [];
  for (const [words, env] of [
    ['history host-a path/host-b/main/rtt', { LANG: 'C.UTF-8' }], ['history host-a path/host-b/main/loss-forward --since 2d --points 4', { LANG: 'C.UTF-8' }], ['history host-a link/eth0/rx --points 3', {}],
  ] as const) {
    const { exit, stdout, stderr } = await godwit(words, api(), new StubIo({}, env));
    assert.deepEqual([exit, stderr], [0, '']);
    for (const line of stdout.split('\n')) assert.ok([...line].length <= 80, line);
    parts.push(`$ godwit ${words}\n${stdout}`);
  }
  golden('history', parts.join('\n'));
});

test('what is asked of the server', async () => {
  const asked = api();
  const { stdout } = await godwit('history host-a nic/db-1/0/tx --since 10m --points 7 -o json', asked);
  const query = { host: 'host-a', series: 'nic/db-1/0/tx', from: NOW - 600_000, to: NOW, points: 7 };
  assert.deepEqual(asked.calls, [['history', query]]);
  assert.deepEqual(JSON.parse(stdout), kept(query));
});

test('mistakes are told before anybody is asked; what nobody kept is the server’s to say', async () => {
  for (const [words, says] of [
    ['pth/h2/main/rtt', 'did you mean path/PEER/PATH/rtt'], ['path/h2/rtt', 'write it path/PEER/PATH/rtt|loss'], ['path/h2/main/rt', 'did you mean rtt?'], ['host/lateness --points 0', '1 to 2000'],
    ['host/load', 'name one of softirq, lateness'], ['nic/web-1/x/rx', 'write it nic/VM/N/rx|tx'], ['host/lateness --since soon', 'neither a span'], ['host/lateness --since 2099-01-01', 'still to come'],
    ['host/lateness -o yaml', 'name table or json'], ['x', 'write one of path/PEER/PATH/rtt'],
  ] as const) {
    const asked = api();
    const { exit, stdout, stderr } = await godwit(`history host-a ${words}`, asked);
    assert.deepEqual([exit, stdout, asked.calls], [2, '', []], words);
    assert.ok(stderr.includes(says), stderr);
  }
  const { exit, stderr } = await godwit('history host-a link/eth9/rx', new StubApi());
  assert.deepEqual([exit, stderr], [4, 'error: Nothing was kept of link/eth9/rx [CONTROL_HISTORY_UNKNOWN]\n']);
  const empty = api();
  empty.kept = (query) => ({ ...query, kind: 'gauge', data: [] });
  assert.match((await godwit('history host-a host/softirq', empty)).stderr, /^Nothing was measured of host\/softirq on host-a since/);
});

test('a span, or a time, which is UTC where nothing else is said', () => {
  const now = Date.parse('2026-11-22T12:00:00Z');
  assert.deepEqual(['10m', '1h30m', '2d', '0.5s', '250ms', '3min'].map((text) => now - parseSince(text, now)), [600_000, 5_400_000, 172_800_000, 500, 250, 180_000]);
  assert.deepEqual(['2026-11-22T10:00', '2026-11-22 10:00:00 UTC', '2026-11-22T12:00+02:00'].map((text) => parseSince(text, now)), Array(3).fill(now - 7_200_000));
  assert.equal(parseSince('2026-11-22', now), Date.parse('2026-11-22T00:00:00Z'));
  for (const wrong of ['', '10', 'm', '-10m', '10 m', '2026-13-01', '2026-11-22T25:00', '2026-11-23']) assert.throws(() => parseSince(wrong, now), { code: 'CLI_USAGE' }, wrong);
});

test('a chart has one character per value, grows with it, and shows what is little', () => {
  const any = fc.oneof(fc.constant(null), fc.double({ min: 0, max: 2, noNaN: true }));
  fc.assert(fc.property(fc.array(any, { maxLength: 40 }), fc.integer({ min: 1, max: 6 }), fc.boolean(), (values, rows, unicode) => {
    const drawn = chart(values, { rows, top: 1, unicode });
    assert.equal(drawn.length, rows);
    for (const line of drawn) assert.equal([...line].length, values.length);
  }));
  const fill = (value: number): number => chart([value], { rows: 4, top: 1, unicode: true }).reduce((sum, cell) => sum + Math.max(0, ' ▁▂▃▄▅▆▇█'.indexOf(cell)), 0);
  fc.assert(fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }), (a, b) => {
    assert.ok(fill(Math.min(a, b)) <= fill(Math.max(a, b)));
  }));
  assert.deepEqual([fill(0), fill(0.0001), fill(1), fill(9)], [0, 1, 32, 32]);
  assert.deepEqual(chart([null, 0, 0.001, 0.5, 1], { rows: 2, top: 1, unicode: false }), ['    #', ' _###']);
  assert.deepEqual(chart([null, 0, 0], { rows: 2, top: 0, unicode: true }), ['   ', '·__']);
});

test('points fall into the column of their time, weighted by what is behind them', () => {
  const point = (at: number, value: number | null, count = 1) => ({ at, span: 1, count, value, min: value, max: value });
  const of = (...data: ReturnType<typeof point>[]) => ({ host: 'h', series: 's', kind: 'gauge', from: 0, to: 10, points: 10, data }) as const;
  assert.deepEqual(columnsOf(of(point(0, 1, 3), point(4.9, 5, 1), point(10, 7)), 2), [2, 7]);
  assert.deepEqual(columnsOf(of(point(0, null), point(6, 3)), 2), [null, 3]);
  assert.deepEqual(summaryOf(of(point(0, 1, 3), point(4, 5, 1), point(6, null))), { mean: 2, min: 1, max: 5, count: 4, empty: 1 });
  assert.equal(summaryOf(of(point(6, null))), undefined);
});
