import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { pointerStep } from '../../../src/api/check-document.ts';
import { dotted, parseYaml } from '../../../src/cli/yaml-document.ts';

/** What stands at a position, to the end of its line. */
const standsAt = (text: string, { line, col }: { line: number; col: number }): string => text.split('\n')[line - 1]!.slice(col - 1);

type Tree = string | readonly Tree[] | { readonly [key: string]: Tree };
const key = fc.stringMatching(/^[a-z][a-z/~.-]{0,5}$/);
/** Every scalar says where it stands. */
const mark = (tree: Tree, pointer = ''): Tree => {
  if (typeof tree === 'string') return `at:${pointer}`;
  if (Array.isArray(tree)) return tree.map((item: Tree, i) => mark(item, `${pointer}/${i}`));
  return Object.fromEntries(Object.entries(tree).map(([k, v]) => [k, mark(v, pointer + pointerStep(k))]));
};
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof({ maxDepth: 4 }, fc.constant(''), fc.array(tie('tree'), { minLength: 1, maxLength: 3 }), fc.dictionary(key, tie('tree'), { minKeys: 1, maxKeys: 3 })),
}));
const leaves = (t: Tree): string[] => (typeof t === 'string' ? [t.slice(3)] : Object.values(t).flatMap(leaves));

test('every scalar is found where it stands, in any document of a file, in block and in flow style', () => {
  fc.assert(fc.property(fc.array(tree, { minLength: 1, maxLength: 3 }), fc.boolean(), fc.constantFrom('\n', '\r\n'), (trees, flow, end) => {
    const marked = trees.map((t) => mark(t));
    const text = marked.map((t) => stringify(t, { lineWidth: 0, defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN', collectionStyle: flow ? 'flow' : 'any' })).join('---\n').replaceAll('\n', end);
    const { documents, complaints } = parseYaml('f', text);
    assert.deepEqual(complaints, []);
    assert.equal(documents.length, trees.length);
    for (const [i, t] of marked.entries()) {
      for (const pointer of leaves(t)) {
        const found = standsAt(text, documents[i]!.position(pointer));
        assert.ok(found.startsWith(`"at:${pointer}"`), `${pointer} is said to be at ${found}`);
        const last = pointer.split('/').at(-1)!.replaceAll('~1', '/').replaceAll('~0', '~');
        if (pointer !== '' && !/^\d+$/.test(last)) assert.ok(standsAt(text, documents[i]!.position(pointer, true)).startsWith(`${last}:`));
      }
    }
  }));
});

test('a collection is where its key is, and what is missing where its parent is', () => {
  const text = 'kind: Vm\nspec:\n  nics:\n    - mac: x\n  empty:\n';
  const [document] = parseYaml('f', text).documents;
  const at = (pointer: string): string => standsAt(text, document!.position(pointer));
  assert.equal(at('/spec'), 'spec:');
  assert.equal(at('/spec/nics'), 'nics:');
  assert.equal(at('/spec/nics/0'), 'mac: x');
  assert.equal(at('/spec/nics/0/network'), 'mac: x');
  assert.equal(at('/spec/nics/7'), 'nics:');
  assert.equal(at('/spec/cpus'), 'spec:');
  assert.equal(at('/spec/empty'), 'empty:');
  assert.equal(at(''), 'kind: Vm');
});

test('through an alias, to what it stands for', () => {
  const text = 'a: &x\n  b: 1\nc: *x\n';
  const [document] = parseYaml('f', text).documents;
  assert.equal(standsAt(text, document!.position('/c/b')), '1');
  assert.equal(standsAt(text, document!.position('/c')), 'c: *x');
});

test('garbage never throws, and is either read or complained about', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'ab:-[]{}&*!|>#"\'%@` \n\t') })), (text) => {
    const { documents, complaints } = parseYaml('f', text);
    for (const { line, col } of complaints) assert.ok(line >= 1 && col >= 1 && line <= text.split('\n').length + 1);
    for (const document of documents) assert.ok(document.position('/a/0').line >= 1);
  }));
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdefgh'].map((k, i) => `${k}: &${k} [${Array(9).fill(`*${'abcdefg'[i]}`).join(',')}]`).join('\n')}\n`;
  assert.match(parseYaml('f', bomb).complaints[0]!.message, /alias/i);
});

test('a path as people write it', () => {
  assert.equal(dotted('/spec/nics/0/mac'), 'spec.nics[0].mac');
  assert.equal(dotted('/labels/a~1b~0'), 'labels.a/b~');
  assert.equal(dotted(''), '');
});
