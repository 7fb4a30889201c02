/** What every PulseGround does: the kernel's (test/lab/pulse-ground.test.ts) and the one in memory (test/unit/pulse/pulse-ground.test.ts). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GodwitError } from '../../src/base/error.ts';
import type { Device, GroundChange, PlacedAddress, PulseGround, Seat } from '../../src/pulse/ground.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';
import { virtualRouterMac } from '../../src/wire/vrrp.ts';

/** A host whose `e0` is up, with 192.0.2.11/24 and fe80::a/64; what the hands do is told to the ground's listener. */
export interface GroundBench {
  readonly ground: PulseGround;
  setUp(up: boolean): void;
  setMac(mac: MacAddress): void;
  /** Takes 192.0.2.11 away. */
  removeAddress(): void;
  /** To a prefix on the link: `198.51.100.0/24`. */
  setRoute(prefix: string, there: boolean): void;
  removeDevice(): void;
}

export type WithGround = (test: (bench: GroundBench) => Promise<void> | void) => Promise<void>;

const OWN = parseIpAddress('192.0.2.11');
const LINK_LOCAL = parseIpAddress('fe80::a');
const VIRTUAL: PlacedAddress = { address: parseIpAddress('192.0.2.1'), prefixLength: 24 };
const PREFIX = { to: parseIpAddress('198.51.100.0'), prefixLength: 24 } as const;

function deviceOf(ground: PulseGround): Device {
  const device = ground.device('e0');
  assert.ok(device);
  return device;
}

/** Everything told while `act` runs, up to `drain`. */
function told(ground: PulseGround, act: () => void): GroundChange[] {
  const changes: GroundChange[] = [];
  ground.drain();
  ground.onChange((change) => void changes.push(change));
  act();
  ground.drain();
  return changes;
}

function seatOn(ground: PulseGround, virtual: boolean): Seat {
  return ground.seat({ name: 'r1', vrid: 7, family: 4, device: deviceOf(ground), virtualMac: virtual ? virtualRouterMac(4, 7) : undefined });
}

export function pulseGroundContract(name: string, withGround: WithGround): void {
  describe(`a pulse's ground: ${name}`, () => {
    it('a device is told of when it goes down, comes up, has another MAC, and is gone', () => withGround(({ ground, ...hands }) => {
      assert.equal(ground.device('e9'), undefined);
      const { index, up, mtu } = deviceOf(ground);
      assert.deepEqual([up, mtu], [true, 1500]);
      const about = (changes: readonly GroundChange[]) => changes.flatMap((one) => (one.kind === 'device' && one.index === index ? [one] : [])).at(-1);
      assert.deepEqual(about(told(ground, () => hands.setUp(false))), { kind: 'device', name: 'e0', index, up: false, removed: false });
      assert.equal(deviceOf(ground).up, false);
      assert.equal(about(told(ground, () => hands.setUp(true)))?.up, true);
      const mac = MacAddress.parse('52:54:00:00:00:42');
      assert.ok(about(told(ground, () => hands.setMac(mac))));
      assert.ok(deviceOf(ground).mac.equals(mac));
      assert.deepEqual(about(told(ground, () => hands.removeDevice())), { kind: 'device', name: 'e0', index, up: false, removed: true });
      assert.equal(ground.device('e0'), undefined);
    }));

    it('its own addresses: to send from, of IPv6 only link-local ones, and never a virtual router\'s', () => withGround(async ({ ground, removeAddress }) => {
      const device = deviceOf(ground);
      const sources = (family: 4 | 6): string[] => ground.sources(device, family).map(String);
      assert.deepEqual([sources(4), sources(6)], [['192.0.2.11'], ['fe80::a']]);
      assert.ok(ground.holds(device, OWN) && ground.holds(device, LINK_LOCAL) && !ground.holds(device, VIRTUAL.address));
      const seat = seatOn(ground, false);
      seat.take([VIRTUAL]);
      assert.deepEqual(sources(4), ['192.0.2.11']);
      assert.ok(!ground.holds(device, VIRTUAL.address));
      await seat.remove();
      const changes = told(ground, removeAddress);
      assert.ok(changes.some((change) => change.kind === 'address' && change.index === device.index));
      assert.deepEqual([sources(4), ground.holds(device, OWN)], [[], false]);
    }));

    it('a route is one to exactly that prefix, and its coming and going is told', () => withGround(({ ground, setRoute }) => {
      const routes = (there: boolean): GroundChange[] => told(ground, () => setRoute('198.51.100.0/24', there)).filter(({ kind }) => kind === 'route');
      const has = (prefixLength: number): boolean => ground.hasRoute(PREFIX.to, prefixLength);
      assert.deepEqual([has(24), has(25)], [false, false]);
      const said = (removed: boolean): unknown[] => routes(!removed).map((one) => one.kind === 'route' && [`${one.to}/${one.prefixLength}`, one.removed]);
      assert.deepEqual(said(false), [['198.51.100.0/24', false]]);
      assert.deepEqual([has(24), has(25)], [true, false]);
      assert.deepEqual(said(true), [['198.51.100.0/24', true]]);
      assert.equal(has(24), false);
    }));

    it('gateways are where its default routes lead', () => withGround(({ ground, setRoute }) => {
      setRoute('198.51.100.0/24', true);
      assert.deepEqual(ground.gateways(deviceOf(ground), 4), []);
    }));

    for (const virtual of [true, false]) {
      it(`a seat ${virtual ? 'with' : 'without'} a virtual MAC: taken, renewed, released, settled, again, removed`, () => withGround(async ({ ground }) => {
        const seat = seatOn(ground, virtual);
        assert.equal(seat.unsettled, false);
        seat.release();
        assert.equal(seat.unsettled, false);
        for (let round = 0; round < 2; round++) {
          seat.take([VIRTUAL]);
          seat.take([VIRTUAL]);
          await seat.renew();
          assert.equal(seat.unsettled, false);
          seat.release();
          seat.release();
          await seat.settle();
          assert.equal(seat.unsettled, false);
        }
        seat.take([VIRTUAL]);
        await seat.remove();
        await seat.remove();
      }));
    }

    it('on a device that is gone there is no seat; one that was there refuses to be renewed, and can be left', () => withGround(async ({ ground, removeDevice }) => {
      const device = deviceOf(ground);
      const seat = seatOn(ground, true);
      seat.take([VIRTUAL]);
      removeDevice();
      ground.drain();
      assert.throws(() => ground.seat({ name: 'r2', vrid: 8, family: 4, device, virtualMac: virtualRouterMac(4, 8) }), GodwitError);
      await assert.rejects(seat.renew(), GodwitError);
      seat.release();
      await seat.settle();
      await seat.remove();
    }));

    it('rules are put in force, changed and removed', () => withGround(async ({ ground }) => {
      await ground.refuse([VIRTUAL.address, LINK_LOCAL]);
      await ground.refuse([VIRTUAL.address]);
      await ground.refuse([]);
    }));
  });
}
