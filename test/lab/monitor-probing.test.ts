/** What monitors find out of wires that nft makes sick, against its own counters. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import type { ClassFigures, Directions } from '../../src/model/path.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { until, withBench } from './host-fixture.ts';
import { LabMonitor, watchPlan, withMonitorLab } from './monitor-fixture.ts';

const busy = { ...watchPlan('a').probing, rate: 400, core: 1, link: 1, timeout: 400 };

/** Of all reports so far, of a path's first class. */
function all({ reports }: LabMonitor, path: string): { readonly lost: Directions; readonly answered: number } {
  const seconds = reports.flatMap((report) => report.paths.filter((each) => each.path === path).flatMap(({ classes }) => classes.slice(0, 1)));
  const sum = (pick: (figures: ClassFigures) => number): number => seconds.reduce((total, figures) => total + pick(figures), 0);
  return {
    answered: sum(({ answered }) => answered),
    lost: { forward: sum(({ lost }) => lost.forward), backward: sum(({ lost }) => lost.backward), unknown: sum(({ lost }) => lost.unknown) },
  };
}

test('every lost probe is found, and in which direction it was lost', async () => {
  await withMonitorLab(async (lab) => {
    const b = lab.start('b', watchPlan('b'));
    // What is sent before anybody answers is lost without a direction.
    await until('b answers', () => b.reports.length > 0, { limit: 10_000, every: 20 });
    const a = lab.start('a', watchPlan('a', { probing: busy }));
    for (const path of ['main', 'alt']) await a.shows(path, `${path} is measured`, ({ classes, quality }) => (classes[0]?.answered ?? 0) > 350 && quality.state === 'fit');
    for (const share of [50, 5]) {
      const before = { main: all(a, 'main'), alt: all(a, 'alt') };
      const rule = `meta length < 200 numgen random mod 1000 < ${share} counter drop`;
      lab.filter('b', `iifname "main" udp dport 862 ${rule}`);
      lab.filter('a', `iifname "alt" udp sport 862 ${share === 50 ? rule.replace('50', '20') : rule}`);
      const enough = before.main.answered + 900;
      await until('900 probes', () => all(a, 'main').answered >= enough, { limit: 10_000, every: 20 });
      const [[forward = 0], [backward = 0]] = [lab.dropped('b'), lab.dropped('a')];
      lab.filter('b', 'counter');
      lab.filter('a', 'counter');
      // What is under way settles, and the losses without direction of the last second wait for one more.
      const [settled] = [a.reports.length + 3];
      await until('their fates to be told', () => a.reports.length >= settled, { limit: 6000, every: 20 });
      const now = { main: all(a, 'main'), alt: all(a, 'alt') };
      const of = (path: 'main' | 'alt', direction: keyof Directions): number => now[path].lost[direction] - before[path].lost[direction];
      // A packet or two may have been dropped between the last look at the counter and its rule's end.
      assert.ok(forward > 0 && Math.abs(of('main', 'forward') - forward) <= 2, `lost there ${of('main', 'forward')}, dropped ${forward}`);
      assert.ok(share === 5 || (backward > 0 && Math.abs(of('alt', 'backward') - backward) <= 2), `lost back ${of('alt', 'backward')}, dropped ${backward}`);
      assert.deepEqual([of('main', 'backward'), of('main', 'unknown'), of('alt', 'forward'), of('alt', 'unknown')], [0, 0, 0, 0]);
    }
    assert.ok(a.turns.some(({ path, to }) => path === 'main' && to === 'unfit'), '5 % made the path unfit');
    assert.deepEqual(b.turns, [], 'the other one\'s probes were all answered');
  });
});

test('a black hole is found, what passes it, and its end; a DSCP that was changed on the way', async () => {
  await withMonitorLab(async (lab) => {
    const paths = { main: { capacity: 125_000_000, classes: [46] }, alt: { capacity: 125_000_000, classes: [0] } };
    const a = lab.start('a', watchPlan('a', { paths }));
    lab.start('b', watchPlan('b', { paths }));
    const sound = await a.shows('main', 'all pass', ({ mtu, classes }) => mtu.passes === 1500 && (classes[0]?.answered ?? 0) > 50);
    assert.deepEqual([sound.mtu, sound.classes[0]?.marking], [{ wanted: 1500, passes: 1500, blackHole: false }, { atReflector: 46, returned: 46 }]);
    await a.shows('alt', 'IPv6 too', ({ mtu }) => mtu.passes === 1500);

    lab.filter('b', 'iifname "main" meta length > 1372 drop', 'iifname "main" udp dport 862 ip dscp set cs1');
    await a.shows('main', 'a black hole', ({ mtu }) => mtu.blackHole, { limit: 10_000 });
    const hole = await a.shows('main', 'what passes', ({ mtu }) => mtu.passes === 1372);
    assert.deepEqual(hole.classes[0]?.marking, { atReflector: 8, returned: 46 });
    assert.equal(hole.quality.state, 'fit', 'small ones pass');
    assert.equal(a.path('alt')?.mtu.blackHole, false);

    lab.filter('b', 'counter');
    await a.shows('main', 'its end', ({ mtu, classes }) => mtu.passes === 1500 && !mtu.blackHole && classes[0]?.marking?.atReflector === 46);
  });
});

test('a router that says what its next link takes is believed, once that has been tried', async () => {
  await withBench(async (bench) => {
    const [a, r, b] = [bench.host('a'), bench.host('r'), bench.host('b')];
    bench.native.inNetns(r.netns, () => writeFileSync('/proc/sys/net/ipv4/ip_forward', '1'));
    for (const [host, net, mtu] of [[a, 1, 1500], [b, 2, 1400]] as const) {
      host.links.createVeth({ name: 'e0', netns: host.netns, mtu: 1500 }, { name: `to-${host.name}`, netns: r.netns, mtu });
      for (const [end, link, last] of [[host, 'e0', 2], [r, `to-${host.name}`, 1]] as const) {
        const { index } = end.links.get(link);
        end.links.set(index, { up: true, noIpv6Address: true });
        end.addresses.add(index, parseIpAddress(`10.76.${net}.${last}`), 24);
      }
      bench.ip(host, 'route', 'add', 'default', 'via', `10.76.${net}.1`);
    }
    const [mine, theirs] = [{ main: '10.76.1.2' }, { main: '10.76.2.2' }];
    const paths = { main: { capacity: 125_000_000, classes: [0] } };
    const monitors = [
      new LabMonitor(a, watchPlan('a', { local: mine, peers: [{ host: 'b', addresses: theirs }], paths })),
      new LabMonitor(b, watchPlan('b', { local: theirs, peers: [{ host: 'a', addresses: mine }], paths })),
    ];
    try {
      const found = await monitors[0]?.shows('main', 'what passes', ({ mtu }) => mtu.passes === 1400);
      assert.deepEqual(found?.mtu, { wanted: 1500, passes: 1400, blackHole: false });
    } finally {
      await Promise.all(monitors.map((monitor) => monitor.close()));
    }
  });
});
