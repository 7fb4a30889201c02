/** Networks that Godwit makes, on a real cluster: declared, made by the agents where they are needed, and followed by their VMs' moves. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ROUTE_PROTOCOL } from '../../src/host/route.ts';
import { routeLeaving } from '../../src/host/routed-network.ts';
import { LabCluster } from '../../src/lab/cluster.ts';
import { labAccelerator, labVm } from '../../src/lab/guest-image.ts';
import { vmDeclaration } from '../../src/lab/lab-declarations.ts';
import { sweep } from '../../src/lab/topology.ts';
import type { Vm } from '../../src/model/vm.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';
import { assertLossless, deleted, moved, onlyQemu, runVm } from './cluster-fixture.ts';
import { assertUnharmed, guestAddress, native, watched } from './move-fixture.ts';
import { joinClient } from './network-fixture.ts';

describe('A VXLAN network of a cluster', () => {
  let cluster: LabCluster;
  let vms: readonly Vm[];
  const made = (): Readonly<Record<string, readonly string[]>> =>
    Object.fromEntries(cluster.lab.hosts.map(({ name, host }) => [name, host.links.list().filter(({ alias }) => alias.startsWith('godwit')).map((link) => link.name).toSorted()]));

  before(async () => {
    sweep();
    cluster = await LabCluster.open(native, { hosts: 2, networks: [], migrationMtu: 9000 });
    await cluster.api.apply([
      { kind: 'Network', name: 'a', spec: { bridge: 'br-a', vxlan: { vni: 77 } } },
      { kind: 'Policy', name: 'default', spec: { moves: { maxPause: '5s', maxEmptying: '5s' } } },
    ]);
  });
  after(() => cluster?.close());

  it('is made where a VM is, before it starts', async () => {
    assert.deepEqual(made(), { h1: [], h2: [] });
    const [first] = cluster.lab.hosts;
    assert.ok(first);
    const still = runVm(cluster, 'web-2', 11, 'h1');
    await cluster.until('h1 has the bridge', async () => first.host.links.list().some(({ name }) => name === 'br-a'));
    joinClient(cluster.lab, first);
    vms = [await runVm(cluster, 'web-1', 10, 'h1'), await still];
    assert.deepEqual(made(), { h1: ['br-a', 'gv-77'], h2: [] });
  });

  it('is made where a VM comes, and is followed by its move, of which nothing is lost', async () => {
    const [vm] = vms;
    assert.ok(vm);
    const { seen, result } = await watched(cluster, [{ to: guestAddress(vm, 4) }], () => moved(cluster, vm, 'h2'));
    for (const one of seen) assertUnharmed(one);
    assertLossless(result);
    assert.deepEqual(made(), { h1: ['br-a', 'gv-77'], h2: ['br-a', 'gv-77'] });
  });

  it('goes where its last VM goes', async () => {
    const links = cluster.lab.hosts[0]?.host.links;
    links?.delete(links.get('peer').index);
    for (const vm of vms) await deleted(cluster, vm);
    await cluster.api.remove('Network', 'a');
    await cluster.until('its devices are gone', async () => JSON.stringify(made()) === JSON.stringify({ h1: [], h2: [] }), 60_000);
  });

  it('is refused where it means nothing, with the place', async () => {
    const refused = async (spec: object): Promise<string> => {
      const error: unknown = await cluster.api.apply([{ kind: 'Network', name: 'b', spec }]).then(() => undefined, (e: unknown) => e);
      assert.ok(error instanceof Error && 'faults' in error, String(error));
      return JSON.stringify(error.faults);
    };
    assert.match(await refused({ bridge: 'br-b', vxlan: { vni: 1 }, routed: { gateways: ['10.1.0.1/24'] } }), /"path":"\/spec\/vxlan".*it can be one of them/);
    assert.match(await refused({ bridge: 'br-b', gateway: '10.1.0.1', routed: { gateways: ['10.1.0.1/24'] } }), /"path":"\/spec\/gateway".*take this one out/);
    assert.match(await refused({ bridge: 'br-b', routed: { gateways: ['10.1.0.1'] } }), /"path":"\/spec\/routed\/gateways\/0".*like 10\.1\.0\.1\/24/);
  });
});

describe('A routed network of a cluster', () => {
  let cluster: LabCluster;
  before(async () => {
    sweep();
    cluster = await LabCluster.open(native, { hosts: 1, networks: [] });
    await cluster.api.apply([{ kind: 'Network', name: 'a', spec: { bridge: 'br-a', routed: { gateways: ['10.77.0.1/24', 'fd77::1/64'] } } }]);
  });
  after(() => cluster?.close());

  it('has a VM\'s routes while it runs, through restarts of the agent, which puts right what it finds wrong', async () => {
    const { host } = cluster.lab.hosts[0] ?? assert.fail('there is a host');
    const vm = labVm({ name: 'web-1', networks: ['a'], number: 10, accelerator: await labAccelerator() });
    const routes = (): string[] => host.routes.list().filter(({ protocol }) => protocol === ROUTE_PROTOCOL).map(({ to, metric }) => `${to} ${metric}`).toSorted();
    const right = ['10.77.0.10 1', 'fd77::10 1'];
    await cluster.api.apply([vmDeclaration(vm, { host: 'h1' })]);
    await cluster.until('it runs', async () => (await cluster.api.get('Vm', vm.name)).status?.state === 'running');
    assert.deepEqual(routes(), right);

    await cluster.end('agent h1');
    assert.deepEqual(routes(), right, 'they are not the agent\'s, but the guest\'s');
    const bridge = host.links.get('br-a').index;
    for (const address of vm.nics[0]?.addresses ?? []) routeLeaving(host, { address, mac: MacAddress.zero, bridge });
    cluster.startAgent('h1');
    await cluster.until('they are right again', async () => JSON.stringify(routes()) === JSON.stringify(right), 30_000);

    await cluster.end('agent h1');
    process.kill(onlyQemu(cluster, vm).pid, 'SIGKILL');
    cluster.startAgent('h1');
    await cluster.until('a VM that has ended has none', async () => routes().length === 0, 30_000);
  });
});
