import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { matrixLines } from '../../../src/cli/matrix.ts';
import { visibleWidth } from '../../../src/cli/text.ts';
import type { PathResource } from '../../../src/model/path.ts';
import { figures, path, paths } from './detection.ts';
import { golden } from './golden.ts';
import { StubApi, godwit } from './stub.ts';

const colourless = { bars: false, unicode: false };
const fleet = (hosts: number, name: (n: number) => string): PathResource[] => {
  const names = Array.from({ length: hosts }, (_, n) => name(n));
  return names.flatMap((from, i) => names.filter((to) => to !== from).map((to, j) => path(from, to, 'main', {
    window: figures({ rtt: { min: 0.1, mean: 0.3, max: 9, p50: 0.3 + i * 0.01 + j * 0.02, p90: 1, p99: 2, jitter: 0.1 } }),
  })));
};

test('every metric, as a table', async () => {
  const parts: string[] = [];
  for (const words of ['matrix', 'matrix --metric loss --path storage', 'matrix --metric jitter', 'matrix --metric mtu', 'matrix --metric state']) {
    const { exit, stdout, stderr } = await godwit(words, new StubApi(paths));
    assert.deepEqual([exit, stderr], [0, '']);
    parts.push(`$ godwit ${words}\n${stdout}`);
  }
  golden('matrix', parts.join('\n'));
});

test('what came back before a path fell silent is no figure of now', async () => {
  const quality = { since: 0, loss: 1, slowLoss: 1, suspicious: false };
  const fallen = [path('host-a', 'host-b', 'main', { quality: { ...quality, state: 'down' } }), path('host-b', 'host-a', 'main', { quality: { ...quality, state: 'unknown' } })];
  const { stdout } = await godwit('matrix', new StubApi(fallen));
  assert.match(stdout, /^host-a +- +DOWN\*$/m);
  assert.match(stdout, /^host-b +\? +-$/m);
});

test('as data, whatever the metric is', async () => {
  const { stdout } = await godwit('matrix --metric loss -o json', new StubApi(paths));
  const parsed: unknown = JSON.parse(stdout);
  assert.deepEqual(parsed, {
    path: 'main', metric: 'loss', hosts: ['host-a', 'host-b', 'host-c'],
    cells: [
      { from: 'host-a', to: 'host-b', value: 0, state: 'fit', inUse: true, trouble: [] },
      { from: 'host-b', to: 'host-a', value: 0.02, state: 'fit', inUse: true, trouble: ['MTU black hole: more than 1472 of 9000 bytes vanishes'] },
      { from: 'host-a', to: 'host-c', value: 1, state: 'down', inUse: true, trouble: ['nothing is heard', 'nothing came back for 1.0 s'] },
      { from: 'host-c', to: 'host-a', value: null, state: 'unknown', inUse: false, trouble: [] },
    ],
  });
});

test('names, numbers, or the worst: never wider than the terminal', () => {
  const columns = 80;
  const lines = (hosts: number, name: (n: number) => string): string[] => matrixLines('main', 'rtt', fleet(hosts, name), [], columns, colourless);
  const [few, long, many] = [lines(8, (n) => `h${n}`), lines(9, (n) => `host-in-rack-${n}`), lines(32, (n) => `host-${n}`)];
  for (const shown of [few, long, many]) for (const line of shown) assert.ok(visibleWidth(line) <= columns, line);
  assert.match(few[3] ?? '', /^ +h0 +h1 /);
  assert.match(long[3] ?? '', /^ +1 +2 +3 /);
  assert.match(many.join('\n'), /32 hosts do not fit in 80 columns; these are the worst:\n\nWAY +RTT +STATE +TROUBLE\nhost-31 -> host-30 /);
  assert.equal(many.length, 2 + 1 + 1 + 20);
  assert.equal([...few.join('\n').matchAll(/\d\*/g)].length, 1, 'one is the worst');
});

test('colour on a terminal says no more than the words', () => {
  const [plain, coloured] = [colourless, { bars: true, unicode: false }].map((style) => matrixLines('main', 'state', paths.filter(({ spec }) => spec.path === 'main'), [], 80, style));
  const shown = (coloured ?? []).map((line) => stripVTControlCharacters(line));
  assert.deepEqual(shown.slice(0, -1), plain?.slice(0, -1));
  assert.ok((coloured ?? []).join('\n').includes('\u001b[31mDOWN*\u001b[0m'));
});

test('a path that there is not, and no paths at all', async () => {
  const wrong = await godwit('matrix --path storag', new StubApi(paths));
  assert.deepEqual([wrong.exit, wrong.stdout, wrong.stderr], [2, '', 'error: There is no path "storag" between hosts: did you mean storage? [CLI_USAGE]\n']);
  const none = await godwit('matrix', new StubApi());
  assert.deepEqual([none.exit, none.stdout], [0, '']);
  assert.match(none.stderr, /no paths/);
  const other = await godwit('matrix', new StubApi(paths.filter(({ spec }) => spec.path === 'storage')));
  assert.match(other.stdout, /; path storage$/m);
});
