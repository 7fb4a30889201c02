import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ConflictChange } from '../../../src/protocol/address-conflicts.ts';
import type { AddressFact } from '../../../src/protocol/address-fact.ts';
import { AddressRegistry, type DeclaredAddress, SIGHT_AGE, type Where } from '../../../src/protocol/address-registry.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';

const macs = { a: '52:54:00:00:00:0a', b: '52:54:00:00:00:0b', c: '52:54:00:00:00:0c' };
type Name = keyof typeof macs;
const ADDRESS = '10.1.0.5';
const outside: Where = { place: 'outside', port: 'br-web' };
const at = (name: Name): Extract<Where, { place: 'here' }> => ({ place: 'here', port: `gt-${name}`, vm: `vm-${name}`, nic: 0 });
const claim = (name: Name, address = ADDRESS): AddressFact => ({ kind: 'claim', address: parseIpAddress(address), mac: MacAddress.parse(macs[name]), evidence: 'arp', soft: false });
const probe = (name: Name): AddressFact => ({ ...claim(name), kind: 'probe' });
const declared = (name: Name, address = ADDRESS): DeclaredAddress => ({ network: 'web', address: parseIpAddress(address), mac: MacAddress.parse(macs[name]), where: at(name) });
const told = (changes: readonly ConflictChange[]): string[] =>
  changes.map(({ change, conflict: { address, by, ends } }) => `${change} ${address} ${by} ${ends.map(({ mac, vm, router }) => vm ?? router ?? mac).join(' ')}`);

test('a declared address that another claims: told once, once more when it has been quiet for a minute', () => {
  const registry = new AddressRegistry();
  registry.declare([declared('a')], 0);
  assert.deepEqual(told(registry.sight('web', claim('a'), at('a'), 10)), []);
  assert.deepEqual(told(registry.sight('web', claim('b'), outside, 20)), ['began 10.1.0.5 claim vm-a 52:54:00:00:00:0b']);
  assert.deepEqual(told(registry.sight('web', claim('b'), outside, 30_000)), []);
  assert.deepEqual(told(registry.expire(89_999)), []);
  assert.deepEqual(told(registry.expire(90_000)), ['ended 10.1.0.5 claim vm-a 52:54:00:00:00:0b']);
  assert.deepEqual(told(registry.expire(200_000)), []);
  assert.deepEqual(told(registry.sight('web', claim('b'), outside, 300_000)), ['began 10.1.0.5 claim vm-a 52:54:00:00:00:0b']);
});

test('the same address on another network is another address', () => {
  const registry = new AddressRegistry();
  registry.declare([declared('a')], 0);
  assert.deepEqual(registry.sight('other', claim('b'), outside, 1), []);
});

test('an undeclared address that goes from one guest to another is handed over; who takes it back disputes it', () => {
  const registry = new AddressRegistry();
  assert.deepEqual(told(registry.sight('web', claim('a'), at('a'), 0)), []);
  assert.deepEqual(told(registry.sight('web', claim('b'), at('b'), 10)), []);
  assert.deepEqual(told(registry.sight('web', claim('b'), at('b'), 20)), []);
  assert.deepEqual(told(registry.sight('web', claim('a'), at('a'), 30)), ['began 10.1.0.5 claim vm-b vm-a']);
});

test('two outside are none of this host\'s business, nor are two NICs of one guest', () => {
  const registry = new AddressRegistry();
  for (let now = 0; now < 100; now++) assert.deepEqual(registry.sight('web', claim(now % 2 === 0 ? 'a' : 'b'), outside, now), []);
  const twoNics = new AddressRegistry();
  for (let now = 0; now < 100; now++) assert.deepEqual(twoNics.sight('web', claim(now % 2 === 0 ? 'a' : 'b'), { ...at('a'), nic: now % 2 }, now), []);
});

test('two that probe at the same time are in conflict; who asks for what another has is not yet', () => {
  const registry = new AddressRegistry();
  registry.declare([declared('a')], 0);
  assert.deepEqual(told(registry.sight('web', probe('b'), outside, 0)), []);
  assert.deepEqual(told(registry.sight('web', probe('a'), at('a'), 100)), []);
  assert.deepEqual(told(registry.sight('web', probe('a'), at('a'), 150)), []);
  assert.deepEqual(told(registry.sight('web', probe('b'), outside, 200)), ['began 10.1.0.5 probe vm-a 52:54:00:00:00:0b']);
  assert.deepEqual(told(registry.sight('web', probe('c'), outside, 20_000)), [], 'long after');
});

test('a virtual router: its MAC is everywhere; without one any host may answer, and no guest', () => {
  const registry = new AddressRegistry();
  const address = parseIpAddress(ADDRESS);
  registry.declare([{ network: 'web', address, mac: MacAddress.parse(macs.a), router: 'gw' }], 0);
  assert.deepEqual(registry.sight('web', claim('a'), outside, 1), []);
  assert.deepEqual(told(registry.sight('web', claim('b'), outside, 2)), ['began 10.1.0.5 claim gw 52:54:00:00:00:0b']);
  const without = new AddressRegistry();
  without.declare([{ network: 'web', address, router: 'gw' }], 0);
  for (let now = 0; now < 10; now++) assert.deepEqual(without.sight('web', claim(now % 2 === 0 ? 'a' : 'b'), outside, now), []);
  assert.deepEqual(told(without.sight('web', claim('c'), at('c'), 20)), ['began 10.1.0.5 claim gw vm-c']);
});

test('what was seen is forgotten after ten minutes; what is declared is not; a guest that goes takes its sightings along', () => {
  const registry = new AddressRegistry();
  registry.declare([declared('a')], 0);
  registry.sight('web', claim('b', '10.1.0.6'), outside, 0);
  registry.sight('web', claim('c', '10.1.0.7'), at('c'), 0);
  registry.left('gt-c');
  assert.deepEqual(registry.entries().map(({ address, evidence, vm }) => [address, evidence, vm]), [[ADDRESS, 'declared', 'vm-a'], ['10.1.0.6', 'arp', undefined]]);
  registry.expire(SIGHT_AGE + 1);
  assert.deepEqual(registry.entries().map(({ address }) => address), [ADDRESS]);
  registry.declare([], SIGHT_AGE + 2);
  assert.deepEqual(registry.entries(), []);
});

test('who sprays addresses, outside or in a guest, fills its own room and nobody else\'s', () => {
  const registry = new AddressRegistry({ outside: 10, port: 5 });
  registry.declare([declared('a')], 0);
  for (let n = 0; n < 100; n++) registry.sight('web', claim('b', `10.2.0.${n}`), outside, n);
  for (let n = 0; n < 100; n++) registry.sight('web', claim('c', `10.3.0.${n}`), at('c'), n);
  assert.equal(registry.entries().length, 1 + 10 + 5);
  assert.equal(registry.refused, 90 + 95);
  registry.sight('web', claim('a'), at('a'), 1);
  registry.sight('web', claim('a', '10.1.0.99'), at('a'), 1);
  assert.deepEqual(registry.entries().filter(({ vm }) => vm === 'vm-a').map(({ address, evidence }) => [address, evidence]), [[ADDRESS, 'arp'], ['10.1.0.99', 'arp']]);
  assert.deepEqual(told(registry.sight('web', claim('b'), outside, 2)), ['began 10.1.0.5 claim vm-a 52:54:00:00:00:0b'], 'there is no room to keep it, and it is told');
  // Room is had again as sightings grow old.
  registry.expire(SIGHT_AGE + 50_000);
  registry.sight('web', claim('b', '10.4.0.1'), outside, SIGHT_AGE + 50_000);
  assert.ok(registry.entries().some(({ address }) => address === '10.4.0.1'));
});

test('one address seen again and again takes the room of one', () => {
  const registry = new AddressRegistry({ outside: 2, port: 2 });
  for (let now = 0; now < 20; now++) {
    registry.sight('web', claim('b', '10.2.0.1'), outside, now);
    registry.sight('web', claim('c', '10.3.0.1'), at('c'), now);
    registry.sight('web', probe('c'), at('c'), now);
  }
  registry.sight('web', claim('b', '10.2.0.2'), outside, 30);
  assert.deepEqual([registry.refused, registry.entries().length], [0, 3]);
});

test('the bridge hears again what a tap has told: the guest is here all the same', () => {
  const registry = new AddressRegistry();
  registry.sight('web', claim('a'), at('a'), 0);
  registry.sight('web', claim('a'), outside, 5);
  assert.equal(registry.entries()[0]?.place, 'here');
  registry.left('gt-a');
  registry.sight('web', claim('a'), outside, 10);
  assert.equal(registry.entries()[0]?.place, 'outside');
});

test('property: one VM that moves between hosts, seen here and outside in any order, is never in conflict', () => {
  const step = fc.record({ what: fc.constantFrom('here', 'outside', 'probe', 'come', 'go', 'expire'), after: fc.nat(70_000) });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, declares) => {
    const registry = new AddressRegistry();
    let now = 0;
    for (const { what, after } of steps) {
      now += after;
      if (what === 'here') assert.deepEqual(registry.sight('web', claim('a'), at('a'), now), []);
      else if (what === 'outside') assert.deepEqual(registry.sight('web', claim('a'), outside, now), []);
      else if (what === 'probe') assert.deepEqual(registry.sight('web', probe('a'), at('a'), now), []);
      else if (what === 'come') registry.declare(declares ? [declared('a')] : [], now);
      else if (what === 'expire') assert.deepEqual(registry.expire(now), []);
      else {
        registry.declare([], now);
        registry.left('gt-a');
      }
    }
  }));
});

test('property: where two claim, one of them declared or both in turn, exactly one conflict is told', () => {
  const where = fc.constantFrom<'here' | 'outside'>('here', 'outside');
  fc.assert(fc.property(fc.boolean(), where, fc.array(fc.integer({ min: 1, max: 29_000 }), { minLength: 3, maxLength: 30 }), (declares, place, gaps) => {
    const registry = new AddressRegistry();
    if (declares) registry.declare([declared('a')], 0);
    let now = 0;
    const changes = gaps.flatMap((gap, n) => {
      now += gap;
      const name = n % 2 === 0 ? 'a' : 'b';
      return [...registry.sight('web', claim(name), name === 'a' || place === 'here' ? at(name) : outside, now), ...registry.expire(now)];
    });
    assert.deepEqual(changes.map(({ change }) => change), ['began']);
    assert.deepEqual(changes[0]?.conflict.ends.map(({ mac }) => mac).sort(), [macs.a, macs.b]);
  }));
});
