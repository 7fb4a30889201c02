/** What the server does of itself about sick paths: from the hosts' reports to what is wanted of them, and what people are told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventSpec } from '../../../src/model/event.ts';
import type { PathReport, PathState } from '../../../src/model/path.ts';
import type { AlertReport } from '../../../src/model/watch-plan.ts';
import { ControlWorld, type Told, codeOf, vmOn } from './world.ts';

type Declared = Parameters<ControlWorld['plane']['apply']>[0][number];

const hosts = ['host-a', 'host-b', 'host-c'];
const address = (host: string, path: string): string => `10.${path === 'main' ? 0 : 1}.0.${hosts.indexOf(host) + 1}`;
const figures = { dscp: 0, sent: 100, answered: 97, lost: { forward: 3, backward: 0, unknown: 0 }, late: 0, duplicates: 0, reordered: { forward: 0, backward: 0 } };
const pathReport = (from: string, peer: string, path: string, state: PathState): PathReport => ({
  peer, path, source: address(from, path), destination: address(peer, path), at: 1e12, rate: 100, classes: [], window: figures, mtu: { wanted: 1500, passes: 1500, blackHole: false },
  quality: { state, since: 1e12, ...(state === 'fit' ? {} : { because: 'loss 3.1 %, limit 2 %' }), loss: 0.03, slowLoss: state === 'fit' ? 0 : 0.03, suspicious: false },
});
const counters = { at: 1e12, links: [], nics: [], tcp: [], host: { softirq: 0, backlogDrops: 0, squeezed: 0, lateness: 0, cost: 0 } };

/** Three hosts with two paths; `sick` has `A B PATH` with A before B. */
class PathWorld {
  readonly world: ControlWorld;
  readonly sick = new Map<string, PathState>();
  alerts: readonly AlertReport[] = [];

  private constructor(world: ControlWorld) {
    this.world = world;
  }

  static async open(act: object): Promise<PathWorld> {
    const world = await ControlWorld.open(hosts);
    const declared = hosts.map((name): Declared => ({ kind: 'Host', name, spec: { address: address(name, 'main'), paths: { storage: address(name, 'storage') } } }));
    await world.plane.apply([...declared, { kind: 'Policy', name: 'default', spec: { act } }]);
    const it = new PathWorld(world);
    it.report();
    await world.live(1000);
    return it;
  }

  /** What the agents say from now on. */
  report(): void {
    for (const from of hosts) {
      const paths = hosts.filter((peer) => peer !== from).flatMap((peer) => ['main', 'storage'].map((path) => pathReport(from, peer, path, this.sick.get(`${[from, peer].sort().join(' ')} ${path}`) ?? 'fit')));
      this.world.agent(from).detection = { monitor: { paths, counters, alerts: from === 'host-a' ? this.alerts : [], troubles: [] } };
    }
  }

  async live(duration: number): Promise<void> {
    this.report();
    await this.world.live(duration);
  }

  async told(): Promise<readonly EventSpec[]> {
    return (await this.world.plane.list('Event')).map(({ spec }) => spec).filter(({ evidence }) => evidence && 'kind' in evidence && (evidence.kind === 'action' || evidence.kind === 'alert'));
  }

  async reasons(): Promise<readonly string[]> {
    return (await this.told()).map(({ reason }) => reason);
  }
}
const modes = { path: 'act', bandwidth: 'act', target: 'act', evacuate: 'act', priority: 'act' };
const copying = (throughput: number): Told => ({
  migration: 'web-1-1', role: 'source', phase: 'copy', progress: { fraction: 0.1, pass: 1, transferred: 1, remaining: 1, throughput, dirtyRate: 0 },
});

test('a path that turns sick is out of use at once, a move that begins takes the other, and keeps it', async () => {
  const it = await PathWorld.open({});
  const { world } = it;
  await world.running('host-a', 'web-1');
  it.sick.set('host-a host-b main', 'unfit');
  it.report();
  const agent = world.agent('host-a');
  agent.detection = { ...agent.detection, turns: [{ sequence: 1, monitor: 'm1', peer: 'host-b', path: 'main', at: 1e12, from: 'fit', to: 'unfit', because: 'loss 3.1 %, limit 2 %', window: figures }] };
  await agent.report();
  const [told] = await it.told();
  assert.deepEqual([told?.reason, told?.severity, told?.about], ['PathTakenOut', 'warning', { kind: 'Path', name: 'host-a/host-b/main' }]);
  assert.deepEqual(told?.evidence, { kind: 'action', action: { action: 'path', mode: 'act', what: 'path main between host-a and host-b is taken out of use', because: ['host-a: loss 3.1 %, limit 2 %'] } });
  const shown = await world.plane.get('Path', 'host-b/host-a/main');
  assert.deepEqual([shown.status?.inUse, shown.status?.because], [false, 'host-a: loss 3.1 %, limit 2 %']);

  await world.plane.migrate({ vm: 'web-1', to: 'host-b' });
  const wanted = async (host: string) => (await world.agent(host).wanted()).moves[0];
  const ways = async () => [await wanted('host-a'), await wanted('host-b')].map((move) => [move?.local, move?.peer.address]);
  assert.deepEqual(await ways(), [['10.1.0.1', '10.1.0.2'], ['10.1.0.2', '10.1.0.1']]);
  it.sick.clear();
  await it.live(3000);
  assert.deepEqual(await it.reasons(), ['PathTakenOut', 'PathBroughtBack']);
  assert.deepEqual(await ways(), [['10.1.0.1', '10.1.0.2'], ['10.1.0.2', '10.1.0.1']]);
  await world.close();
});

test('a server that starts neither undoes nor repeats what was done, and knows how often it was', async () => {
  const it = await PathWorld.open({ limit: 1 });
  it.sick.set('host-a host-b storage', 'unfit');
  await it.live(3000);
  await it.world.restart();
  assert.equal((await it.world.store.list('/standings/')).entries.length, 1);
  await it.world.clock.advance(5000);
  await it.live(3000);
  assert.deepEqual(await it.reasons(), ['PathTakenOut']);
  it.sick.clear();
  await it.live(5000);
  assert.deepEqual(await it.reasons(), ['PathTakenOut'], 'the limit has no room for taking it out again');
  await it.live(600_000);
  assert.deepEqual(await it.reasons(), ['PathTakenOut', 'PathBroughtBack']);
  await it.live(600_000);
  assert.deepEqual((await it.world.store.list('/deeds/')).entries, []);
  await it.world.close();
});

test('advised only, nothing changes for the hosts', async () => {
  const it = await PathWorld.open({ path: 'advise' });
  it.sick.set('host-a host-b main', 'unfit');
  await it.live(2000);
  const [told] = await it.told();
  assert.equal(told?.reason, 'Advised');
  assert.match(told?.message ?? '', /^Advised only \(act\.path\): path main between host-a and host-b is taken out of use: host-a: loss/);
  assert.equal((await it.world.plane.get('Path', 'host-a/host-b/main')).status?.inUse, true);
  await it.world.close();
});

test('a move that fills its path and makes it sick gets half; all of it when the path is well', async () => {
  const it = await PathWorld.open(modes);
  const { world } = it;
  await world.running('host-a', 'web-1');
  await world.plane.migrate({ vm: 'web-1', to: 'host-b' });
  const limit = async () => (await world.agent('host-a').wanted()).moves[0]?.maxBandwidth;
  world.agent('host-a').moves = [copying(120e6)];
  await it.live(3000);
  assert.equal(await limit(), 125e6);
  it.sick.set('host-a host-b main', 'unfit');
  await it.live(3000);
  assert.equal(await limit(), 62.5e6);
  world.agent('host-a').moves = [copying(60e6)];
  await it.live(30_000);
  assert.equal(await limit(), 62.5e6, 'it does not fill the path any more');
  it.sick.clear();
  await it.live(2000);
  assert.equal(await limit(), 125e6);
  assert.deepEqual((await it.reasons()).filter((reason) => reason.startsWith('Move')), ['MoveSlowed', 'MoveSpeedRestored']);
  await world.close();
});

test('VMs on a sick network are moved off, as anybody would move them', async () => {
  const it = await PathWorld.open(modes);
  const { world } = it;
  await world.plane.apply([{ kind: 'Network', name: 'lan', spec: { bridge: 'br0', path: 'storage' } }]);
  const nics = [{ network: 'lan', mac: '02:00:00:00:00:01' }];
  world.agent('host-a').facts = { freeMemory: 2 ** 34 };
  await world.live(1000);
  await world.plane.apply([vmOn('web-1', { nics }), vmOn('web-2', { host: 'host-a', nics: [{ network: 'lan', mac: '02:00:00:00:00:02' }] })]);
  await world.agent('host-a').run();
  assert.deepEqual([(await world.vm('web-1')).placement?.host, (await world.vm('web-1')).state], ['host-a', 'running']);
  it.sick.set('host-a host-b storage', 'down').set('host-a host-c storage', 'unfit');
  await it.live(29_000);
  assert.deepEqual(await world.plane.list('Migration'), []);
  await it.live(3000);
  const [migration, ...more] = await world.plane.list('Migration');
  assert.deepEqual([migration?.spec, more.length], [{ vm: 'web-1', to: 'host-b' }, 0]);
  assert.deepEqual((await it.reasons()).filter((reason) => reason.startsWith('Evac')), ['EvacuationBegun', 'EvacuationMove']);
  await world.close();
});

test('a router on a sick host gets a lower priority, an owner does not', async () => {
  const it = await PathWorld.open(modes);
  const router = (name: string, vrid: number, priority: number): Declared => ({ kind: 'VirtualRouter', name, spec: { vrid, interface: 'lan', addresses: [`192.0.2.${vrid}/24`], hosts: { 'host-a': { priority }, 'host-b': {} } } });
  await it.world.plane.apply([router('edge', 51, 120), router('low', 52, 20), router('own', 53, 255)]);
  const priorities = async (host: string) => (await it.world.agent(host).wanted()).routers?.map(({ priority }) => priority);
  assert.deepEqual(await priorities('host-a'), [120, 20, 255]);
  it.sick.set('host-a host-b main', 'unfit').set('host-a host-c main', 'unfit');
  await it.live(2000);
  assert.deepEqual([await priorities('host-a'), await priorities('host-b')], [[70, 1, 255], [100, 100, 100]]);
  await it.world.restart();
  assert.deepEqual(await priorities('host-a'), [70, 1, 255], 'before anybody has reported');
  await it.live(3000);
  assert.deepEqual(await priorities('host-a'), [70, 1, 255]);
  it.sick.clear();
  await it.live(2000);
  assert.deepEqual(await priorities('host-a'), [120, 20, 255]);
  await it.world.close();
});

test('what is placed without a host being named goes to a sound one; advised only, that is said and it goes where it would', async () => {
  for (const [target, host, reason] of [['act', 'host-b', 'TargetPreferred'], ['advise', 'host-a', 'Advised'], ['off', 'host-a', undefined]] as const) {
    const it = await PathWorld.open({ target, path: 'off', priority: 'off', evacuate: 'off' });
    it.sick.set('host-a host-b main', 'unfit').set('host-a host-c main', 'unfit');
    await it.live(2000);
    await it.world.plane.apply([vmOn('web-1')]);
    assert.equal((await it.world.vm('web-1')).placement?.host, host, target);
    const [told] = await it.told();
    assert.equal(told?.reason, reason);
    if (told) assert.match(told.message, /web-1 is to start on host-b rather than host-a: path main of host-a is sick to 2 of 2 hosts/);
    await it.world.close();
  }
});

test('a move to no named host goes to a sound one with room, and is refused where there is none', async () => {
  const it = await PathWorld.open({});
  const { world } = it;
  await world.running('host-c', 'web-1');
  world.agent('host-a').facts = { freeMemory: 2 ** 34 };
  it.sick.set('host-a host-b main', 'unfit').set('host-a host-c main', 'unfit');
  await it.live(2000);
  const tried = await world.plane.migrate({ vm: 'web-1', dryRun: true });
  assert.equal(tried.spec.to, 'host-b');
  assert.ok(!(await it.reasons()).includes('TargetPreferred'), 'a dry run changes nothing');
  await world.plane.cancel(tried.name);
  for (const [role, host] of [['source', 'host-c'], ['destination', 'host-b']] as const) {
    world.agent(host).moves = [{ migration: tried.name, role, phase: 'done', end: { kind: 'cancelled' } }];
    await world.agent(host).report();
  }
  const { spec } = await world.plane.migrate({ vm: 'web-1' });
  assert.equal(spec.to, 'host-b');
  assert.match((await it.told()).find(({ reason }) => reason === 'TargetPreferred')?.message ?? '', /web-1 is to move to host-b rather than host-a: path main of host-a is sick/);
  await world.running('host-b', 'web-2');
  for (const host of hosts) world.agent(host).facts = { freeMemory: 0 };
  await world.live(1000);
  assert.equal(await codeOf(world.plane.migrate({ vm: 'web-2' })), 'CONTROL_NO_TARGET');
  await world.close();
});

test('an alert is told when it turns on and when it turns off, once, across a restart too', async () => {
  const it = await PathWorld.open({});
  const alert: AlertReport = { alert: 'busy', on: 'eth0', state: 'on', since: 1e12, value: 0.9, last: 0.95, because: 'link.utilization of eth0 90 %, limit 80 %, for 10 s', severity: 'alarm' };
  it.alerts = [alert];
  await it.live(3000);
  it.alerts = [{ ...alert, value: 0.91, last: 0.97 }];
  await it.live(3000);
  await it.world.restart();
  await it.live(3000);
  const [on, ...more] = await it.told();
  assert.deepEqual([on?.reason, on?.severity, on?.host, on?.message, on?.evidence, more.length], ['AlertOn', 'alarm', 'host-a', 'busy on host-a: link.utilization of eth0 90 %, limit 80 %, for 10 s', { kind: 'alert', alert }, 0]);
  it.alerts = [{ ...alert, state: 'off', because: 'link.utilization of eth0 10 %, limit 50 %, for 10 s' }];
  await it.live(2000);
  it.alerts = [];
  await it.live(2000);
  assert.deepEqual(await it.reasons(), ['AlertOn', 'AlertOff']);
  it.alerts = [alert];
  await it.live(1000);
  it.alerts = [];
  await it.live(1000);
  assert.deepEqual((await it.told()).at(-1)?.message, 'busy on host-a: busy on eth0 is not judged any more');
  await it.world.close();
});

test('an alert without a hold does not push all else out of the events', async () => {
  const it = await PathWorld.open({});
  const alert: AlertReport = { alert: 'busy', on: 'eth0', state: 'on', since: 1e12, value: 0.9, last: 0.95, because: 'x', severity: 'info' };
  const agent = it.world.agent('host-a');
  it.report();
  for (let n = 0; n < 200; n++) {
    agent.detection = { monitor: { paths: [], counters, alerts: n % 2 ? [alert] : [], troubles: [] } };
    await agent.report();
  }
  assert.equal((await it.told()).length, 60);
  agent.detection = { monitor: { paths: [], counters, alerts: [], troubles: [] } };
  await it.world.clock.advance(60_000);
  await agent.report();
  assert.match((await it.world.plane.list('Event')).find(({ spec }) => spec.reason === 'AlertsLeftOut')?.spec.message ?? '', /^139 turns of alerts on host-a within a minute/);
  await it.world.close();
});
