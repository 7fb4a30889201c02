/** Moves on a VXLAN network: three hosts that have only their own addresses in common, a guest, and a peer at the third host. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { WantedNetwork } from '../../src/api/agent-protocol.ts';
import { NetworkKeeper } from '../../src/agent/network-keeper.ts';
import { silentLog } from '../../src/base/log.ts';
import { seconds } from '../../src/base/units.ts';
import type { Host } from '../../src/host/host.ts';
import { vxlanDevice } from '../../src/host/vxlan-network.ts';
import { labAccelerator, labVm } from '../../src/lab/guest-image.ts';
import { Session } from '../../src/lab/session.ts';
import { Lab, type LabHost, sweep } from '../../src/lab/topology.ts';
import { losses, lossless } from '../../src/model/move.ts';
import type { Vm } from '../../src/model/vm.ts';
import { systemClock } from '../../src/native/system-clock.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';
import { assertUnharmed, guestAddress, hostNamed, native, portOf, watched } from './move-fixture.ts';
import { joinClient } from './network-fixture.ts';

const VNI = 7077;
const device = vxlanDevice(VNI);
const network = { bridge: 'br-a', vxlan: { vni: VNI } };

const overVxlan = (vm: Vm): Vm =>
  ({ ...vm, nics: vm.nics.map((nic) => ({ ...nic, attachment: { kind: 'bridge', bridge: 'br-a', segment: { kind: 'vxlan', vni: VNI } } })) });

/** Who gets what is for everybody. */
const floodedTo = (host: Host): string[] =>
  host.vxlan.list(host.links.get(device).index).filter(({ mac }) => mac.equals(MacAddress.zero)).map(({ remote }) => remote.toString()).toSorted();

describe('a VXLAN network', () => {
  let session: Session;
  const keepers = new Map<string, NetworkKeeper>();

  /** As the server tells it to `host`, with the guest where `at` says. */
  function wanted(lab: Pick<Lab, 'hosts'>, vm: Vm, host: LabHost, at: string, members = lab.hosts): WantedNetwork {
    const place = lab.hosts.find(({ name }) => name === at);
    assert.ok(place);
    return {
      name: 'a', spec: network, peers: members.filter((other) => other !== host).map(({ address }) => address.toString()),
      nics: vm.nics.map(({ mac, addresses }) => ({ mac: mac.toString(), addresses: addresses.map(String), ...(place === host ? {} : { at: place.address.toString() }) })),
    };
  }
  const tell = (host: LabHost, at: string, members?: readonly LabHost[]): void => {
    const keeper = keepers.get(host.name);
    assert.ok(keeper);
    keeper.want([wanted(session.lab, session.vm, host, at, members)]);
    assert.deepEqual([...keeper.troubles()], []);
  };
  /** The host behind which another one believes the guest to be. */
  const behind = (host: Host): string[] => {
    const mac = session.vm.nics[0]?.mac;
    return host.vxlan.list(host.links.get(device).index).filter((entry) => mac?.equals(entry.mac)).map(({ remote }) => remote.toString());
  };

  before(async () => {
    sweep();
    const vm = overVxlan(labVm({ name: 'web-1', networks: ['a'], number: 10, accelerator: await labAccelerator() }));
    const lab = new Lab(native, { hosts: 3, networks: [], migrationMtu: 9000 });
    try {
      for (const host of lab.hosts) {
        const keeper = new NetworkKeeper({ host: host.host, address: host.address, clock: systemClock, log: silentLog });
        keepers.set(host.name, keeper);
        keeper.want([wanted(lab, vm, host, 'h1')]);
        assert.deepEqual([...keeper.troubles()], []);
      }
      const third = lab.hosts[2];
      assert.ok(third);
      joinClient(lab, third);
    } catch (error) {
      lab.close();
      throw error;
    }
    session = await Session.on(lab, vm);
  });
  after(async () => {
    for (const keeper of keepers.values()) await keeper.close();
    await session.close();
  });

  it('loses nothing; every host has the guest behind its new one, also while the server is away', async () => {
    for (const [to, family] of [['h2', 4], ['h1', 6]] as const) {
      const from = session.at;
      const { seen, result: { receipt } } = await watched(session, [{ to: guestAddress(session.vm, family) }], () => session.move({ policy: { maxEmptying: seconds(3), maxPause: seconds(3) } }, hostNamed(session, to)));
      for (const result of seen) assertUnharmed(result);
      assert.deepEqual({ outcome: receipt.outcome, losses: losses(receipt), lossless: lossless(receipt) }, { outcome: { kind: 'moved' }, losses: [], lossless: true });
      const here = session.at.address.toString();
      for (const { name, host } of session.lab.hosts) {
        if (name === to) {
          assert.deepEqual(behind(host), [], 'nothing leads away from where it is');
          assert.match(portOf(host, session.vm) ?? '', /^gt-/);
        } else {
          assert.deepEqual(behind(host), [here], name);
          assert.equal(portOf(host, session.vm), device, name);
        }
      }
      // Word of an older state changes nothing that was heard since; word of the new one is what is there.
      const third = hostNamed(session, 'h3');
      tell(third, from.name, session.lab.hosts.slice(0, 1));
      assert.deepEqual(behind(third.host), [here]);
      tell(third, to);
      assert.deepEqual(behind(third.host), [here]);
    }
  });

  it('floods to its members alone, as they come and go', () => {
    const [h1, h2, h3] = session.lab.hosts;
    assert.ok(h1 && h2 && h3);
    assert.deepEqual(floodedTo(h1.host), ['10.79.0.2', '10.79.0.3']);
    tell(h1, 'h1', [h1, h3]);
    assert.deepEqual(floodedTo(h1.host), ['10.79.0.3']);
    tell(h1, 'h1');
    assert.deepEqual(floodedTo(h1.host), ['10.79.0.2', '10.79.0.3']);
  });

  it('leaves a network alone that has guests, and takes its devices away when it has none', () => {
    const [h1, h2] = session.lab.hosts;
    assert.ok(h1 && h2);
    const made = ({ host }: LabHost): string[] => host.links.list().filter(({ alias }) => alias.startsWith('godwit')).map(({ name }) => name).toSorted();
    for (const host of [h1, h2]) keepers.get(host.name)?.want([]);
    assert.deepEqual([made(h1), made(h2)], [['br-a', device], []]);
    tell(h2, 'h1');
    assert.deepEqual(made(h2), ['br-a', device]);
  });

  it('does not touch a bridge that it did not make', () => {
    const [h1] = session.lab.hosts;
    assert.ok(h1);
    const { index } = h1.host.links.create('br-own', 'bridge', [], {});
    const keeper = new NetworkKeeper({ host: h1.host, address: h1.address, clock: systemClock, log: silentLog });
    keepers.set('own', keeper);
    keeper.want([{ name: 'own', spec: { bridge: 'br-own', vxlan: { vni: 9 } }, peers: [], nics: [] }, wanted(session.lab, session.vm, h1, 'h1')]);
    assert.match(keeper.troubles().get('own') ?? '', /needs a device br-own of its own, and the one that is there was not made by Godwit/);
    assert.equal(h1.host.links.get('br-own').index, index);
  });

  it('reaches those whom it can reach', () => {
    const [, h2] = session.lab.hosts;
    assert.ok(h2);
    const keeper = keepers.get('h2');
    const { peers, ...network } = wanted(session.lab, session.vm, h2, 'h1');
    keeper?.want([{ ...network, peers: [...peers, '192.0.2.1'] }]);
    assert.match(keeper?.troubles().get('a') ?? '', /no route to 192\.0\.2\.1, which use it too: add one/);
    assert.deepEqual(floodedTo(h2.host), ['10.79.0.1', '10.79.0.3', '192.0.2.1']);
  });

  it('says how much too wide it is', () => {
    const [, h2] = session.lab.hosts;
    assert.ok(h2);
    const keeper = keepers.get('h2');
    keeper?.want([{ ...wanted(session.lab, session.vm, h2, 'h1'), spec: { ...network, mtu: 9000 } }]);
    assert.match(keeper?.troubles().get('a') ?? '', /its MTU is 9000, and between the hosts there is room for 8950: raise that of the hosts' devices by 50/);
    assert.equal(h2.host.links.get('br-a').mtu, 8950);
  });
});
