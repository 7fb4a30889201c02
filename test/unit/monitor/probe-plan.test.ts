import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ms } from '../../../src/base/units.ts';
import type { WatchPlan } from '../../../src/model/watch-plan.ts';
import { Admission } from '../../../src/monitor/admission.ts';
import { PACKET_COST, fullSizeInterval, hastenedRate, planSessions } from '../../../src/monitor/probe-plan.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { watchPlan } from './memory-monitors.ts';

const { probing } = watchPlan('a');

/** So many hosts with two paths, as host `h0` sees them. */
function cluster(hosts: number, change: Partial<WatchPlan['probing']> = {}, host = 'h0'): WatchPlan {
  const names = Array.from({ length: hosts }, (_, i) => `h${i}`);
  const path = { capacity: 125_000_000, classes: [0] };
  return watchPlan('a', {
    host, peers: names.filter((name) => name !== host).map((name) => ({ host: name, addresses: {} })), paths: { main: path, alt: path },
    probing: { ...probing, ...change },
  });
}

describe('the plan of the probes', () => {
  it('has 32 hosts on 2 paths at 10 probes a second within a twentieth of a core', () => {
    const { mode, sessions, interval } = planSessions(cluster(32, { rate: 10 }), ms(0));
    assert.equal(mode, 'full');
    assert.equal(sessions.length, 62);
    assert.ok([...interval.values()].every((each) => Math.abs(each - 100) < 1e-9));
  });

  it('keeps a tenth of the budget for who needs it, which then gets no more than that', () => {
    for (const hosts of [2, 8, 32, 200]) {
      const plan = cluster(hosts);
      const { sessions, interval, cost } = planSessions(plan, ms(0));
      assert.ok(cost.core <= 0.9 * probing.core + 1e-12);
      const rate = 1000 / (interval.get('main') ?? 0);
      for (const hasty of [1, 2, sessions.length]) {
        const more = hastenedRate(plan, hasty, 125_000_000, rate);
        assert.ok(more >= rate && more <= Math.max(rate, 100));
        const spent = cost.core + 4 * hasty * (more - rate) * PACKET_COST / 1000;
        assert.ok(spent <= probing.core + 1e-12, `${hosts} hosts, ${hasty} in haste: ${spent}`);
      }
    }
  });

  it('is the same sample at every host at the same time, by turns', () => {
    const probed = new Set<string>();
    for (let minute = 0; minute < 40; minute++) {
      const perHost = ['h0', 'h7'].map((host) => planSessions(cluster(200, { leastRate: 5 }, host), ms(minute * 60_000)));
      const [mine, other] = perHost;
      assert.ok(mine && other && mine.mode === 'sampled');
      assert.equal(mine.sessions.length, other.sessions.length);
      for (const { to, path } of mine.sessions) probed.add(`${to} ${path}`);
    }
    assert.equal(probed.size, 2 * 199);
  });

  it('is empty where the policy wants no probes', () => {
    assert.deepEqual(planSessions(cluster(4, { enabled: false }), ms(0)).sessions, []);
  });

  it('sends full-size packets as often as the link has room for, once in 4 s at least', () => {
    const plan = cluster(2);
    assert.equal(fullSizeInterval(plan, 1, 1500, 125_000_000), 1000);
    const interval = fullSizeInterval(plan, 10, 1500, 125_000_000);
    assert.ok(interval > 1000 && interval < 4000);
    assert.ok(2 * 10 * 1500 * 1000 / interval <= 0.2 * probing.link * 125_000_000 + 1e-6);
    assert.equal(fullSizeInterval(plan, 1000, 9000, 1), 4000);
  });
});

describe('whose probes are answered', () => {
  const admission = new Admission();
  const admits = (text: string): boolean => admission.admits(parseIpAddress(text));

  it('hosts of the plan, and prefixes of the policy', () => {
    const peers = [{ host: 'b', addresses: { main: '10.0.0.2', alt: '2001:db8::2' } }];
    const bad = admission.set({ peers, probing: { ...probing, reflectTo: ['192.0.2.64/26', '198.51.100.7', '2001:db8:1::/47', 'nonsense', '10.0.0.0/33'] } });
    assert.deepEqual(bad, ['nonsense', '10.0.0.0/33']);
    for (const yes of ['10.0.0.2', '2001:db8::2', '192.0.2.64', '192.0.2.127', '198.51.100.7', '2001:db8::ffff', '2001:db8:1::9']) assert.ok(admits(yes), yes);
    for (const no of ['10.0.0.3', '2001:db7:ffff::2', '192.0.2.63', '192.0.2.128', '198.51.100.8', '2001:db8:2::']) assert.ok(!admits(no), no);
  });

  it('as the plan is now', () => {
    const address = parseIpAddress('10.0.0.2');
    admission.set({ peers: [{ host: 'b', addresses: { main: '10.0.0.2' } }], probing });
    assert.ok(admission.admits(address));
    admission.set({ peers: [], probing });
    assert.ok(!admission.admits(address));
  });
});
