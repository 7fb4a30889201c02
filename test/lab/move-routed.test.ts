/** Moves between hosts that share no Ethernet segment: the address is a host route, and FRR's bgpd tells the router where it is. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { WantedNetwork } from '../../src/api/agent-protocol.ts';
import { NetworkKeeper } from '../../src/agent/network-keeper.ts';
import { silentLog } from '../../src/base/log.ts';
import { seconds } from '../../src/base/units.ts';
import { labAccelerator, labVm } from '../../src/lab/guest-image.ts';
import { FrrBgp } from '../../src/lab/frr-bgp.ts';
import { RoutedLab, routedAddresses } from '../../src/lab/routed-topology.ts';
import { Session } from '../../src/lab/session.ts';
import { CLIENT, type LabHost, labAddresses, sweep } from '../../src/lab/topology.ts';
import { kindOfNetwork } from '../../src/model/network.ts';
import { losses, lossless } from '../../src/model/move.ts';
import type { Vm } from '../../src/model/vm.ts';
import { systemClock } from '../../src/native/system-clock.ts';
import { assertBack, assertUnharmed, guestAddress, native, watched } from './move-fixture.ts';

const network = { bridge: 'br-a', routed: { gateways: ['10.77.0.1/24', 'fd77::1/64'] } };
const kind = kindOfNetwork('a', network);

/** The lab's VM, its NIC on the routed network. */
function routedVm(vm: Vm): Vm {
  assert.ok(kind.kind === 'routed');
  const segment = { kind: 'routed', gateway: kind.mac } as const;
  return { ...vm, nics: vm.nics.map((nic) => ({ ...nic, attachment: { kind: 'bridge', bridge: 'br-a', segment } })) };
}

/** What the server would say: the guest's addresses, and for the client's sake, which is no VM, its own. */
function wantedNetwork(vm: Vm): WantedNetwork {
  const client = { mac: '52:54:00:00:00:c1', addresses: [labAddresses('a', CLIENT).v6.toString()] };
  return { name: 'a', spec: network, peers: [], nics: [...vm.nics.map(({ mac, addresses }) => ({ mac: mac.toString(), addresses: addresses.map(String) })), client] };
}

const neighbor = (address: string, as: number): string => ` neighbor ${address} remote-as ${as}\n neighbor ${address} advertisement-interval 0\n neighbor ${address} timers connect 1\n`;
const families = (v6: readonly string[], more = ''): string =>
  ` address-family ipv4 unicast\n${more} exit-address-family\n address-family ipv6 unicast\n${v6.map((peer) => `  neighbor ${peer} activate\n`).join('')}${more} exit-address-family\n`;

const routerConfiguration = (hosts: number): string => {
  const nets = Array.from({ length: hosts }, (_, i) => routedAddresses(i + 1));
  return `router bgp 65000\n bgp router-id 10.90.0.1\n no bgp ebgp-requires-policy\n no bgp default ipv6-unicast\n${
    nets.map(({ v4, v6 }, i) => neighbor(v4, 65001 + i) + neighbor(v6, 65001 + i) + ` no neighbor ${v6} activate\n`).join('')
  }${families(nets.map(({ v6 }) => v6))}`;
};

/** As in docs/networks.md. */
const hostConfiguration = (n: number): string => {
  const { router4, router6, v4 } = routedAddresses(n);
  return `ip prefix-list vms seq 5 permit 10.77.0.0/24 ge 32
ipv6 prefix-list vms seq 5 permit fd77::/64 ge 128
route-map vms permit 10
 match ip address prefix-list vms
 match metric 1
route-map vms permit 20
 match ip address prefix-list vms
 set as-path prepend ${65000 + n} ${65000 + n}
route-map vms permit 30
 match ipv6 address prefix-list vms
 match metric 1
route-map vms permit 40
 match ipv6 address prefix-list vms
 set as-path prepend ${65000 + n} ${65000 + n}
router bgp ${65000 + n}
 bgp router-id ${v4}
 no bgp ebgp-requires-policy
${neighbor(router4, 65000)}${neighbor(router6, 65000)} no neighbor ${router6} activate
${families([router6], '  redistribute kernel route-map vms\n')}`;
};

describe('a move across subnets', () => {
  let session: Session<RoutedLab>;
  const keepers: NetworkKeeper[] = [];
  const daemons: FrrBgp[] = [];
  const routes = (host: LabHost['host']): string[] => host.routes.list().filter(({ to }) => session.vm.nics[0]?.addresses.some((a) => a.equals(to))).map(({ to, protocol, metric }) => `${to} ${protocol} ${metric}`);
  /** By which host's cable the router reaches each address of the guest. */
  const seenByRouter = (): string[] => (session.vm.nics[0]?.addresses ?? []).map((address) => {
    const { router } = session.lab;
    const found = router.routes.list().filter(({ to, prefixLength }) => to.equals(address) && prefixLength === address.bytes().length * 8);
    return found.map(({ device }) => router.links.list().find(({ index }) => index === device)?.name ?? '?').join('+');
  });

  before(async () => {
    sweep();
    const vm = routedVm(labVm({ name: 'web-1', networks: ['a'], number: 10, accelerator: await labAccelerator() }));
    const lab = new RoutedLab(native, 2);
    try {
      for (const { host, address } of lab.hosts) {
        const keeper = new NetworkKeeper({ host, address, clock: systemClock, log: silentLog });
        keepers.push(keeper);
        keeper.want([wantedNetwork(vm)]);
        assert.deepEqual([...keeper.troubles()], []);
      }
      daemons.push(await FrrBgp.start(lab.router, join(lab.directory, 'frr-router'), routerConfiguration(2)));
      for (const [i, { host }] of lab.hosts.entries()) daemons.push(await FrrBgp.start(host, join(lab.directory, `frr-h${i + 1}`), hostConfiguration(i + 1)));
    } catch (error) {
      lab.close();
      throw error;
    }
    session = await Session.on(lab, vm);
    await settled('h1');
  });
  after(async () => {
    for (const keeper of keepers) await keeper.close();
    for (const daemon of daemons) await daemon.stop();
    await session.close();
  });

  /** Looks whenever the router's routes change. */
  async function settled(host: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = (): void => void (seenByRouter().every((by) => by === host) && resolve());
    const monitor = session.lab.router.monitor(look);
    const timer = setTimeout(() => reject(new Error(`the router has it at ${host}, not at ${seenByRouter().join(', ')}`)), 90_000);
    try {
      look();
      await promise;
    } finally {
      clearTimeout(timer);
      monitor.close();
    }
  }

  it('loses nothing, there over IPv4 and back over IPv6; the router has it at one host in the end', async () => {
    for (const [to, family] of [['h2', 4], ['h1', 6]] as const) {
      const { seen, result: { receipt } } = await watched(session, [{ to: guestAddress(session.vm, family) }], () => session.move({ policy: { maxEmptying: seconds(3), maxPause: seconds(3) } }));
      for (const result of seen) assertUnharmed(result);
      assert.deepEqual({ outcome: receipt.outcome, losses: losses(receipt), lossless: lossless(receipt) }, { outcome: { kind: 'moved' }, losses: [], lossless: true });
      await settled(to);
      for (const { name, host } of session.lab.hosts) {
        assert.deepEqual(routes(host).filter((route) => route.endsWith(' 201 1')).length, name === to ? 2 : 0, `${name}: ${routes(host).join(', ')}`);
      }
    }
  });

  it('goes back, and nothing was told of it; and a guest that ends has no route left', async () => {
    const { host, name } = session.at;
    const before = routes(host);
    const cancel = new AbortController();
    const { seen, result: { receipt } } = await watched(session, [{ to: guestAddress(session.vm, 4) }], () =>
      session.move({ signal: cancel.signal, onProgress: ({ phase }) => phase === 'finishing' && cancel.abort(), policy: { maxEmptying: seconds(3), maxPause: seconds(3) } }));
    for (const result of seen) assertUnharmed(result);
    assertBack(receipt);
    assert.deepEqual(routes(host), before);
    assert.deepEqual(seenByRouter(), [name, name]);
    assert.deepEqual(session.lab.hosts.filter((other) => other.host !== host).flatMap((other) => routes(other.host).filter((route) => / 201 /.test(route))), []);

    await session.running.kill();
    assert.deepEqual(routes(host), []);
    assert.deepEqual(host.neighbours.list(host.links.get('br-a').index).filter(({ state }) => state === 'permanent'), []);
  });
});
