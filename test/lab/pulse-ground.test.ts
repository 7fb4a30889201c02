/** The kernel's ground, by the suite that holds the one in memory too. */
import { KernelGround } from '../../src/pulse/ground-kernel.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { pulseGroundContract } from '../contract/pulse-ground.ts';
import { withBench } from './host-fixture.ts';

pulseGroundContract('in the kernel', (test) => withBench(async (bench) => {
  const [host, other] = ['r', 'n'].map((name) => bench.host(name));
  if (!host || !other) throw new Error('no hosts');
  host.links.createVeth({ name: 'e0', netns: host.netns, mtu: 1500 }, { name: 'e0', netns: other.netns, mtu: 1500 });
  other.links.set(other.links.get('e0').index, { up: true, noIpv6Address: true });
  const { index } = host.links.get('e0');
  host.links.set(index, { up: true, noIpv6Address: true });
  const own = parseIpAddress('192.0.2.11');
  host.addresses.add(index, own, 24);
  host.addresses.add(index, parseIpAddress('fe80::a'), 64);
  const ground = new KernelGround(host);
  try {
    await test({
      ground,
      setUp: (up) => host.links.set(index, { up }),
      setMac: (address) => host.links.set(index, { address }),
      removeAddress: () => host.addresses.remove(index, own, 24),
      setRoute(prefix, there) {
        const [to = '', length] = prefix.split('/');
        const route = { to: parseIpAddress(to), prefixLength: Number(length), device: index };
        if (there) host.routes.add(route);
        else host.routes.delete(route);
      },
      removeDevice: () => host.links.delete(index),
    });
  } finally {
    ground.clean();
    ground.close();
  }
}));
