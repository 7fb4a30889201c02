import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Host } from '../../../src/host/host.ts';
import { MoveSource, type NetworkedGuest } from '../../../src/move/move-source.ts';
import type { MoveTerms } from '../../../src/move/ends.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';

const mac = MacAddress.parse('52:54:00:00:00:01');

/** One that is on a VXLAN; what it learns is noted. */
function handedOver(): { readonly learned: string[]; close(): void } {
  const learned: string[] = [];
  let closed = false;
  const find = (): { index: number } => (closed ? assert.fail('the host is closed') : { index: 7 });
  const taps: { index: number }[] = [];
  // The casts: of a host and its guest only these are asked for here.
  const host = {
    addresses: { route: () => ({ device: 1 }) }, links: { find, list: () => [] },
    bridges: { learn: (port: number, whose: MacAddress) => learned.push(`${whose} at ${port}`) },
  } as unknown as Host;
  const vm = { nics: [{ mac, addresses: [], attachment: { kind: 'bridge', bridge: 'br0', segment: { kind: 'vxlan', vni: 5 } } }] };
  const terms = { id: 'abc120', source: parseIpAddress('10.9.0.1'), destination: parseIpAddress('10.9.0.2') } as MoveTerms;
  const source = new MoveSource({ host, vm, taps } as unknown as NetworkedGuest, terms, { adopt: true });
  // It has no lanes, which are not asked for either.
  taps.push({ index: 3 });
  source.endGroupRedirect();
  return { learned, close: () => (closed = true) };
}

test('handed over: the bridge learns again once all may have heard; an agent that has closed its host by then is not thrown at', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const [here, ended] = [handedOver(), handedOver()];
  ended.close();
  assert.deepEqual(here.learned, []);
  t.mock.timers.tick(250);
  assert.deepEqual([here.learned, ended.learned], [[`${mac} at 3`], []]);
});
