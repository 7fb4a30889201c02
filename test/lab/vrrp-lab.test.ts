/** The lab for virtual routers does what the tests and the bench on it believe: its faults, its stream, its watch. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Keepalived } from '../../src/lab/keepalived.ts';
import type { FlowReport } from '../../src/lab/flow.ts';
import { ip } from '../../src/lab/namespaces.ts';
import { ownNamespaces } from '../../src/lab/topology.ts';
import { GATEWAY, VrrpLab } from '../../src/lab/vrrp-lab.ts';
import { labPlan } from '../../src/lab/vrrp-peer.ts';
import { kernelNative } from '../../src/native/kernel.ts';
import { networkIs } from './vrrp-wait.ts';

async function withLab(test: (lab: VrrpLab) => Promise<void>): Promise<void> {
  const lab = await VrrpLab.open(kernelNative(), { routers: 2 });
  try {
    await test(lab);
  } finally {
    lab.close();
  }
  assert.deepEqual(ownNamespaces(), [], 'nothing is left of it');
}

describe('the lab for virtual routers', () => {
  it('counts what a silent router loses, one way and both ways, and what comes through after it has healed', () => withLab(async (lab) => {
    const r1 = lab.router(1);
    ip('-n', r1.namespace, 'address', 'add', `${GATEWAY.v4}/24`, 'dev', 'lan');
    assert.ok(lab.holds(r1, GATEWAY.v4));
    assert.ok(!lab.holds(lab.router(2), GATEWAY.v4));
    const flow = await lab.flow();
    assert.equal((await flow.report()).lost, 0);

    const lostBy = async (fault: () => Promise<unknown> | void, end: () => Promise<unknown> | void): Promise<FlowReport> => {
      const before = await flow.report();
      await fault();
      const during = await flow.report();
      await end();
      await flow.report(); // what was sent before the end is counted
      const after = await flow.report();
      const more = await flow.report();
      assert.equal(more.lost, after.lost, 'all comes through again');
      assert.ok(after.received > during.received);
      return { ...after, lost: after.lost - before.lost };
    };
    const both = await lostBy(() => lab.silence(r1), () => lab.heal(r1));
    assert.ok(both.lost > 0);
    const [, , from = 0, to = 0] = both.missing.at(-1) ?? [];
    assert.ok(Math.abs(to - from - both.lost) < both.lost, `${both.lost} numbers at 1000 a second are some ${(to - from).toFixed(0)} ms`);
    // The stream goes towards the router: what it says itself does not matter as long as the server knows its MAC.
    assert.equal((await lostBy(() => lab.silence(r1, 'from'), () => lab.heal(r1, 'from'))).lost, 0);
    assert.ok((await lostBy(() => lab.silence(r1, 'to'), () => lab.heal(r1, 'to'))).lost > 0);
    assert.ok((await lostBy(() => lab.cut(r1), () => lab.mend(r1))).lost > 0);
    flow.kill();
  }));

  it('a cut cable has no carrier, a silent one has', () => withLab(async (lab) => {
    const r1 = lab.router(1);
    const carrier = (): boolean => r1.host.links.get('lan').carrier;
    await lab.silence(r1);
    assert.ok(carrier());
    lab.cut(r1);
    await networkIs(r1.host, () => (carrier() ? 'a cut cable still has its carrier' : undefined));
    lab.mend(r1);
    await networkIs(r1.host, () => (carrier() ? undefined : 'a mended cable has no carrier'));
  }));

  it('sees each advert at both ends of its way, also of a router that is silent', () => withLab(async (lab) => {
    const watch = lab.watch();
    const [r1, r2] = [lab.router(1), lab.router(2)];
    const peer = await Keepalived.start(r1, lab.directory, [labPlan({ priority: 200 })]);
    const seen = (router: string, direction: 'from' | 'to'): number => watch.packets.filter((a) => a.router === router && a.direction === direction).length;
    const count = (what: string, router: string, direction: 'from' | 'to', least: number): Promise<unknown> => watch.until(what, () => seen(router, direction) >= least);
    await count('three adverts of r1, at r2', 'r2', 'to', 3);
    assert.equal(seen('r1', 'to') + seen('r2', 'from'), 0);
    assert.deepEqual(new Set(watch.packets.map((a) => `v${a.version} ${a.vrid} ${a.priority} ${a.interval} ${a.ttl} ${a.sourceMac} ${a.destinationMac}`)), new Set(['v3 51 200 100 255 00005e000133 01005e000012']));
    await lab.silence(r1);
    watch.drain();
    const [sent, arrived] = [seen('r1', 'from'), seen('r2', 'to')];
    await count('three more of r1', 'r1', 'from', sent + 3);
    watch.drain();
    assert.equal(seen('r2', 'to'), arrived);
    await lab.heal(r1);
    await count('at r2 again', 'r2', 'to', arrived + 1);
    assert.ok(lab.holds(r1, GATEWAY.v4) && !lab.holds(r2, GATEWAY.v4));
    await peer.stop();
    assert.equal(watch.drain().findLast((a) => a.direction === 'from')?.priority, 0);
    watch.close();
  }));
});
