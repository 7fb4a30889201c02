/** What of BFD each host is to run: the declared ones, and those between hosts. */
import { strict as assert } from 'node:assert';
import test from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import type { BfdSessionPlan, BfdSessionSpec } from '../../../src/model/bfd-session.ts';
import type { HostSpec } from '../../../src/model/host.ts';
import { FULL_MESH, sessionPlans, watchedBy } from '../../../src/policy/bfd-plan.ts';
import { checkPlans } from '../../../src/protocol/bfd-plan.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';

const hosts = (...all: readonly (readonly [string, HostSpec])[]): Map<string, HostSpec> => new Map(all);
const two = hosts(['h1', { address: '10.0.0.1', paths: { storage: '10.1.0.1' } }], ['h2', { address: '10.0.0.2', paths: { storage: '10.1.0.2' } }]);
const none = new Map<string, BfdSessionSpec>();

/** As the pulse would have them. */
function checked(plans: readonly BfdSessionPlan[]): void {
  checkPlans(plans.map(({ name, peer, way, interval, receive, multiplier, echo, echoReceive }) => ({
    name,
    path: way.hops === 'single'
      ? { hops: 'single', peer: parseIpAddress(peer), interface: way.interface }
      : { hops: 'multi', peer: parseIpAddress(peer), local: parseIpAddress(way.local), minTtl: way.minTtl },
    settings: {
      desiredMinTx: ms(interval), requiredMinRx: ms(receive), detectMult: multiplier, requiredMinEchoRx: ms(echoReceive),
      ...(echo === undefined ? {} : { echo: ms(echo) }),
    } as Parameters<typeof checkPlans>[0][number]['settings'], // the machine's own defaults play no part in the check
  })));
}

test('between two hosts: one session on each path that both have, over any number of subnets', () => {
  const plans = sessionPlans(none, 'h1', two, undefined);
  assert.deepEqual(plans, [
    {
      name: 'h2/main', peer: '10.0.0.2', way: { hops: 'multi', local: '10.0.0.1', minTtl: 245 }, interval: 100, receive: 100, multiplier: 3, echoReceive: 0,
      watches: { host: 'h2', path: 'main' },
    },
    {
      name: 'h2/storage', peer: '10.1.0.2', way: { hops: 'multi', local: '10.1.0.1', minTtl: 245 }, interval: 100, receive: 100, multiplier: 3, echoReceive: 0,
      watches: { host: 'h2', path: 'storage' },
    },
  ]);
  checked(plans);
  assert.deepEqual(sessionPlans(none, 'h1', two, { detect: { bfd: false } }), []);
  assert.deepEqual(sessionPlans(none, 'h1', two, { detect: { interval: '50ms', multiplier: 5 } }).map(({ interval, multiplier }) => [interval, multiplier]), [[50, 5], [50, 5]]);
  const mixed = hosts(['h1', { address: '10.0.0.1', paths: { a: '10.1.0.1' } }], ['h2', { address: 'fd00::2', paths: { b: '10.2.0.2' } }]);
  assert.deepEqual(sessionPlans(none, 'h1', mixed, undefined), [], 'no common path, and main of two families');
});

test('declared sessions: defaults, one hop and several, echoes, keys, AdminDown', () => {
  const sessions = new Map<string, BfdSessionSpec>([
    ['up', { peer: '10.0.0.254', hosts: { h1: {} }, interface: 'eth0', echo: '20ms', disabled: 'at night' }],
    ['far', {
      peer: '192.0.2.9', hosts: { h1: {}, h2: { local: '10.1.0.2' } }, hops: 3, interval: '50ms', receive: '1s', multiplier: 5,
      authentication: { type: 'sha1', keys: [{ id: 7, file: 'k' }] },
    }],
  ]);
  const own = (host: string): readonly BfdSessionPlan[] => sessionPlans(sessions, host, two, { detect: { bfd: false } });
  assert.deepEqual(own('h1'), [
    {
      name: 'far', peer: '192.0.2.9', way: { hops: 'multi', local: '10.0.0.1', minTtl: 253 }, interval: 50, receive: 1000, multiplier: 5, echoReceive: 0,
      authentication: { type: 'sha1', keys: [{ id: 7, file: 'k' }] },
    },
    { name: 'up', peer: '10.0.0.254', way: { hops: 'single', interface: 'eth0' }, interval: 300, receive: 300, multiplier: 3, echo: 20, echoReceive: 50, disabled: 'at night' },
  ]);
  assert.deepEqual(own('h2').map(({ name, way }) => [name, way]), [['far', { hops: 'multi', local: '10.1.0.2', minTtl: 253 }]]);
  checked(sessionPlans(sessions, 'h1', two, undefined));
});

test('what a pulse could not tell apart is never planned', () => {
  const sessions = new Map<string, BfdSessionSpec>([
    ['a', { peer: '10.0.0.2', hosts: { h1: {} }, hops: 2 }],
    ['b', { peer: '10.0.0.2', hosts: { h1: { local: '10.0.0.1' } }, hops: 5 }],
  ]);
  const plans = sessionPlans(sessions, 'h1', hosts(...two, ['h3', { address: '10.0.0.2' }], ['h4', { address: '10.0.0.9' }], ['h5', { address: '10.0.0.9' }]), undefined);
  assert.deepEqual(plans.map(({ name }) => name), ['a', 'h2/storage', 'h4/main'], 'b, h2/main and h3/main have the ends of a, h5/main those of h4/main');
  checked(plans);
});

test('the order in which things were written changes nothing', () => {
  const turned = hosts(['h2', { paths: { storage: '10.1.0.2' }, address: '10.0.0.2' }], ['h1', { paths: { storage: '10.1.0.1' }, address: '10.0.0.1' }]);
  const session: BfdSessionSpec = { peer: '10.0.0.254', hosts: { h1: {} }, interface: 'e', authentication: { type: 'sha1', keys: [{ id: 1, file: 'k' }] } };
  const same: BfdSessionSpec = { authentication: { keys: [{ file: 'k', id: 1 }], type: 'sha1' }, interface: 'e', hosts: { h1: {} }, peer: '10.0.0.254' };
  assert.equal(JSON.stringify(sessionPlans(new Map([['x', session]]), 'h1', two, undefined)), JSON.stringify(sessionPlans(new Map([['x', same]]), 'h1', turned, undefined)));
});

test('many hosts: whoever has a session has it at both ends, each is watched by enough, and a newcomer moves few', () => {
  const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{2,8}$/), { minLength: FULL_MESH + 1, maxLength: 90 });
  fc.assert(fc.property(names, fc.integer({ min: 2, max: 6 }), (all, observers) => {
    const watched = new Map(all.map((host) => [host, new Set(watchedBy(host, all, observers))]));
    for (const [host, others] of watched) {
      assert.equal(others.size, Math.min(all.length - 1, 2 * observers + 4));
      assert.ok(!others.has(host));
      for (const other of others) assert.ok(watched.get(other)?.has(host), `${host} watches ${other}`);
    }
    const [gone = '', ...rest] = all;
    if (rest.length <= FULL_MESH) return;
    const moved = rest.filter((host) => watchedBy(host, rest, observers).some((other) => !watched.get(host)?.has(other)));
    assert.ok(moved.length <= 2 * observers + 4, `${gone} left, and ${moved.length} have others now`);
  }), { numRuns: 60 });
  assert.equal(watchedBy('a', Array.from({ length: FULL_MESH }, (_, n) => (n === 0 ? 'a' : `h${n}`)), 2).length, FULL_MESH - 1, 'as long as it is few, all');
});
