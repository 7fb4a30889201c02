/** A move on an administrator's own EVPN: FRR tells the other hosts of it, as the docs say it is set up (docs/networks.md). */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { seconds } from '../../src/base/units.ts';
import { FrrBgp } from '../../src/lab/frr-bgp.ts';
import { labAccelerator, labVm } from '../../src/lab/guest-image.ts';
import { Session } from '../../src/lab/session.ts';
import { Lab, type LabHost, sweep } from '../../src/lab/topology.ts';
import { until } from './host-fixture.ts';
import { guestAddress, hostNamed, inNamespace, native, watched } from './move-fixture.ts';
import { joinClient } from './network-fixture.ts';

const VNI = 77;

function segment({ namespace, address }: LabHost): void {
  const ip = (...words: string[]): string => inNamespace(namespace, 'ip', 'link', ...words);
  ip('add', 'br-a', 'type', 'bridge', 'mcast_snooping', '0');
  ip('add', `vni${VNI}`, 'mtu', '1500', 'type', 'vxlan', 'id', String(VNI), 'local', String(address), 'dstport', '4789', 'nolearning');
  ip('set', `vni${VNI}`, 'master', 'br-a', 'addrgenmode', 'none');
  ip('set', 'br-a', 'addrgenmode', 'none');
  inNamespace(namespace, 'bridge', 'link', 'set', 'dev', `vni${VNI}`, 'learning', 'off');
  for (const device of ['br-a', `vni${VNI}`]) ip('set', device, 'up');
}

const configuration = (own: LabHost, hosts: readonly LabHost[]): string => {
  const others = hosts.filter((host) => host !== own).map(({ address }) => String(address));
  return `router bgp 65000
 bgp router-id ${own.address}
 no bgp default ipv4-unicast
${others.map((peer) => ` neighbor ${peer} remote-as 65000\n neighbor ${peer} advertisement-interval 0\n neighbor ${peer} timers connect 1\n`).join('')} address-family l2vpn evpn
${others.map((peer) => `  neighbor ${peer} activate\n`).join('')}  advertise-all-vni
 exit-address-family
`;
};

describe('a move on EVPN', () => {
  let session: Session;
  const daemons: FrrBgp[] = [];

  /** What a host's zebra knows of the guest's MAC. */
  const known = (host: number): { readonly type?: string; readonly localSequence?: number; readonly remoteSequence?: number } => {
    const [mac, daemon] = [String(session.vm.nics[0]?.mac), daemons[host]];
    assert.ok(daemon);
    try {
      // The shape is FRR 8's; what is missing is undefined.
      const { macs } = daemon.show(`show evpn mac vni ${VNI} json`) as { readonly macs?: Readonly<Record<string, object>> };
      return macs?.[mac] ?? {};
    } catch {
      return {}; // nothing is known of the VNI yet
    }
  };
  /** zebra's sequence numbers are in nothing that the kernel tells of. */
  const told = (what: string, condition: () => boolean): Promise<void> =>
    until(() => `${what}: ${JSON.stringify([0, 1, 2].map(known))}`, condition, { limit: 20_000, every: 20 });

  before(async () => {
    sweep();
    const vm = labVm({ name: 'web-1', networks: ['a'], number: 10, accelerator: await labAccelerator() });
    const lab = new Lab(native, { hosts: 3, networks: [], migrationMtu: 9000 });
    try {
      for (const host of lab.hosts) segment(host);
      const third = lab.hosts[2];
      assert.ok(third);
      joinClient(lab, third);
      for (const host of lab.hosts) daemons.push(await FrrBgp.start(host.host, join(lab.directory, `frr-${host.name}`), configuration(host, lab.hosts)));
    } catch (error) {
      lab.close();
      throw error;
    }
    session = await Session.on(lab, vm);
  });
  after(async () => {
    for (const daemon of daemons) await daemon.stop();
    await session.close();
  });

  it('is announced with a mobility sequence that rises with each move, and the guest is reached', async () => {
    await told('h2 and h3 know the guest behind h1', () => known(0).type === 'local' && known(1).type === 'remote' && known(2).type === 'remote');
    const { seen } = await watched(session, [{ to: guestAddress(session.vm, 4) }], async () => {
      const sequences = [known(2).remoteSequence ?? 0];
      for (const [from, to] of [[0, 1], [1, 0]] as const) {
        const { receipt } = await session.move({ policy: { maxEmptying: seconds(3), maxPause: seconds(3) } }, hostNamed(session, `h${to + 1}`));
        assert.deepEqual(receipt.outcome.kind, 'moved');
        await told('all know where it is', () => known(to).type === 'local' && known(from).type === 'remote' && known(2).type === 'remote'
          && (known(2).remoteSequence ?? 0) > (sequences.at(-1) ?? 0));
        sequences.push(known(2).remoteSequence ?? 0);
      }
      assert.deepEqual(sequences, [0, 1, 2]);
    });
    // Not that nothing is lost: once zebra has heard of the move, the bridge of the old host drops what still comes by VXLAN (docs/networks.md).
    for (const { toGuest, toClient, sessions } of seen) {
      assert.deepEqual(
        { alive: sessions.alive, errors: sessions.errors, twice: [toGuest.duplicated, toClient.duplicated], fromGuest: toClient.lost },
        { alive: sessions.opened, errors: [], twice: [0, 0], fromGuest: 0 },
      );
    }
  });
});
