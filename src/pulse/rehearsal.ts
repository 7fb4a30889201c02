/**
 * A pulse's first takeover must not be the first time that its code is run: what V8 has not compiled yet costs some 2 ms then, and some
 * pages of memory. So a pulse plays through it all at its start, on a network in memory, before it opens its socket.
 */
import type { RouterPlan } from '../model/virtual-router.ts';
import { MemoryNetwork } from '../native/memory.ts';
import { Ipv4Address, Ipv6Address } from '../wire/ip-address.ts';
import { MacAddress } from '../wire/mac-address.ts';
import { MemoryGround } from './ground-memory.ts';
import { PulseProcess } from './pulse-process.ts';

/** How often each host takes over from the other. V8 optimizes what it has seen some hundreds of times; this takes a tenth of a second. */
const ROUNDS = 25;
/** ms of the network's time: long enough for a takeover at 10 ms, and for a duel's end. */
const ROUND = 100;

const base = {
  vrid: 1, version: 3, device: 'e0', interval: 10, virtualMac: true, preempt: true, preemptDelay: 0, accept: true, checksum: 'pseudo-header', peers: [],
  minTtl: 255, announce: { count: 2, interval: 10 }, track: [],
} as const;

const plans = (priority: number): RouterPlan[] => [
  { ...base, name: 'rehearsal-4', family: 4, priority, addresses: [{ address: '192.0.2.1', prefixLength: 24 }] },
  { ...base, name: 'rehearsal-6', family: 6, priority, addresses: [{ address: 'fe80::1', prefixLength: 64 }] },
];

/** Resolves when it is over; touches nothing outside. */
export async function rehearse(): Promise<void> {
  const network = new MemoryNetwork();
  const ends = [
    { name: 'a', priority: 200, addresses: [Ipv4Address.parse('192.0.2.11'), Ipv6Address.parse('fe80::a')] },
    { name: 'b', priority: 100, addresses: [Ipv4Address.parse('192.0.2.12'), Ipv6Address.parse('fe80::b')] },
  ] as const;
  for (const { name } of ends) network.addNetns(name);
  network.addLinkPair({ netns: 'a', name: 'e0' }, { netns: 'b', name: 'e0' });
  const pulses = ends.map(({ name, addresses, priority }) => {
    network.link(name, 'e0').up = true;
    const ground = new MemoryGround(network, name);
    ground.setSources('e0', addresses);
    ground.known.push({ address: Ipv4Address.parse('192.0.2.99'), mac: MacAddress.broadcast }, { address: Ipv6Address.parse('fe80::99'), mac: MacAddress.broadcast });
    const pulse = new PulseProcess({
      ground, realtime: { scheduling: 'realtime', locked: true }, pulse: name, pid: 1, version: '', tell: (message) => void JSON.stringify(message), log: () => undefined,
    });
    return { ground, pulse, priority };
  });
  try {
    for (const { pulse, priority } of pulses) await pulse.command({ kind: 'routers', routers: plans(priority) });
    const [first] = pulses;
    for (let round = 0; round < ROUNDS; round++) {
      // Its link fails and heals: the other takes over, and gives back.
      for (const up of [true, false]) {
        first?.ground.setUp('e0', up);
        await network.advance(ROUND);
      }
    }
  } finally {
    for (const { pulse } of pulses) pulse.close();
  }
}
