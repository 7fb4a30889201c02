/** Redirects at both ends: what a loop is, what refuses it, and that a quick way back makes none. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { MoveTerms } from '../../src/move/ends.ts';
import { RedirectLoop } from '../../src/move/errors.ts';
import { MoveSource, type NetworkedGuest, firstVni, tunnelName } from '../../src/move/move-source.ts';
import type { Host } from '../../src/host/host.ts';
import type { Link } from '../../src/host/link.ts';
import type { VmTap } from '../../src/host/vm-tap.ts';
import { bytesPerSecond, mib } from '../../src/base/units.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';
import { GUEST, NO_VNET_HEADER, frame, numbers, readAll, take, tunnelBetween, twoHosts, until, vmTap, withBench } from './host-fixture.ts';

const timeout = { timeout: 30_000 };
const [H1, H2] = ['10.79.0.1', '10.79.0.2'];

/** A VM as a MoveSource sees it: the guest's QEMU plays no part in the network's half of a move. */
function running(host: Host, tap: VmTap): NetworkedGuest {
  return {
    host, taps: [tap],
    vm: {
      name: 'web-1', memory: mib(1), cpus: 1, machine: 'q35', cpuModel: 'Nehalem', accelerator: 'tcg', disks: [],
      nics: [{ mac: GUEST, attachment: { kind: 'bridge', bridge: 'br0' }, mtu: 1500, addresses: [], vhost: false }],
    },
  };
}

/** Ids of moves that differ by 16, as their VNIs do. */
const [THERE, BACK, MORE] = ['00a010', '00a020', '00a030'];

const terms = (id: string, source: string, destination: string): MoveTerms =>
  ({ id, source: parseIpAddress(source), destination: parseIpAddress(destination), maxBandwidth: bytesPerSecond(1e9) });

const sourceOf = (guest: NetworkedGuest, move: MoveTerms): MoveSource => new MoveSource(guest, move, { adopt: false });

/** What the destination of a move has: an end of its tunnel, which feeds its tap. */
function tunnelInto(host: Host, tap: VmTap, move: MoveTerms): Link {
  const tunnel = host.createTunnel({ name: tunnelName(move, 0), vni: firstVni(move), local: move.destination, remote: move.source, mtu: 1500 });
  host.traffic.attach(tunnel.index);
  host.traffic.redirect(tunnel.index, { hook: 'ingress', preference: 1, match: 'all', to: tap.index });
  return tunnel;
}

function redirectAll(host: Host, tap: VmTap, tunnel: Link): void {
  host.traffic.redirect(tap.index, { hook: 'egress', preference: 1, match: 'all', to: tunnel.index });
}

describe('redirects at both ends', () => {
  test('of the same taps: one frame runs for ever, until one redirect is taken away', timeout, () => withBench(async (bench) => {
    const { h1, h2, e1 } = twoHosts(bench);
    const [one, two] = [vmTap(bench, h1), vmTap(bench, h2, { mute: true })];
    const there = tunnelBetween(h1, H1, h2, H2, two, 'gx-there', 7001);
    const back = tunnelBetween(h2, H2, h1, H1, one, 'gx-back', 7002);
    redirectAll(h1, one, there.near);
    redirectAll(h2, two, back.near);
    const laps = (): number => h1.links.get('gx-there').counters.txPackets;
    e1.send(frame(MacAddress.broadcast, 1), NO_VNET_HEADER);
    await until('a hundred laps', () => laps() > 100);
    h2.traffic.remove(two.index, 'egress', 1);
    assert.deepEqual(numbers(await take(two.tap, 1)), [1]);
    const after = laps();
    e1.send(frame(MacAddress.broadcast, 2), NO_VNET_HEADER); // behind whatever still ran
    assert.deepEqual(numbers(await take(two.tap, 1)), [2]);
    assert.equal(laps(), after + 1);
  }));

  test('a MoveSource refuses a tap that a tunnel still feeds, and leaves nothing of its own', timeout, () => withBench((bench) => {
    const { h1, h2 } = twoHosts(bench);
    const [one, two] = [vmTap(bench, h1), vmTap(bench, h2, { mute: true })];
    const { far } = tunnelBetween(h1, H1, h2, H2, two, 'gx-there', 7001);
    const back = terms(BACK, H2, H1);
    const devices = (): string[] => h2.links.list().map((l) => l.name);
    const before = devices();
    assert.throws(() => sourceOf(running(h2, two), back), RedirectLoop);
    assert.deepEqual(devices(), before);
    assert.deepEqual(h2.traffic.counters(two.index, 'egress'), []);

    // The other end's redirect is no hindrance: nothing feeds that tap.
    sourceOf(running(h1, one), terms(MORE, H1, H2)).close();
    // Nor is that tunnel, once it is gone.
    h2.links.delete(far.index);
    const source = sourceOf(running(h2, two), back);
    source.redirect();
    assert.deepEqual(h2.traffic.counters(two.index, 'egress').map((f) => f.preference), [1, 2]);
    source.close();
    assert.deepEqual(h2.traffic.counters(two.index, 'egress'), []);
    assert.deepEqual(devices(), before.filter((name) => name !== far.name));
  }));

  test('a MoveSource that adopts takes over what an earlier one has left, redirecting or not, and clears it away', timeout, () => withBench((bench) => {
    const { h1, e1 } = twoHosts(bench);
    const one = vmTap(bench, h1);
    const there = terms(THERE, H1, H2);
    const devices = (): string[] => h1.links.list().map((l) => l.name);
    const before = devices();
    const adopt = (): MoveSource => new MoveSource(running(h1, one), there, { adopt: true });
    const earlier = sourceOf(running(h1, one), there);
    const made = devices();
    assert.equal(adopt().redirects(), false);
    earlier.redirect();
    e1.send(frame(MacAddress.broadcast, 1), NO_VNET_HEADER);
    const source = adopt();
    assert.deepEqual([source.redirects(), source.redirectedFrames(), devices()], [true, [1], made]);
    source.endRedirect();
    assert.deepEqual([source.redirects(), h1.traffic.counters(one.index, 'egress')], [false, []]);
    earlier.redirect();
    adopt().close();
    assert.deepEqual([h1.traffic.counters(one.index, 'egress'), devices()], [[], before]);
    // What it finds nothing of it makes.
    adopt().close();
    assert.deepEqual(devices(), before);
  }));

  for (const leftover of [false, true]) {
    const what = leftover ? 'with the redirect of the way there left over' : 'as a move makes it';
    test(`a quick way back, ${what}: a broadcast frame comes once through the tunnel and ends`, timeout, () => withBench(async (bench) => {
      const { h1, h2, e1, e2 } = twoHosts(bench);
      const [old, two] = [vmTap(bench, h1, { name: 'gt-old' }), vmTap(bench, h2, { mute: true })];
      // The way there, finished: opened at h2, and h2's end of the tunnel is gone, or RedirectLoop would refuse the way back.
      const there = terms(THERE, H1, H2);
      const first = sourceOf(running(h1, old), there);
      const far = tunnelInto(h2, two, there);
      first.redirect();
      h2.bridges.setPortState(two.index, 'forwarding');
      h2.links.delete(far.index);
      if (!leftover) {
        first.close();
        old.tap.close();
      }
      // The way back, in a tap of its own.
      const fresh = vmTap(bench, h1, { mute: true });
      const back = terms(BACK, H2, H1);
      const second = sourceOf(running(h2, two), back);
      tunnelInto(h1, fresh, back);
      second.redirect();
      h1.bridges.setPortState(fresh.index, 'forwarding');

      const tunnelsOf = (host: Host): Link[] => host.links.list().filter((l) => l.kind === 'vxlan');
      const sent = (): number => [...tunnelsOf(h1), ...tunnelsOf(h2)].reduce((n, l) => n + l.counters.txPackets, 0);
      const all = MacAddress.broadcast;
      e1.send(frame(all, 1), NO_VNET_HEADER);
      e2.send(frame(all, 2), NO_VNET_HEADER);
      // At h1 the new tap is on the bridge; what h2's bridge floods comes by the tunnel.
      const held = await take(fresh.tap, 2);
      assert.deepEqual(numbers(held).sort((a = 0, b = 0) => a - b), [1, 2]);
      // One through the way back; one more into the leftover, which nobody takes out at the other end.
      const want = leftover ? 2 : 1;
      await until('the tunnels\' frames', () => sent() >= want);
      // A loop would have run a thousand laps in this time.
      await pause(50);
      assert.equal(sent(), want);
      assert.deepEqual(readAll(fresh.tap), []);
      assert.deepEqual([...readAll(e1), ...readAll(e2)], []);
      second.close();
      if (leftover) first.close();
    }));
  }
});
