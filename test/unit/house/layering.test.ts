/** The house rules that a compiler does not know: who may import whom, what the pure rooms may touch, how long a file may be. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../../..');
/** From the ground up: a room imports only from itself and rooms before it. */
const rooms = ['base', 'wire', 'protocol', 'model', 'policy', 'native', 'host', 'vm', 'store', 'api', 'trust', 'move', 'pulse', 'monitor', 'agent', 'control', 'cli', 'lab'];
/** Packages that are pure themselves. */
const purePackages = new Set(['typebox']);
const pure = new Set(['base', 'wire', 'protocol', 'model', 'policy']);
const impure = [/\bDate\.now\b/, /\bnew Date\(\)/, /\bMath\.random\b/, /\bperformance\.now\b/, /\bsetTimeout\b/, /\bsetImmediate\b/, /\bprocess\./];

interface Source {
  readonly path: string;
  readonly room: string;
  readonly text: string;
  readonly imports: readonly string[];
}

function sources(): Source[] {
  // The program itself, src/main.ts, stands above all rooms.
  return globSync('src/*/**/*.ts', { cwd: root }).map((path) => {
    const text = readFileSync(join(root, path), 'utf8');
    const imports = [...text.matchAll(/^(?:import|export)\s(?:[^';]*?\sfrom\s)?'([^'\n]+)'|\bimport\(\s*'([^'\n]+)'/gm)].map((m) => m[1] ?? m[2] ?? '');
    return { path, room: path.split('/')[1] ?? '', text, imports };
  });
}

/** What is wrong with one file; empty when nothing is. */
function faults({ path, room, text, imports }: Source): string[] {
  const found: string[] = [];
  if (!rooms.includes(room)) found.push(`${path}: there is no room '${room}'`);
  for (const name of imports) {
    if (name.startsWith('.')) {
      const target = relative('src', join(dirname(path), name)).split('/')[0] ?? '';
      if (rooms.indexOf(target) > rooms.indexOf(room)) found.push(`${path} (${room}) imports ${name}: ${target} comes after it`);
    } else if (pure.has(room) && !purePackages.has(name)) found.push(`${path} is in a pure room and imports ${name}`);
  }
  if (pure.has(room)) {
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    for (const pattern of impure) if (pattern.test(code)) found.push(`${path} is in a pure room and uses ${pattern.source}`);
  }
  return found;
}

test('every room imports only from rooms before it, and the pure ones touch nothing outside', () => {
  const all = sources();
  assert.ok(all.length > 30, 'the sources were not found');
  assert.deepEqual(all.flatMap(faults), []);
});

test('the rule sees a violation', () => {
  const file = (room: string, text: string, imports: string[] = []): Source => ({ path: `src/${room}/x.ts`, room, text, imports });
  assert.equal(faults(file('wire', '', ['../host/host.ts'])).length, 1);
  assert.equal(faults(file('protocol', 'const t = Date.now();')).length, 1);
  assert.equal(faults(file('policy', '', ['node:fs'])).length, 1);
  assert.deepEqual(faults(file('agent', 'Date.now()', ['../host/host.ts', 'node:fs'])), []);
});

test('each room has an entry that says what it is for', () => {
  for (const room of new Set(sources().map((s) => s.room))) {
    const said = globSync(`src/${room}/*.ts`, { cwd: root }).some((path) => readFileSync(join(root, path), 'utf8').includes(` * ${room}/: `));
    assert.ok(said, `no file of src/${room}/ begins with '${room}/: …'`);
  }
});

test('files are short enough to be read in one sitting', () => {
  const sizes = globSync('src/**/*.{ts,c,h}', { cwd: root })
    .map((path) => ({ path, size: readFileSync(join(root, path)).length }))
    .filter(({ path }) => !path.endsWith('qmp-types.ts')) // generated
    .sort((a, b) => a.size - b.size);
  assert.deepEqual(sizes.filter(({ size }) => size > 25_000).map(({ path }) => path), []);
  const median = sizes[sizes.length >> 1]?.size ?? 0;
  assert.ok(median < 7000, `the median file has ${median} bytes`);
});
