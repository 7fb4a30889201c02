/** The small parts of a pulse. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ms } from '../../../src/base/units.ts';
import { Adverts } from '../../../src/pulse/adverts.ts';
import { PlanImpossible } from '../../../src/pulse/errors.ts';
import { readPlan } from '../../../src/pulse/plan.ts';
import { refusalRules } from '../../../src/pulse/refusal.ts';
import { rehearse } from '../../../src/pulse/rehearsal.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';
import { sameNetwork } from '../../../src/wire/same-network.ts';
import { plan } from './memory-pulses.ts';

test('refused addresses: nothing of an earlier list is left, neighbour discovery goes through, other tables are not named', () => {
  const removal = 'table inet godwit_routers {}\ndelete table inet godwit_routers\n';
  assert.equal(refusalRules([]), removal);
  const rules = refusalRules(['192.0.2.1', '2001:db8::1', '192.0.2.1'].map(parseIpAddress));
  assert.ok(rules.startsWith(removal));
  assert.deepEqual(rules.match(/ip6? daddr .*/g), [
    'ip daddr { 192.0.2.1 } drop',
    'ip6 daddr { 2001:db8::1 } icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept',
    'ip6 daddr { 2001:db8::1 } drop',
  ]);
});

test('the same network is the same up to the prefix\'s last bit', () => {
  const same = (a: string, b: string, bits: number): boolean => sameNetwork(parseIpAddress(a), parseIpAddress(b), bits);
  assert.ok(same('10.0.1.1', '10.0.0.9', 23));
  assert.ok(!same('10.0.1.1', '10.0.0.9', 24));
  assert.ok(same('10.0.0.1', '192.0.2.1', 0));
  assert.ok(same('2001:db8::1', '2001:db8::2', 126));
  assert.ok(!same('2001:db8::1', '2001:db8::2', 127));
  assert.ok(!same('10.0.0.1', '::1', 0));
});

test('a plan of mixed families, of IPv6 in version 2, or with a text that is no address cannot be read', () => {
  for (const wrong of [
    plan('r', { family: 6 }), plan('r', { version: 2, family: 6, addresses: [{ address: 'fe80::1', prefixLength: 64 }] }), plan('r', { addresses: [] }),
    plan('r', { source: 'x' }), plan('r', { peers: ['fe80::1'] }), plan('r', { track: [{ kind: 'route', route: 'everywhere' }] }),
    plan('r', { track: [{ kind: 'route', route: '192.0.2.0/33' }] }),
    plan('r', { interval: 105 }), plan('r', { interval: 0 }), plan('r', { interval: 40_960 }), plan('r', { version: 2, interval: 1500 }),
    plan('r', { addresses: [{ address: '192.0.2.1', prefixLength: 33 }] }),
  ]) assert.throws(() => readPlan(wrong), PlanImpossible);
  const { router } = readPlan(plan('r'));
  // What makes it another router, and what does not.
  assert.notEqual(readPlan(plan('r', { virtualMac: false })).router.identity, router.identity);
  assert.equal(readPlan(plan('r', { priority: 7, interval: 10, peers: ['192.0.2.9'] })).router.identity, router.identity);
});

test('an advert is made once for as long as it says the same, and anew while a peer\'s next hop is missing', () => {
  let known: MacAddress | undefined;
  let asked = 0;
  const facts = {
    vrid: 1, version: 3, checksum: 'pseudo-header', addresses: [parseIpAddress('192.0.2.1')], source: parseIpAddress('192.0.2.2'),
    sourceMac: MacAddress.broadcast, peers: [parseIpAddress('192.0.2.3')],
  } as const;
  const adverts = new Adverts(facts, () => {
    asked++;
    return known;
  });
  assert.deepEqual(adverts.frames(100, ms(1000)), []);
  known = MacAddress.parse('52:54:00:00:00:03');
  const [frame] = adverts.frames(100, ms(1000));
  assert.equal(adverts.frames(100, ms(1000))[0], frame);
  assert.equal(asked, 2);
  assert.notEqual(adverts.frames(0, ms(1000))[0], frame);
  adverts.forget();
  assert.notEqual(adverts.frames(0, ms(1000))[0], undefined);
  assert.equal(asked, 4);
});

test('a rehearsal ends', () => rehearse());
