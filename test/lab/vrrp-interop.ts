/**
 * Godwit (r1) and another program (r2) as the two ends of many virtual routers at once, through everything in which they must agree: a
 * split that heals, each one's graceful end, each one's return. What they do is read from the wire; what they refuse, from themselves.
 */
import assert from 'node:assert/strict';
import { type WireAdvert, downInterval } from '../../src/lab/vrrp-advert.ts';
import { VrrpLab, type LabRouter } from '../../src/lab/vrrp-lab.ts';
import { type VrrpPeer, labPlan } from '../../src/lab/vrrp-peer.ts';
import type { VrrpWatch } from '../../src/lab/vrrp-watch.ts';
import type { RouterPlan } from '../../src/model/virtual-router.ts';
import { kernelNative } from '../../src/native/kernel.ts';
import { ip } from '../../src/lab/namespaces.ts';
import { networkIs } from './vrrp-wait.ts';

/** One virtual router between the two. */
export interface InteropCase {
  readonly name: string;
  readonly plan: Partial<RouterPlan>;
  /** Of r1 and r2. */
  readonly priorities: readonly [number, number];
  readonly unicast?: boolean;
  /** r1 speaks from 10.90.0.201, so that it has the higher address. */
  readonly highSource?: boolean;
}

export type StartPeer = (router: LabRouter, directory: string, plans: readonly RouterPlan[]) => Promise<VrrpPeer>;

/** By multicast and with the virtual MAC; r1 is Godwit, r2 the other program. */
export const bothFamilies: readonly InteropCase[] = [
  { name: 'version 3, r1 stronger', plan: {}, priorities: [200, 100] },
  { name: 'version 3, r2 stronger', plan: {}, priorities: [100, 200] },
  { name: 'version 3 IPv6, r1 stronger', plan: { family: 6 }, priorities: [200, 100] },
  { name: 'version 3 IPv6, r2 stronger', plan: { family: 6 }, priorities: [100, 200] },
  { name: 'version 2, r1 stronger', plan: { version: 2, interval: 1000 }, priorities: [200, 100] },
  { name: 'version 2, r2 stronger', plan: { version: 2, interval: 1000 }, priorities: [100, 200] },
  { name: 'no preempt, r1 stronger', plan: { preempt: false }, priorities: [200, 100] },
  { name: 'no preempt, r2 stronger', plan: { preempt: false }, priorities: [100, 200] },
  { name: 'equal priorities, higher address of r2', plan: {}, priorities: [150, 150] },
];

const HIGH_SOURCE = '10.90.0.201';

type Side = 'r1' | 'r2';
type Expected = ReadonlyMap<number, Side>;

interface Vrid extends InteropCase {
  readonly vrid: number;
  /** Of r1 and r2. */
  readonly plans: readonly [RouterPlan, RouterPlan];
}

function numbered(cases: readonly InteropCase[]): Vrid[] {
  return cases.map((one, i) => {
    const vrid = 11 + i;
    const addresses = one.plan.family === 6
      ? [{ address: `fe80::${vrid}`, prefixLength: 64 }, { address: `fd90::${vrid}`, prefixLength: 64 }]
      : [{ address: `10.90.0.${100 + vrid}`, prefixLength: 24 }];
    const plan = (side: 0 | 1): RouterPlan => {
      const own = side === 0 ? '10.90.0.1' : '10.90.0.2';
      return labPlan({
        name: `v${vrid}`, vrid, addresses, ...one.plan, priority: one.priorities[side],
        ...(one.unicast ? { source: own, peers: [side === 0 ? '10.90.0.2' : '10.90.0.1'] } : {}),
        ...(one.highSource && side === 0 ? { source: HIGH_SOURCE } : {}),
      });
    };
    return { ...one, vrid, plans: [plan(0), plan(1)] };
  });
}

export async function interop(cases: readonly InteropCase[], start: { readonly r1: StartPeer; readonly r2: StartPeer }): Promise<void> {
  const lab = await VrrpLab.open(kernelNative(), { routers: 2 });
  const watch = lab.watch();
  try {
    const vrids = numbered(cases);
    const [r1, r2] = [lab.router(1), lab.router(2)];
    if (cases.some(({ highSource }) => highSource)) ip('-n', r1.namespace, 'address', 'add', `${HIGH_SOURCE}/24`, 'dev', 'lan');
    const begin = { r1: () => start.r1(r1, lab.directory, vrids.map((v) => v.plans[0])), r2: () => start.r2(r2, lab.directory, vrids.map((v) => v.plans[1])) };

    // Both Active in a split, which heals: the higher priority stays, of equal ones the higher address.
    await lab.silence(r2);
    let [one, two] = await Promise.all([begin.r1(), begin.r2()]);
    // Unicast adverts stay in their host: nobody answers for their destination.
    await spoken(watch, 'both Active in a split', vrids.filter((v) => !v.unicast), (_, said) => ['r1', 'r2'].every((side) => said.some((a) => a.router === side)));
    await lab.heal(r2);
    const better: Expected = new Map(vrids.map((v) => [v.vrid, betterSide(v)]));
    await settled(lab, watch, 'the better one stays after a split', vrids, better);
    await noneRefused(one, two);

    await handedOver(watch, vrids, better, 'r2', () => two.stop());
    const allFirst: Expected = new Map(vrids.map((v) => [v.vrid, 'r1']));
    await settled(lab, watch, 'r1 alone', vrids, allFirst);

    two = await begin.r2();
    const afterReturn: Expected = new Map(vrids.map((v) => [v.vrid, v.priorities[1] > v.priorities[0] && preempts(v) ? 'r2' : 'r1']));
    await settled(lab, watch, 'r2 comes back, and preempts where it is stronger and may', vrids, afterReturn);
    await noneRefused(one, two);
    // What each has taken of the other, by its own count.
    const taken = { r1: await one.taken(), r2: await two.taken() };
    const deaf = vrids.filter((v) => !((afterReturn.get(v.vrid) === 'r1' ? taken.r2 : taken.r1)[v.plans[0].name] ?? 0));
    assert.deepEqual(deaf.map(({ name }) => name), [], `a Backup has counted adverts: ${JSON.stringify(taken)}`);

    await handedOver(watch, vrids, afterReturn, 'r1', () => one.stop());
    await settled(lab, watch, 'r2 alone', vrids, new Map(vrids.map((v) => [v.vrid, 'r2'])));

    one = await begin.r1();
    await settled(lab, watch, 'r1 comes back, and preempts where it is stronger and may', vrids, new Map(vrids.map((v) => [v.vrid, v.priorities[0] > v.priorities[1] && preempts(v) ? 'r1' : 'r2'])));
    await noneRefused(one, two);
    onTheWire(watch, vrids);
    assert.equal(watch.drops(), 0, 'the watch saw every advert');
  } finally {
    watch.close();
    lab.close();
  }
}

const preempts = (v: Vrid): boolean => v.plans[0].preempt;

function betterSide(v: Vrid): Side {
  const [first, second] = v.priorities;
  if (first !== second) return first > second ? 'r1' : 'r2';
  return v.highSource ? 'r1' : 'r2';
}

/**
 * Until for 3.5 intervals nobody has spoken for each router but whom it should be, and Godwit's host has the addresses of those that it
 * should, and of no others. (FRR's are always there, on an interface that is down.) A host that yielded may answer the other's adverts
 * for a while, one by one, to make it announce itself: that is no claim, if its address is gone.
 */
async function settled(lab: VrrpLab, watch: VrrpWatch, what: string, vrids: readonly Vrid[], expected: Expected): Promise<void> {
  const from = Date.now();
  await spoken(watch, what, vrids, (v, said) => {
    const { interval } = v.plans[0];
    const since = Math.max(from, Date.now() - 3.5 * interval);
    if (since === from) return false;
    const all = said.filter((a) => a.at >= since && a.priority > 0).toSorted((a, b) => a.at - b.at);
    const mine = all.filter((a) => a.router === expected.get(v.vrid)).length;
    const unasked = all.filter((a, i) => a.router !== expected.get(v.vrid) && a.at - (all[i - 1]?.at ?? 0) > interval / 4);
    return mine >= 3 && mine <= 6 && unasked.length === 0 && all.length <= 2 * mine;
  });
  const { host } = lab.router(1);
  await networkIs(host, () => {
    const held = new Set(host.addresses.list().map(({ address }) => String(address)));
    const wrong = vrids.filter((v) => v.plans[0].addresses.some(({ address }) => held.has(address) !== (expected.get(v.vrid) === 'r1')));
    return wrong.length === 0 ? undefined : `${what}: r1 has the addresses of the routers in which it is Active, and no others; not so: ${wrong.map(({ name }) => name).join(', ')}`;
  });
}

/** Until it holds of each, by what its routers have said since now. Looked at with each advert: there is always one who speaks. */
async function spoken(watch: VrrpWatch, what: string, vrids: readonly Vrid[], holds: (v: Vrid, said: readonly WireAdvert[]) => boolean): Promise<void> {
  const before = watch.drain().length;
  const of = (v: Vrid): WireAdvert[] => watch.packets.slice(before).filter((a) => a.vrid === v.vrid && a.direction === 'from');
  const all = (): boolean => vrids.every((v) => holds(v, of(v)));
  if (all()) return; // of none
  try {
    await watch.until(what, all, 15_000);
  } catch (cause) {
    const open = vrids.filter((v) => !holds(v, of(v)));
    const words = open.map((v) => `  ${v.name} (${v.vrid}): last adverts ${of(v).slice(-6).map((a) => `${a.router} ${a.priority} to ${a.destinationMac}`).join(', ')}`);
    throw new Error(`${what}; not so:\n${words.join('\n')}`, { cause });
  }
}

/** `leaver` ends in good order: priority 0 for each router in which it is Active, and the other follows after skew, not after the down interval. */
async function handedOver(watch: VrrpWatch, vrids: readonly Vrid[], active: Expected, leaver: Side, stop: () => Promise<void>): Promise<void> {
  const from = Date.now();
  const heir = leaver === 'r1' ? 'r2' : 'r1';
  await stop();
  const mine = vrids.filter((v) => active.get(v.vrid) === leaver);
  await spoken(watch, `${heir} follows ${leaver}`, mine, (_, said) => said.some((a) => a.router === heir && a.priority > 0));
  const after = (v: Vrid): WireAdvert[] => watch.drain().filter((a) => a.vrid === v.vrid && a.direction === 'from' && a.at >= from);
  for (const v of mine) {
    const farewell = after(v).find((a) => a.router === leaver && a.priority === 0);
    assert.ok(farewell, `${v.name}: ${leaver} said priority 0`);
    const taken = after(v).find((a) => a.router === heir && a.at > farewell.at);
    const { version, interval, priority } = v.plans[heir === 'r1' ? 0 : 1];
    const waited = (taken?.at ?? Infinity) - farewell.at;
    assert.ok(waited < downInterval(version, interval, priority) - interval, `${v.name}: ${heir} took over ${waited.toFixed(1)} ms after priority 0: by skew time, not by the down interval`);
  }
}

async function noneRefused(...peers: readonly VrrpPeer[]): Promise<void> {
  for (const peer of peers) assert.deepEqual(await peer.refused(), {}, `adverts that ${peer.program} refused`);
}

/** What each end has sent is of the version, the interval and the MAC that was asked for. */
function onTheWire(watch: VrrpWatch, vrids: readonly Vrid[]): void {
  for (const v of vrids) {
    const { family, virtualMac, version, interval, vrid } = v.plans[0];
    const mac = `00005e000${family === 4 ? 1 : 2}${vrid.toString(16).padStart(2, '0')}`;
    for (const a of watch.packets.filter((advert) => advert.vrid === vrid && advert.direction === 'from')) {
      assert.deepEqual({ family: a.family, version: a.version, interval: a.interval, ttl: a.ttl }, { family, version, interval, ttl: 255 }, `${v.name}: an advert of ${a.router}`);
      if (!v.unicast && !virtualMac) assert.notEqual(a.sourceMac, mac, `${v.name}: the source MAC of ${a.router}`);
    }
    if (v.unicast || !virtualMac) continue;
    // Who has released speaks by its own MAC: what it still says to the other, once for each of its adverts, must not turn the switches.
    const spoken = watch.packets.filter((advert) => advert.vrid === vrid && advert.direction === 'from' && advert.priority > 0);
    for (const [i, a] of spoken.entries()) {
      if (a.sourceMac === mac) continue;
      assert.equal(spoken.slice(0, i).findLast(({ sourceMac }) => sourceMac === mac)?.router === a.router, false, `${v.name}: ${a.router} is Active and speaks by ${a.sourceMac}`);
    }
  }
}
