/** What the command line and the server say of a document: the same words, whatever it is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkDocument, pointerStep } from '../../../src/api/check-document.ts';

const faults = (document: unknown): readonly string[] => {
  const checked = checkDocument(document);
  return 'kind' in checked ? [] : checked.map(({ path, message }) => `${path} ${message}`);
};
const vm = (spec: object): object => ({ kind: 'Vm', name: 'a', spec: { cpus: 1, memory: '1GiB', ...spec } });

test('all faults, not the first eight', () => {
  const spec = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`typo${i}`, i]));
  assert.equal(faults(vm(spec)).length, 30);
  const nics = Array.from({ length: 14 }, () => ({ network: 'A', mac: 'x' }));
  assert.equal(faults(vm({ nics })).length, 28);
});

test('what is no document, and kinds that are no kinds of documents', () => {
  assert.deepEqual([null, [], 'Vm', 3].flatMap(faults), [
    ' a document is a mapping with kind, name and spec, not nothing', ' a document is a mapping with kind, name and spec, not a list',
    ' a document is a mapping with kind, name and spec, not the string "Vm"', ' a document is a mapping with kind, name and spec, not the number 3',
  ]);
  assert.deepEqual(faults({}), [' kind is missing; add kind: one of Host, Network, Vm, VirtualRouter, BfdSession, Policy']);
  assert.deepEqual(faults({ kind: 'constructor' }), ['/kind there is no kind "constructor"; name one of Host, Network, Vm, VirtualRouter, BfdSession, Policy']);
  assert.deepEqual(faults({ kind: 'vm' }), ['/kind there is no kind "vm"; did you mean Vm?']);
});

test('of a union, only what concerns the alternative that was meant', () => {
  const track = (...of: unknown[]): readonly string[] => faults({ kind: 'VirtualRouter', name: 'gw', spec: { vrid: 1, addresses: ['192.0.2.1/24'], hosts: { h1: { track: of } } } });
  assert.deepEqual(track({ interface: 'eth1', weight: -20 }, { route: '0.0.0.0/0' }, { process: 'bgpd' }, { script: 'check', interval: '1s' }), []);
  assert.deepEqual(track({ interface: 'eth1', wieght: 3 }, { script: 'a', weight: 999, interval: 'x' }, {}, { proces: 'bgpd' }, 'eth1'), [
    '/spec/hosts/h1/track/0/wieght unknown key "wieght"; did you mean weight?',
    '/spec/hosts/h1/track/1/weight 999 is not a whole number from -253 to 253',
    '/spec/hosts/h1/track/1/interval "x" is not a time, like 300ms or 30s',
    '/spec/hosts/h1/track/2 {} does not say which; add one of interface, route, bfd, process, script',
    '/spec/hosts/h1/track/3/proces unknown key "proces"; did you mean process?',
    '/spec/hosts/h1/track/4 "eth1" is not a mapping',
  ]);
  assert.deepEqual(track({ interface: 'eth1', route: '0.0.0.0/0' }), ['/spec/hosts/h1/track/0/route unknown key "route"; take it out, or use one of interface, weight']);
  assert.deepEqual(faults({ kind: 'VirtualRouter', name: 'gw', spec: { vrid: 0, addresses: [], version: 4, hosts: {} } }), [
    '/spec/vrid 0 is not a whole number from 1 to 255', '/spec/addresses [] is not a list of 1 to 255',
    '/spec/hosts {} is not a mapping with something in it', '/spec/version 4 is not one of 2, 3',
  ]);
});

test('a value as long as a book is not repeated whole', () => {
  const [fault = ''] = faults(vm({ memory: 'x'.repeat(10_000) }));
  assert.match(fault, /^\/spec\/memory "xxx.*… is not a size, like 512MiB or 4GiB$/);
  assert.ok(fault.length < 160);
});

test('whatever it is, it is taken or complained about, in one line each, and a key that is wrong is named where it is', () => {
  fc.assert(fc.property(fc.record({ kind: fc.constantFrom('Host', 'Network', 'Vm', 'VirtualRouter', 'Policy', 'x') }), fc.jsonValue(), fc.string(), (base, value, key) => {
    const found = checkDocument({ ...base, name: 'a', spec: value, [key]: value });
    if ('kind' in found) return;
    assert.ok(found.length > 0);
    for (const { message } of found) assert.doesNotMatch(message, /\n/);
    if (!['kind', 'name', 'labels', 'spec', 'status', 'revision'].includes(key) && base.kind !== 'x') {
      assert.ok(found.some((fault) => fault.key && fault.path === pointerStep(key)), JSON.stringify(found));
    }
  }));
});
