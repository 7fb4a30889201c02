/** Addresses, routes, neighbours, macvlans and the monitor, against what iproute2 and the wire say. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Macvlan } from '../../src/host/macvlan.ts';
import { KernelRefused } from '../../src/host/netlink.ts';
import type { Host } from '../../src/host/host.ts';
import { joinGroup } from '../../src/host/multicast.ts';
import type { NetworkChange } from '../../src/host/monitor.ts';
import { ROUTE_PROTOCOL } from '../../src/host/route.ts';
import { readSysctl, writeSysctl } from '../../src/host/sysctl.ts';
import { decodeEthernet, EtherType } from '../../src/wire/ethernet.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { decodeIpv4 } from '../../src/wire/ipv4.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';
import { type Bench, readAll, until, withBench } from './host-fixture.ts';

const timeout = { timeout: 30_000 };
const ip = parseIpAddress;
const VIRTUAL_MAC = MacAddress.parse('00:00:5e:00:01:33');

function refused(errno: number): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof KernelRefused, String(error));
    assert.equal(error.errno, errno, error.message);
    return true;
  };
}

/** Two hosts on one wire, up, with 10.78.0.1 and 10.78.0.2, fd78::1 and fd78::2. */
async function pair(bench: Bench): Promise<{ h1: Host; h2: Host; near: number; far: number }> {
  const [h1, h2] = [bench.host('h1'), bench.host('h2')];
  h1.links.createVeth({ name: 'near', netns: h1.netns, mtu: 1500 }, { name: 'far', netns: h2.netns, mtu: 1500 });
  const [near, far] = [h1.links.get('near').index, h2.links.get('far').index];
  for (const [host, index, number] of [[h1, near, 1], [h2, far, 2]] as const) {
    host.links.set(index, { up: true, noIpv6Address: true });
    host.addresses.add(index, ip(`10.78.0.${number}`), 24);
    host.addresses.add(index, ip(`fd78::${number}`), 64);
  }
  await until('carrier', () => h1.links.get('near').carrier && h2.links.get('far').carrier);
  return { h1, h2, near, far };
}

/** What iproute2 says, as objects: `ip -j` prints an array of them. */
const facts = (bench: Bench, host: Host, ...words: string[]): Record<string, unknown>[] =>
  JSON.parse(bench.ip(host, '-j', ...words)) as Record<string, unknown>[];

describe('addresses', () => {
  for (const [text, prefixLength] of [['10.78.9.9', 32], ['fd78:9::9', 128]] as const) {
    test(`${text}: ours, without a route, and gone by itself when nobody renews it`, timeout, () => withBench(async (bench) => {
      const { h1, near } = await pair(bench);
      const options = { lifetime: 3, protocol: 201, noPrefixRoute: true };
      h1.addresses.add(near, ip(text), prefixLength, options);
      assert.throws(() => h1.addresses.add(near, ip(text), prefixLength, options), refused(17));
      const ours = (): ReturnType<Host['addresses']['list']> => h1.addresses.list(near).filter(({ protocol }) => protocol === 201);
      const [found] = ours();
      assert.deepEqual(ours().map(({ address }) => address), [ip(text)]);
      assert.deepEqual([found?.device, found?.prefixLength, (found?.flags ?? 0) & 0x2c0, found?.lifetime], [near, prefixLength, 0x200, 3]);
      assert.match(bench.ip(h1, 'addr', 'show', 'near'), /noprefixroute.*proto 0xc9|proto 0xc9.*noprefixroute|valid_lft 3sec/);
      assert.ok(!h1.routes.list().some(({ to }) => to.equals(ip(text))));
      // Renewed until well past its first lifetime.
      const begun = performance.now();
      await until('its second lifetime is under way', () => {
        h1.addresses.renew(near, ip(text), prefixLength, options);
        return performance.now() - begun > 4500;
      });
      assert.deepEqual([ours().length, ours()[0]?.lifetime, (ours()[0]?.flags ?? 0) & 0x2c0], [1, 3, 0x200]);
      const silent = performance.now();
      await until('the kernel has taken it back', () => ours().length === 0);
      console.error(`${text} went ${(performance.now() - silent).toFixed(0)} ms after it was last renewed, with a lifetime of 3 s`);
      h1.addresses.renew(near, ip(text), prefixLength, options);
      assert.equal(ours().length, 1);
      h1.addresses.remove(near, ip(text), prefixLength);
      assert.equal(ours().length, 0);
      assert.throws(() => h1.addresses.remove(near, ip(text), prefixLength), refused(99));
    }));
  }

  test('those of all devices; without a lifetime they stay', timeout, () => withBench(async (bench) => {
    const { h1, near } = await pair(bench);
    const texts = h1.addresses.list().map((a) => [a.device, `${a.address}/${a.prefixLength}`, a.lifetime]);
    assert.deepEqual(texts, [
      [1, '127.0.0.1/8', undefined], [near, '10.78.0.1/24', undefined], [1, '::1/128', undefined], [near, 'fd78::1/64', undefined],
    ]);
  }));
});

describe('routes', () => {
  for (const [to, bits, via, own, other] of [
    ['10.81.0.7', 32, '10.78.0.2', '10.82.0.0', '10.78.0.9'], ['fd81::7', 128, 'fd78::2', 'fd82::', 'fd78::9'],
  ] as const) {
    test(`${to}: added, replaced, listed, deleted`, timeout, () => withBench(async (bench) => {
      const { h1, near } = await pair(bench);
      const v6 = to.includes(':');
      const family = v6 ? 6 : 4;
      const ours = (): unknown[] => h1.routes.list(family).filter(({ protocol }) => protocol === ROUTE_PROTOCOL);
      const whole = { to: ip(to), prefixLength: bits, device: near };
      const entry = { ...whole, via: undefined, protocol: ROUTE_PROTOCOL, scope: v6 ? 'global' : 'link', metric: v6 ? 1024 : 0 };
      h1.routes.add(whole);
      assert.deepEqual(ours(), [entry]);
      assert.throws(() => h1.routes.add(whole), refused(17));
      h1.routes.replace({ ...whole, via: ip(via) });
      assert.deepEqual(ours(), [{ ...entry, via: ip(via), scope: 'global' }]);
      assert.deepEqual(h1.addresses.route(ip(to)).via, ip(via));
      const net = { to: ip(own), prefixLength: 24, device: near, metric: 77 };
      h1.routes.add({ ...net, via: ip(other) });
      const shown = facts(bench, h1, v6 ? '-6' : '-4', 'route', 'show', 'proto', String(ROUTE_PROTOCOL));
      assert.deepEqual(shown.map((r) => [r['dst'], r['gateway'], r['dev'], r['metric']]), [
        [to, via, 'near', v6 ? 1024 : undefined], [`${own}/24`, other, 'near', 77],
      ]);
      assert.throws(() => h1.routes.delete({ ...net, protocol: 202 }), refused(3));
      assert.throws(() => h1.routes.delete({ ...net, metric: 78 }), refused(3));
      h1.routes.delete(net);
      h1.routes.delete(whole);
      // Whatever its scope was.
      h1.routes.add(whole);
      h1.routes.delete(whole);
      assert.deepEqual(ours(), []);
      assert.throws(() => h1.routes.delete(whole), refused(3));
      if (!v6) assert.throws(() => h1.routes.add({ ...net, to: ip('10.82.0.1') }), refused(22));
    }));
  }

  test('an IPv4 route by an IPv6 next hop; the default route', timeout, () => withBench(async (bench) => {
    const { h1, near } = await pair(bench);
    const route = { to: ip('10.83.0.0'), prefixLength: 16, device: near };
    h1.routes.add({ ...route, via: ip('fd78::2') });
    h1.routes.add({ to: ip('0.0.0.0'), prefixLength: 0, device: near, via: ip('10.78.0.2') });
    h1.routes.add({ to: ip('::'), prefixLength: 0, device: near, via: ip('fd78::2') });
    const ours = h1.routes.list().filter(({ protocol }) => protocol === ROUTE_PROTOCOL);
    const vias = ours.map((r) => [`${r.to}/${r.prefixLength}`, String(r.via)]);
    assert.deepEqual(vias, [['0.0.0.0/0', '10.78.0.2'], ['10.83.0.0/16', 'fd78::2'], ['::/0', 'fd78::2']]);
  }));
});

describe('neighbours', () => {
  for (const [there, nobody] of [['10.78.0.2', '10.78.0.99'], ['fd78::2', 'fd78::99']] as const) {
    test(`${there}: resolved by the kernel, set, deleted; nobody is nobody`, timeout, () => withBench(async (bench) => {
      const { h1, h2, near } = await pair(bench);
      const mac = MacAddress.of(h2.links.get('far').address);
      if (there.includes(':')) h1.addresses.add(near, ip('fe80::1'), 64);
      assert.equal(h1.neighbours.mac(near, ip(there)), undefined);
      for (const address of [there, nobody]) h1.neighbours.resolve(near, ip(address));
      assert.equal(h1.neighbours.list(near).find(({ address }) => address.equals(ip(nobody)))?.state, 'incomplete');
      await until('an answer', () => h1.neighbours.mac(near, ip(there)) !== undefined);
      assert.deepEqual(h1.neighbours.mac(near, ip(there)), mac);
      await until('it gave up', () => h1.neighbours.list(near).find(({ address }) => address.equals(ip(nobody)))?.state === 'failed');
      assert.equal(h1.neighbours.mac(near, ip(nobody)), undefined);
      h1.neighbours.set(near, ip(there), VIRTUAL_MAC);
      const entry = h1.neighbours.list(near).find(({ address }) => address.equals(ip(there)));
      assert.deepEqual(entry, { device: near, address: ip(there), mac: VIRTUAL_MAC, state: 'permanent', router: false });
      h1.neighbours.delete(near, ip(there));
      assert.ok(!bench.ip(h1, 'neigh', 'show', 'nud', 'permanent').includes(there));
      assert.throws(() => h1.neighbours.delete(near, ip('10.78.0.77')), refused(2));
    }));

    test(`${there}: the host answers for another`, timeout, () => withBench(async (bench) => {
      const { h1, h2, near, far } = await pair(bench);
      const v6 = there.includes(':');
      if (v6) h1.addresses.add(near, ip('fe80::1'), 64);
      const [asked, behind] = v6 ? [ip('fd78::50'), 'fd85::1'] : [ip('10.78.0.50'), '10.85.0.1'];
      writeSysctl(h2, v6 ? 'ipv6/conf/all/forwarding' : 'ipv4/ip_forward', 1);
      if (v6) writeSysctl(h2, 'ipv6/conf/far/proxy_ndp', 1);
      // Only what it would forward to another device is answered for.
      const { index } = h2.links.create('d0', 'bridge', []);
      h2.links.set(index, { up: true });
      h2.addresses.add(index, ip(behind), v6 ? 64 : 24);
      h2.routes.add({ to: asked, prefixLength: v6 ? 128 : 32, device: index });
      assert.deepEqual(h2.neighbours.proxies(), []);
      for (let i = 0; i < 2; i++) h2.neighbours.addProxy(far, asked);
      assert.deepEqual([h2.neighbours.proxies(), h2.neighbours.proxies(index)], [[{ device: far, address: asked }], []]);
      h1.neighbours.resolve(near, asked);
      await until('an answer', () => h1.neighbours.mac(near, asked) !== undefined);
      assert.deepEqual(h1.neighbours.mac(near, asked), MacAddress.of(h2.links.get('far').address));
      h2.neighbours.deleteProxy(far, asked);
      assert.deepEqual(h2.neighbours.proxies(), []);
      assert.throws(() => h2.neighbours.deleteProxy(far, asked), refused(2));
    }));
  }
});

describe('macvlan', () => {
  const macvlan = (parent: number): Macvlan => ({ name: 'gvr4-51', parent, mac: VIRTUAL_MAC, mode: 'private' });

  test('down, private, with its MAC, and silent of itself', timeout, () => withBench(async (bench) => {
    const { h1, near } = await pair(bench);
    const link = h1.createMacvlan(macvlan(near));
    assert.deepEqual([link.kind, link.up, link.parent, MacAddress.of(link.address)], ['macvlan', false, near, VIRTUAL_MAC]);
    // `ip -d -j` prints these members.
    type Facts = { linkinfo?: { info_data?: { mode?: string } }; inet6_addr_gen_mode?: string };
    const [fact] = facts(bench, h1, '-d', 'link', 'show', 'gvr4-51') as Facts[];
    assert.deepEqual([fact?.linkinfo?.info_data?.mode, fact?.inet6_addr_gen_mode], ['private', 'none']);
    h1.links.set(link.index, { up: true });
    assert.deepEqual(h1.addresses.list(link.index), []);
    assert.throws(() => h1.createMacvlan(macvlan(near)), refused(17));
    assert.throws(() => h1.createMacvlan({ ...macvlan(999), name: 'other' }), refused(19));
    h1.links.delete(link.index);
    assert.deepEqual(h1.links.list().map(({ name }) => name), ['lo', 'near']);
  }));

  test('one left over is taken over, a wrong one made anew, another device left alone', timeout, () => withBench(async (bench) => {
    const { h1, near } = await pair(bench);
    const first = h1.ensureMacvlan(macvlan(near));
    h1.links.set(first.index, { up: true });
    const again = h1.ensureMacvlan(macvlan(near));
    assert.deepEqual([again.index, again.up], [first.index, false]);
    const other = MacAddress.parse('00:00:5e:00:01:34');
    const changed = h1.ensureMacvlan({ ...macvlan(near), mac: other });
    assert.notEqual(changed.index, first.index);
    assert.deepEqual(MacAddress.of(changed.address), other);
    h1.links.delete(changed.index);
    h1.links.create('gvr4-51', 'bridge', []);
    assert.throws(() => h1.ensureMacvlan(macvlan(near)), { code: 'HOST_MACVLAN_NAME_TAKEN' });
    assert.equal(h1.links.get('gvr4-51').kind, 'bridge');
  }));
});

describe('monitor', () => {
  test('tells what changes, once, and no bridge ports', timeout, () => withBench(async (bench) => {
    const { h1, near } = await pair(bench);
    const changes: NetworkChange[] = [];
    const monitor = bench.owned(h1.monitor((change) => changes.push(change)));
    const heard = (): string[] => changes.splice(0).map(tell);
    const bridge = h1.links.create('br0', 'bridge', []).index;
    h1.links.createVeth({ name: 'p0', netns: h1.netns, mtu: 1500 }, { name: 'p1', netns: h1.netns, mtu: 1500 });
    const port = h1.links.get('p0').index;
    h1.links.set(port, { master: bridge });
    h1.links.set(port, { master: 0 });
    monitor.drain();
    assert.ok(!heard().some((line) => line.includes('removed')), 'a port that leaves its bridge is no link that ends');

    h1.addresses.add(near, ip('10.78.5.5'), 32, { noPrefixRoute: true, protocol: 9 });
    h1.routes.add({ to: ip('10.86.0.0'), prefixLength: 24, device: near });
    h1.neighbours.set(near, ip('10.78.0.9'), VIRTUAL_MAC);
    monitor.drain();
    assert.deepEqual(heard(), [
      `address 10.78.5.5/32 of ${near} protocol 9`, `route 10.86.0.0/24 by ${near} table 254`,
      `neighbour 10.78.0.9 of ${near} ${VIRTUAL_MAC} permanent`,
    ]);
    h1.neighbours.delete(near, ip('10.78.0.9'));
    h1.routes.delete({ to: ip('10.86.0.0'), prefixLength: 24, device: near });
    h1.addresses.remove(near, ip('10.78.5.5'), 32);
    monitor.drain();
    const gone = heard();
    for (const line of [`route 10.86.0.0/24 by ${near} table 254 removed`, `address 10.78.5.5/32 of ${near} protocol 9 removed`]) {
      assert.ok(gone.includes(line), `${line} in ${gone.join(', ')}`);
    }
    assert.ok(gone.some((line) => /^neighbour 10\.78\.0\.9 .*(failed|removed)/.test(line)), gone.join(', '));
  }));

  test('hears by the event loop: carrier lost at the other end, and the link that ends', timeout, () => withBench(async (bench) => {
    const { h1, h2, near, far } = await pair(bench);
    const changes: string[] = [];
    bench.owned(h1.monitor((change) => changes.push(tell(change))));
    h2.links.set(far, { up: false });
    await until('no carrier', () => changes.includes(`link near ${near} up no carrier`));
    h2.links.delete(far);
    await until('its end', () => changes.some((line) => line.startsWith(`link near ${near}`) && line.endsWith('removed')));
  }));

  test('an overrun is told, after all that was heard, and it hears on', timeout, () => withBench(async (bench) => {
    const { h1, near } = await pair(bench);
    const changes: NetworkChange[] = [];
    const monitor = bench.owned(h1.monitor((change) => changes.push(change)));
    const route = { to: ip('10.87.0.0'), prefixLength: 24, device: near };
    for (let i = 0; i < 5000; i++) {
      h1.routes.add(route);
      h1.routes.delete(route);
    }
    monitor.drain();
    assert.deepEqual([changes.filter(({ kind }) => kind === 'overrun').length, changes.at(-1)?.kind], [1, 'overrun']);
    assert.ok(changes.length > 100);
    changes.length = 0;
    h1.routes.add(route);
    monitor.drain();
    assert.deepEqual(changes.map(tell), [`route 10.87.0.0/24 by ${near} table 254`]);
  }));
});

function tell(change: NetworkChange): string {
  if (change.kind === 'overrun') return 'overrun';
  const end = change.removed ? ' removed' : '';
  switch (change.kind) {
    case 'link': {
      const { name, index, up, carrier } = change;
      return `link ${name} ${index} ${up ? 'up' : 'down'} ${carrier ? 'carrier' : 'no carrier'}${end}`;
    }
    case 'address': {
      const { address, prefixLength, device, protocol } = change.address;
      return `address ${address}/${prefixLength} of ${device} protocol ${protocol}${end}`;
    }
    case 'route': return `route ${change.route.to}/${change.route.prefixLength} by ${change.route.device} table ${change.table}${end}`;
    case 'neighbour': {
      const { address, device, mac, state } = change.neighbour;
      return `neighbour ${address} of ${device} ${mac ?? 'no MAC'} ${state}${end}`;
    }
  }
}

describe('groups and settings', () => {
  test('membership is reported on the wire, and ends with close', timeout, () => withBench(async (bench) => {
    const { h1, h2, near, far } = await pair(bench);
    const wire = bench.owned(bench.native.packetSocket(h2.netns, { ifindex: far, protocol: EtherType.ipv4 }));
    const memberships = ['224.0.0.18', 'ff02::12'].map((group) => bench.owned(joinGroup(h1, near, ip(group))));
    const shown = (): string => bench.ip(h1, 'maddr', 'show', 'dev', 'near');
    assert.match(shown(), /inet {2}224\.0\.0\.18/);
    assert.match(shown(), /inet6 ff02::12/);
    assert.match(shown(), /01:00:5e:00:00:12/);
    // IGMPv3: type 0x22, one record or more, each of 8 bytes with its group at the end (RFC 3376 §4.2)
    await until('an IGMP report', () => readAll(wire).some(({ frame }) => {
      const packet = decodeIpv4(decodeEthernet(frame).payload);
      return packet.protocol === 2 && Buffer.from(packet.payload).includes(Buffer.from([224, 0, 0, 18]));
    }));
    for (const membership of memberships) membership.close();
    assert.doesNotMatch(shown(), /224\.0\.0\.18|ff02::12$/m);
  }));

  test('settings of the namespace alone, of devices with dots, and none that is not there', timeout, () => withBench(async (bench) => {
    const { h1, h2, near } = await pair(bench);
    h1.links.create('near.7', 'macvlan', [], { parent: near });
    assert.equal(readSysctl(h1, 'ipv4/conf/near.7/arp_ignore'), '0');
    assert.equal(writeSysctl(h1, 'ipv4/conf/near.7/arp_ignore', 1), true);
    assert.deepEqual([readSysctl(h1, 'ipv4/conf/near.7/arp_ignore'), readSysctl(h1, 'ipv4/conf/near/arp_ignore')], ['1', '0']);
    const setting = 'ipv4/conf/near.7/arp_ignore';
    assert.deepEqual([readSysctl(h2, setting), writeSysctl(h2, setting, 1)], [undefined, false]);
    assert.throws(() => writeSysctl(h1, 'ipv4/conf/near/arp_ignore', 'yes'), { code: 'HOST_SYSCTL' });
    for (const setting of ['../kernel/hostname', 'ipv4//ip_forward', '']) {
      assert.throws(() => readSysctl(h1, setting), { code: 'HOST_SYSCTL' });
    }
  }));
});
