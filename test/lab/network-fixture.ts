/** What the lab tests of networks share that Godwit makes. */
import { CLIENT, type Lab, type LabHost, labAddresses } from '../../src/lab/topology.ts';

/** Joins the client's cable to the third host's bridge, as if it were a guest there. */
export function joinClient({ client }: Pick<Lab, 'client'>, { host }: LabHost): void {
  host.links.createVeth({ name: 'peer', netns: host.netns, mtu: 1500 }, { name: 'eth-a', netns: client.netns, mtu: 1500 });
  host.links.set(host.links.get('peer').index, { master: host.links.get('br-a').index, up: true, noIpv6Address: true });
  const { index } = client.links.get('eth-a');
  client.links.set(index, { up: true });
  const { v4, v6 } = labAddresses('a', CLIENT);
  client.addresses.add(index, v4, 24);
  client.addresses.add(index, v6, 64);
}
