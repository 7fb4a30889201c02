/** What a pulse says to an Active that never answers a weaker one (RFC 5798, RFC 3768), in the kernel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ms } from '../../src/base/units.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';
import { virtualRouterMac } from '../../src/wire/vrrp.ts';
import { vrrpFrame } from '../../src/wire/vrrp-frame.ts';
import { readAll, until } from './host-fixture.ts';
import { VIP, plan, withPulseLab } from './pulse-fixture.ts';

test('who has lost tells it from its own MAC: the switch goes on sending to the winner', () => withPulseLab(async (lab) => {
  const { r1, r2, bench } = lab;
  const winner = r2.host;
  const advert = vrrpFrame({
    message: { version: 3, vrid: 7, priority: 200, interval: ms(100), addresses: [parseIpAddress(VIP)] }, checksum: 'pseudo-header',
    sourceMac: virtualRouterMac(4, 7), source: parseIpAddress('10.78.0.12'),
  });
  const out = bench.owned(bench.native.packetSocket(winner.netns, { ifindex: winner.links.get('e0').index, protocol: 0 }));
  lab.silence('r1');
  await r1.start();
  r1.want(plan('g'));
  await r1.is('g', 'active');
  const timer = setInterval(() => out.send(advert), 100);
  try {
    lab.heal();
    await r1.is('g', 'backup');
    readAll(lab.seen);
    const said: string[] = [];
    await until('three farewells', () => {
      for (const { frame } of readAll(lab.seen)) {
        if (frame[12] === 8 && frame[13] === 0 && frame[23] === 112 && frame[29] === 11) said.push(`${MacAddress.of(frame.slice(6, 12))} ${frame[36]}`);
      }
      return said.length >= 3;
    });
    const own = MacAddress.of(r1.host.links.get('e0').address).toString();
    assert.deepEqual([...new Set(said)], [`${own} 100`]);
  } finally {
    clearInterval(timer);
  }
}));
