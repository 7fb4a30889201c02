/** The ground in memory, by the suite that holds the kernel's too. */
import { MemoryNetwork } from '../../../src/native/memory.ts';
import { MemoryGround } from '../../../src/pulse/ground-memory.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { pulseGroundContract } from '../../contract/pulse-ground.ts';

pulseGroundContract('in memory', async (test) => {
  const network = new MemoryNetwork();
  for (const name of ['a', 'b']) network.addNetns(name);
  network.addLinkPair({ netns: 'a', name: 'e0' }, { netns: 'b', name: 'e0' });
  network.link('a', 'e0').up = true;
  const ground = new MemoryGround(network, 'a');
  const linkLocal = parseIpAddress('fe80::a');
  ground.setSources('e0', [parseIpAddress('192.0.2.11'), linkLocal]);
  try {
    await test({
      ground,
      setUp: (up) => ground.setUp('e0', up),
      setMac: (mac) => ground.setMac('e0', mac),
      removeAddress: () => ground.setSources('e0', [linkLocal]),
      setRoute: (prefix, there) => ground.setRoute(prefix, there),
      removeDevice: () => ground.lose('e0'),
    });
  } finally {
    ground.close();
  }
});
