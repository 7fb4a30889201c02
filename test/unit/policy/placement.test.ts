/** Where a VM is started, and why nowhere. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytes, mib } from '../../../src/base/units.ts';
import { type Candidate, type Wish, place } from '../../../src/policy/placement.ts';

const host = (name: string, change: Partial<Candidate> = {}): Candidate => ({ name, freeMemory: mib(1000), accelerators: ['kvm', 'tcg'], bridges: { br0: { mtu: 1500 } }, ...change });
const wish: Wish = { memory: mib(500), accelerator: 'kvm', networks: [{ name: 'lan', bridge: 'br0', mtu: 1500 }] };

test('the most room wins; among equals the first by name', () => {
  assert.deepEqual(place(wish, [host('b'), host('a'), host('c', { freeMemory: mib(900) })]), { host: 'a' });
  assert.deepEqual(place(wish, [host('b'), host('c', { freeMemory: mib(1001) })]), { host: 'c' });
});

test('one to be avoided is taken only when there is no other, whatever room it has', () => {
  const sick = host('a', { freeMemory: mib(9000), avoid: 'its path is sick' });
  assert.deepEqual(place(wish, [sick, host('b')]), { host: 'b' });
  assert.deepEqual(place(wish, [sick, host('b', { freeMemory: mib(10) })]), { host: 'a' });
  assert.deepEqual(place({ ...wish, host: 'a' }, [sick, host('b')]), { host: 'a' });
});

test('each host that cannot take it is named with its reason', () => {
  const hosts = [
    host('a', { unready: 'is silent' }), host('b', { accelerators: ['tcg'] }), host('c', { bridges: {} }), host('d', { bridges: { br0: { mtu: 1400 } } }), host('e', { freeMemory: mib(10) }),
  ];
  assert.deepEqual(place(wish, hosts), {
    reason: "No host can take it: a is silent; b has no KVM (accelerator: tcg would emulate); c has no bridge br0 for network lan; d's bridge br0 has an MTU of 1400, network lan needs 1500; e has 10 MiB free of the 500 needed",
  });
  assert.match(JSON.stringify(place(wish, [])), /no host yet/);
});

test('a bridge that Godwit makes need not be there yet', () => {
  const made = { ...wish, networks: [{ name: 'web', bridge: 'br-web', mtu: 9000, made: true }] };
  assert.deepEqual(place(made, [host('a', { bridges: {} })]), { host: 'a' });
});

test('the host it names is taken, whatever memory it has, unless it cannot run there', () => {
  const hosts = [host('a', { freeMemory: mib(1) }), host('b'), host('c', { unready: 'is silent' })];
  assert.deepEqual(place({ ...wish, host: 'a' }, hosts), { host: 'a' });
  assert.deepEqual(place({ ...wish, host: 'c' }, hosts), { reason: 'c is silent' });
  assert.match(JSON.stringify(place({ ...wish, host: 'x' }, hosts)), /no host x/);
});

test('the order of the hosts does not matter, and one that is chosen fits', () => {
  const some = fc.uniqueArray(fc.record({ name: fc.constantFrom('a', 'b', 'c', 'd'), free: fc.integer({ min: 0, max: 1000 }), silent: fc.boolean() }), { selector: (h) => h.name });
  fc.assert(fc.property(some, (facts) => {
    const hosts = facts.map(({ name, free, silent }) => host(name, { freeMemory: bytes(free), ...(silent ? { unready: 'is silent' } : {}) }));
    const small = { ...wish, memory: bytes(500) };
    const placed = place(small, hosts);
    const reversed = place(small, hosts.toReversed());
    if ('host' in placed) {
      assert.deepEqual(reversed, placed);
      const chosen = hosts.find((h) => h.name === placed.host)!;
      assert.ok(chosen.unready === undefined && chosen.freeMemory >= 500);
      assert.ok(hosts.every((h) => h.unready !== undefined || h.freeMemory <= chosen.freeMemory));
    } else assert.ok(hosts.every((h) => h.unready !== undefined || h.freeMemory < 500));
  }));
});
