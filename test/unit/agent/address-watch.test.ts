/** When the watch listens, when it asks, and what it makes of what it hears: on doubles. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AddressWatch, type WatchedGuest } from '../../../src/agent/address-watch.ts';
import { bytes } from '../../../src/base/units.ts';
import type { NetworkSpec } from '../../../src/model/network.ts';
import type { Nic } from '../../../src/model/vm.ts';
import type { ReceivedFrame } from '../../../src/native/native.ts';
import { addressFacts } from '../../../src/protocol/address-fact.ts';
import { arpProbeFrame, gratuitousArpRequestFrame } from '../../../src/wire/announce.ts';
import { Ipv4Address } from '../../../src/wire/ip-address.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';
import { ManualClock } from './manual-clock.ts';

const OUTGOING = 4;
const mac = (n: number): MacAddress => MacAddress.of(Uint8Array.of(0x52, 0x54, 0, 0, 0, n));
const four = (n: number): Ipv4Address => Ipv4Address.parse(`10.1.0.${n}`);
const received = (frame: Uint8Array, packetType = 1): ReceivedFrame => ({ frame, packetType, vnetHeader: new Uint8Array(), timestamp: 0 });
const towards = (to: MacAddress, frame: Uint8Array): Uint8Array => {
  frame.set(to.bytes(), 0);
  return frame;
};

class Stage {
  readonly clock = new ManualClock();
  readonly guests: WatchedGuest[] = [];
  readonly asked: string[] = [];
  readonly log: string[] = [];
  readonly drops = new Map([['gt-1', { arp: 2 }], ['gt-x', { arp: 9 }]]);
  readonly hear = new Map<string, (frame: ReceivedFrame) => void>();
  busy = false;
  changed = 0;
  #watch: AddressWatch | undefined;

  begin(): AddressWatch {
    const quiet = (): undefined => undefined;
    this.#watch = new AddressWatch({
      ears: {
        open: (device, heard) => {
          this.log.push(`open ${device}`);
          this.hear.set(device, heard);
          return { hears: true, close: () => void (this.log.push(`close ${device}`), this.hear.delete(device)) };
        },
      },
      guests: () => this.guests, busy: () => this.busy, guards: {
        drops: async () => this.drops,
        put: async (taps) => void this.log.push(...taps.map(({ name, mac: by, addresses }) => `guard ${name} ${by} ${addresses.join()}`)),
      },
      random: () => 0.5, clock: this.clock, log: { info: quiet, warn: quiet, error: (fields) => assert.fail(JSON.stringify(fields)) }, changed: () => void this.changed++,
    });
    return this.#watch;
  }

  guest(n: number, more: Partial<Nic> = {}, moving = false, networks: Readonly<Record<string, NetworkSpec>> = { web: { bridge: 'br0' } }): WatchedGuest {
    const unasked = (): never => assert.fail('not asked for');
    const addresses = [four(n)];
    const nic: Nic = { mac: mac(n), attachment: { kind: 'bridge', bridge: 'br0' }, mtu: 1500, addresses, vhost: false, ...more };
    return {
      moving, networks, spec: { cpus: 1, memory: '1MiB', nics: [{ network: 'web', mac: String(mac(n)), addresses: addresses.map(String) }] },
      guest: {
        vm: { name: `vm-${n}`, memory: bytes(1), cpus: 1, machine: 'q35', cpuModel: 'x', accelerator: 'tcg', disks: [], nics: [nic] },
        place: { runDirectory: '/none', id: '0' }, exited: new Promise(() => undefined), ports: [`gt-${n}`],
        speak: (_nic, frame) => void this.asked.push(`${this.clock.monotonic()} ${addressFacts(frame).map(({ kind, address }) => `${kind} ${address}`).join()}`),
        state: unasked, announce: unasked, powerDown: unasked, kill: unasked, close: unasked, lastWords: unasked,
      },
    };
  }

  tap(n: number, frame: Uint8Array, packetType?: number): void {
    this.hear.get(`gt-${n}`)?.(received(frame, packetType));
  }

  bridge(frame: Uint8Array, packetType?: number): void {
    this.hear.get('br0')?.(received(frame, packetType));
  }

  seen(): string[] {
    return this.#watch?.report().seen.map(({ address, mac: by, place, vm, evidence }) => `${address} ${by} ${place} ${vm ?? '-'} ${evidence}`).sort() ?? [];
  }

  async second(): Promise<void> {
    await this.clock.advance(1000);
  }

  async close(): Promise<void> {
    await this.#watch?.close();
  }
}

async function on(stage: Stage, test: (watch: AddressWatch) => Promise<void>): Promise<void> {
  const watch = stage.begin();
  try {
    await test(watch);
  } finally {
    await stage.close();
  }
}

test('while any move is in hand on the host no socket is opened or closed', async () => {
  const stage = new Stage();
  await on(stage, async () => {
    stage.guests.push(stage.guest(1));
    await stage.second();
    assert.deepEqual(stage.log.splice(0), ['open gt-1', 'open br0']);
    stage.busy = true;
    stage.guests.splice(0, 1, stage.guest(2, {}, true));
    await stage.second();
    assert.deepEqual(stage.log, []);
    assert.deepEqual(stage.seen(), ['10.1.0.2 52:54:00:00:00:02 here vm-2 declared'], 'and who is here is known');
    stage.busy = false;
    await stage.second();
    assert.deepEqual(stage.log.splice(0), ['close gt-1', 'open gt-2']);
  });
  assert.deepEqual(stage.log, ['close br0', 'close gt-2']);
});

test('a guest that starts is asked for three times, one that was there or came by a move is not, and each once an hour', async () => {
  const stage = new Stage();
  stage.guests.push(stage.guest(1), stage.guest(4, {}, true));
  await on(stage, async (watch) => {
    stage.guests.push(stage.guest(2), stage.guest(3, {}, true));
    watch.kick();
    await stage.clock.advance(10_000);
    const arrived = stage.guests[3];
    assert.ok(arrived);
    stage.guests[3] = { ...arrived, moving: false };
    await stage.clock.advance(50_000);
    assert.equal(stage.asked.length, 3);
    // PROBE_WAIT and twice PROBE_MIN..PROBE_MAX, all in the middle.
    assert.deepEqual(stage.asked.splice(0), ['500 probe 10.1.0.2', '2000 probe 10.1.0.2', '3500 probe 10.1.0.2']);
    await stage.clock.advance(3_540_000);
    const later = stage.asked.splice(0);
    assert.deepEqual(later.filter((line) => line.endsWith('.4')), [], 'a guest in a move does not ask');
    assert.deepEqual(later.filter((line) => line.endsWith('.1')).length, 3);
    assert.deepEqual(later.filter((line) => line.endsWith('.3')).length, 3);
  });
});

test('what a guest says is told by its tap alone; group frames by the bridge; answers to it by its tap', async () => {
  const stage = new Stage();
  stage.guests.push(stage.guest(1, { addresses: [] }));
  await on(stage, async () => {
    await stage.second();
    const own = gratuitousArpRequestFrame(mac(1), four(77));
    stage.bridge(own);
    assert.deepEqual(stage.seen(), []);
    stage.tap(1, own);
    stage.bridge(own);
    stage.tap(1, gratuitousArpRequestFrame(mac(8), four(8)), OUTGOING);
    stage.bridge(gratuitousArpRequestFrame(mac(9), four(9)));
    stage.bridge(gratuitousArpRequestFrame(mac(10), four(10)), OUTGOING);
    stage.tap(1, towards(mac(1), gratuitousArpRequestFrame(mac(11), four(11))), OUTGOING);
    assert.deepEqual(stage.seen(), [
      '10.1.0.11 52:54:00:00:00:0b outside - arp', '10.1.0.77 52:54:00:00:00:01 here vm-1 arp', '10.1.0.9 52:54:00:00:00:09 outside - arp',
    ]);
  });
});

test('a conflict is reported at once, once; a probe of its own is none', async () => {
  const stage = new Stage();
  stage.guests.push(stage.guest(1));
  await on(stage, async (watch) => {
    await stage.second();
    stage.tap(1, arpProbeFrame(mac(1), four(1)));
    assert.equal(stage.changed, 0);
    for (let n = 0; n < 3; n++) stage.bridge(gratuitousArpRequestFrame(mac(9), four(1)));
    assert.equal(stage.changed, 1);
    assert.deepEqual(watch.report().conflicts.map(({ ends }) => ends.map(({ mac: by }) => by)), [[String(mac(1)), String(mac(9))]]);
    await stage.clock.advance(61_000);
    assert.deepEqual([stage.changed, watch.report().conflicts], [2, []]);
  });
});

test('the gateway of a routed network answers for everything that is elsewhere, and claims nothing', async () => {
  const stage = new Stage();
  const gateway = mac(100);
  stage.guests.push(stage.guest(1, { attachment: { kind: 'bridge', bridge: 'br0', segment: { kind: 'routed', gateway } } }));
  await on(stage, async (watch) => {
    await stage.second();
    stage.tap(1, towards(mac(1), gratuitousArpRequestFrame(gateway, four(1))), OUTGOING);
    stage.tap(1, towards(mac(1), gratuitousArpRequestFrame(gateway, four(2))), OUTGOING);
    assert.deepEqual([watch.report().conflicts, stage.seen()], [[], ['10.1.0.1 52:54:00:00:00:01 here vm-1 declared']]);
  });
});

test('drops of guarded guests are reported, and only of those; a guard that is gone is put back', async () => {
  const stage = new Stage();
  stage.guests.push(stage.guest(1, { guard: true }), stage.guest(2));
  await on(stage, async (watch) => {
    await stage.clock.advance(6000);
    assert.deepEqual(watch.report().guards, [{ vm: 'vm-1', nic: 0, dropped: { arp: 2 } }]);
    assert.deepEqual(stage.log.filter((line) => line.startsWith('guard')), []);
    stage.drops.delete('gt-1');
    await stage.clock.advance(5000);
    assert.deepEqual(stage.log.filter((line) => line.startsWith('guard')), [`guard gt-1 ${mac(1)} 10.1.0.1`], 'one that is gone is put back');
  });
});

test('a virtual router on a watched bridge: its MAC may be anywhere, another\'s is a conflict', async () => {
  const stage = new Stage();
  stage.guests.push(stage.guest(1));
  await on(stage, async (watch) => {
    watch.want([{
      name: 'gw', vrid: 10, version: 3, family: 4, device: 'br0', addresses: [{ address: '10.1.0.254', prefixLength: 24 }], priority: 100, interval: 1000, virtualMac: true,
      preempt: true, preemptDelay: 0, accept: true, checksum: 'pseudo-header', peers: [], minTtl: 255, announce: { count: 5, interval: 100 }, track: [],
    }]);
    await stage.second();
    stage.bridge(gratuitousArpRequestFrame(MacAddress.parse('00:00:5e:00:01:0a'), four(254)));
    assert.equal(watch.report().conflicts.length, 0);
    stage.bridge(gratuitousArpRequestFrame(mac(9), four(254)));
    assert.deepEqual(watch.report().conflicts[0]?.ends.map(({ router, mac: by }) => router ?? by), ['gw', String(mac(9))]);
  });
});
