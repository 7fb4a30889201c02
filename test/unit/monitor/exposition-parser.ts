/** The exposition format 0.0.4 by its grammar (prometheus/docs, exposition_formats.md), strictly: what is not allowed fails. */
import assert from 'node:assert/strict';

export interface ParsedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ParsedFamily {
  readonly type: string;
  readonly help: string;
  readonly samples: readonly ParsedSample[];
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const SAMPLE = new RegExp(`^(${NAME})(?:\\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\[\\\\"n])*",?)*)\\})? (\\S+)$`);
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"/g;
const SUFFIXES: Readonly<Record<string, readonly string[]>> = { histogram: ['_bucket', '_sum', '_count'], counter: [''], gauge: [''] };

export function parseExposition(text: string): Map<string, ParsedFamily> {
  assert.ok(text.endsWith('\n'), 'the last line ends too');
  const families = new Map<string, { type: string; help: string; samples: ParsedSample[] }>();
  const seen = new Set<string>();
  let help: readonly [name: string, text: string] = ['', ''];
  let name = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`).exec(line);
    if (comment?.[1] === 'HELP') help = [comment[2] ?? '', comment[3] ?? ''];
    else if (comment) {
      name = comment[2] ?? '';
      assert.ok(help[0] === name && !families.has(name), `${name}: once, and after its HELP`);
      assert.ok(Object.hasOwn(SUFFIXES, comment[3] ?? ''), line);
      families.set(name, { type: comment[3] ?? '', help: help[1], samples: [] });
    } else {
      const sample = parseSample(line);
      const family = families.get(name);
      assert.ok(family && SUFFIXES[family.type]?.some((suffix) => sample.name === name + suffix), `${line}: outside its family`);
      const identity = JSON.stringify([sample.name, Object.keys(sample.labels).toSorted().map((key) => [key, sample.labels[key]])]);
      assert.ok(!seen.has(identity), `${line}: twice`);
      seen.add(identity);
      family.samples.push(sample);
    }
  }
  return families;
}

function parseSample(line: string): ParsedSample {
  const [, name, labels = '', value] = SAMPLE.exec(line) ?? assert.fail(`no sample: ${line}`);
  const number = value === '+Inf' ? Infinity : value === '-Inf' ? -Infinity : Number(value);
  assert.ok(value === 'NaN' || !Number.isNaN(number), line);
  const pairs = [...labels.matchAll(LABEL)].map(([, key = '', text = '']) => [key, text.replaceAll(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c))] as const);
  assert.equal(new Set(pairs.map(([key]) => key)).size, pairs.length, `${line}: a label twice`);
  return { name: name ?? '', labels: Object.fromEntries(pairs), value: number };
}
