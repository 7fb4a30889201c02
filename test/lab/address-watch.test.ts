/** The registry on a real bridge: who claims a guest's address is found by the guest's probes, and by what it says itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AddressWatch } from '../../src/agent/address-watch.ts';
import { type Ears, kernelEars } from '../../src/agent/neighbour-ears.ts';
import { bytes } from '../../src/base/units.ts';
import type { Host } from '../../src/host/host.ts';
import type { VmTap } from '../../src/host/vm-tap.ts';
import type { Guest } from '../../src/move/hypervisor.ts';
import { systemClock } from '../../src/native/system-clock.ts';
import { gratuitousArpRequestFrame } from '../../src/wire/announce.ts';
import { Ipv4Address, parseIpAddress } from '../../src/wire/ip-address.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';
import { type Bench, GUEST, NO_VNET_HEADER, twoHosts, until, vmTap, withBench } from './host-fixture.ts';

const [own4, own6] = ['10.1.0.5', 'fd00::5'];
const log = { info: () => undefined, warn: () => undefined, error: (fields: object, text: string) => assert.fail(`${text} ${JSON.stringify(fields)}`) };

function guestAt({ tap }: VmTap, guard?: boolean): Guest {
  const unasked = (): never => assert.fail('not asked for');
  return {
    vm: {
      name: 'web-1', memory: bytes(1), cpus: 1, machine: 'q35', cpuModel: 'x', accelerator: 'tcg', disks: [],
      nics: [{ mac: GUEST, attachment: { kind: 'bridge', bridge: 'br0' }, mtu: 1500, addresses: [parseIpAddress(own4), parseIpAddress(own6)], vhost: false, ...(guard ? { guard } : {}) }],
    },
    place: { runDirectory: '/none', id: '0' }, exited: new Promise(() => undefined), ports: [tap.name], speak: (_nic, frame) => tap.write(frame),
    state: unasked, announce: unasked, powerDown: unasked, kill: unasked, close: unasked, lastWords: unasked,
  };
}

interface Watched {
  readonly watch: AddressWatch;
  readonly changed: () => number;
  /** What was listened at, in this order. */
  readonly opened: readonly string[];
}

const byText = (a: string, b: string): number => (a < b ? -1 : 1);

async function withWatch(host: Host, guest: Guest, during: (watched: Watched) => Promise<void>): Promise<void> {
  let changes = 0;
  let here = false;
  const spec = { cpus: 1, memory: '1Mi', nics: [{ network: 'web', mac: String(GUEST), addresses: [own4, own6] }] };
  const opened: string[] = [];
  const real = kernelEars(host, log);
  const ears: Ears = {
    open(device, heard) {
      opened.push(device);
      return real.open(device, heard);
    },
  };
  const watch = new AddressWatch({
    ears, guests: () => (here ? [{ guest, spec, networks: { web: { bridge: 'br0' } }, moving: false }] : []), busy: () => false,
    guards: host.guards, random: () => 0, clock: systemClock, log, changed: () => void changes++,
  });
  here = true;
  watch.kick();
  try {
    await during({ watch, changed: () => changes, opened });
  } finally {
    await watch.close();
  }
}

const ends = (watch: AddressWatch): unknown[] => watch.report().conflicts.map(({ network, address, by, ends: [one, other] }) => ({ network, address, by, one, other }));

function clientMac(bench: Bench, client: Host): string {
  return bench.ip(client, '-br', 'link', 'show', 'e1').split(/\s+/)[2] ?? '';
}

test('a guest starts and somebody has its addresses already: its probes find out, and both ends are named', async () => {
  await withBench(async (bench) => {
    const { h1, client } = twoHosts(bench);
    const tap = vmTap(bench, h1);
    bench.ip(client, 'addr', 'add', `${own4}/24`, 'dev', 'e1');
    bench.ip(client, 'addr', 'add', `${own6}/64`, 'dev', 'e1', 'nodad');
    await withWatch(h1, guestAt(tap), async ({ watch, changed }) => {
      await until('both are told', () => watch.report().conflicts.length === 2);
      const one = { mac: String(GUEST), port: 'gt-0', vm: 'web-1', nic: 0 };
      const other = { mac: clientMac(bench, client), port: 'br0' };
      assert.deepEqual(ends(watch).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)), [
        { network: 'web', address: own4, by: 'claim', one, other }, { network: 'web', address: own6, by: 'claim', one, other },
      ]);
      assert.equal(changed(), 2, 'each is reported at once, and once');
    });
  });
});

test('two namespaces claim one address, neither was asked: by sight', async () => {
  await withBench(async (bench) => {
    const { h1, client, e1 } = twoHosts(bench);
    const tap = vmTap(bench, h1);
    await withWatch(h1, guestAt(tap), async ({ watch }) => {
      await until('the guest is listened to', () => watch.report().seen.length === 2);
      tap.tap.write(gratuitousArpRequestFrame(GUEST, Ipv4Address.parse(own4)));
      await until('the guest is seen', () => watch.report().seen.some(({ evidence }) => evidence === 'arp'));
      // As any host does that takes an address into use (RFC 5227 §2.3).
      e1.send(gratuitousArpRequestFrame(MacAddress.parse(clientMac(bench, client)), Ipv4Address.parse(own4)), NO_VNET_HEADER);
      await until('it is told', () => watch.report().conflicts.length === 1);
      const [conflict] = watch.report().conflicts;
      assert.deepEqual(conflict?.ends.map(({ mac, vm, port }) => [mac, vm, port]), [[String(GUEST), 'web-1', 'gt-0'], [clientMac(bench, client), undefined, 'br0']]);
    });
  });
});

test('a guarded guest that forges is in conflict with nobody: what it says reaches nobody', async () => {
  await withBench(async (bench) => {
    const { h1 } = twoHosts(bench);
    const tap = vmTap(bench, h1);
    await h1.guards.put([{ name: 'gt-0', mac: GUEST, addresses: [parseIpAddress(own4), parseIpAddress(own6)] }]);
    await withWatch(h1, guestAt(tap, true), async ({ watch }) => {
      await until('the guest is listened to', () => watch.report().seen.length === 2);
      tap.tap.write(gratuitousArpRequestFrame(GUEST, Ipv4Address.parse('10.1.0.66')));
      tap.tap.write(gratuitousArpRequestFrame(GUEST, Ipv4Address.parse(own4)));
      await until('the guest is seen', () => watch.report().seen.some(({ evidence }) => evidence === 'arp'));
      assert.deepEqual(watch.report().seen.map(({ address, place }) => `${address} ${place}`).toSorted(byText), [`${own4} here`, `${own6} here`]);
    });
  });
});

test('a bridge that was down is listened to again', async () => {
  await withBench(async (bench) => {
    const { h1, client, e1 } = twoHosts(bench);
    const tap = vmTap(bench, h1);
    await withWatch(h1, guestAt(tap), async ({ watch, opened }) => {
      await until('the guest is listened to', () => watch.report().seen.length === 2);
      bench.ip(h1, 'link', 'set', 'br0', 'down');
      bench.ip(h1, 'link', 'set', 'br0', 'up');
      await until('the bridge is listened at again', () => opened.filter((device) => device === 'br0').length === 2);
      e1.send(gratuitousArpRequestFrame(MacAddress.parse(clientMac(bench, client)), Ipv4Address.parse('10.1.0.9')), NO_VNET_HEADER);
      await until('an address outside is seen', () => watch.report().seen.some(({ address, place }) => address === '10.1.0.9' && place === 'outside'));
    });
  });
});

test('a flood of ARP is taken in sips: the program goes on, and what comes later is heard', async () => {
  await withBench(async (bench) => {
    const { h1, client, e1 } = twoHosts(bench);
    const tap = vmTap(bench, h1);
    const mac = MacAddress.parse(clientMac(bench, client));
    await withWatch(h1, guestAt(tap), async ({ watch }) => {
      await until('the guest is listened to', () => watch.report().seen.length === 2);
      for (let n = 0; n < 2000; n++) e1.send(gratuitousArpRequestFrame(mac, Ipv4Address.parse(`10.2.${n >> 8}.${n & 0xff}`)), NO_VNET_HEADER);
      // Whatever was sent in one go: no turn of the event loop takes in more than a sip.
      await new Promise((resolve) => setImmediate(resolve));
      const sip = watch.report().seen.length;
      assert.ok(sip <= 2 + 200, `${sip} at once`);
      // The second sip makes room behind it.
      await until('the next sip is taken', () => watch.report().seen.length > sip);
      e1.send(gratuitousArpRequestFrame(mac, Ipv4Address.parse('10.3.0.1')), NO_VNET_HEADER);
      await until('what comes later is heard', () => watch.report().seen.some(({ address }) => address === '10.3.0.1'));
    });
  });
});
