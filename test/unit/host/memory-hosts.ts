/** Two hosts in memory whose bridges `br0` are joined by a wire, with just enough netlink to find bridges and routes. */
import assert from 'node:assert/strict';
import { Host } from '../../../src/host/host.ts';
import {
  decodeAttributes, decodeMessages, concat, encodeAttributes, encodeMessage, readText, text, u32,
} from '../../../src/host/netlink-message.ts';
import { errno } from '../../../src/native/errno.ts';
import { netlinkError } from '../../../src/native/memory-sockets.ts';
import { MemoryNetwork } from '../../../src/native/memory.ts';
import type { PacketSocket, ReceivedFrame } from '../../../src/native/native.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';

const [NEWLINK, GETLINK, NEWROUTE, GETROUTE] = [16, 18, 24, 26];
const [IFLA_ADDRESS, IFNAME, RTA_OIF] = [1, 3, 4];

export const MAC_A = MacAddress.parse('52:54:00:00:00:0a');
export const MAC_B = MacAddress.parse('52:54:00:00:00:0b');

export interface MemoryHosts {
  readonly network: MemoryNetwork;
  readonly a: Host;
  readonly b: Host;
  /** By which interface the kernel says that it reaches anything; undefined: by none. */
  route: number | undefined;
}

export function memoryHosts(mtu = 1500): MemoryHosts {
  const network = new MemoryNetwork();
  for (const name of ['a', 'b']) network.addNetns(name);
  network.addLinkPair({ netns: 'a', name: 'br0', mac: MAC_A.bytes() }, { netns: 'b', name: 'br0', mac: MAC_B.bytes() }, mtu);
  const index = (name: string): number => network.link(name, 'br0').ifindex;
  assert.equal(index('a'), index('b')); // so that one answer does for both
  for (const name of ['a', 'b']) network.link(name, 'br0').up = true;
  let asker = 'a';
  network.respond = (request) => {
    const { type, sequence, body } = decodeMessages(request)[0] ?? assert.fail();
    const refuse = (number: number): Uint8Array[] => [netlinkError(request, number)];
    const answer = (kind: number, body: Uint8Array): Uint8Array[] => [encodeMessage(kind, 0, sequence, body), netlinkError(request, 0)];
    if (type === GETLINK) {
      const name = readText(decodeAttributes(body.subarray(16)).get(IFNAME) ?? new Uint8Array());
      if (name !== 'br0') return refuse(errno.ENODEV);
      const attributes = encodeAttributes([[IFNAME, text(name)], [IFLA_ADDRESS, network.link(asker, 'br0').mac]]);
      return answer(NEWLINK, concat(u32(0), u32(index(asker)), u32(0), u32(0), attributes));
    }
    if (type !== GETROUTE) return refuse(errno.EOPNOTSUPP);
    if (hosts.route === undefined) return refuse(errno.ENETUNREACH);
    return answer(NEWROUTE, concat(u32(0), u32(0), u32(0), encodeAttributes([[RTA_OIF, u32(hosts.route)]])));
  };
  // The responder is not told who asks; every request of a host is one call, so the name is set around it.
  const host = (name: string): Host => {
    const native = network.native(name);
    const netns = native.openNetns();
    const named = (sent: () => void): void => {
      asker = name;
      sent();
    };
    return new Host(name, {
      ...native,
      netlinkSocket: (within, options) => {
        const socket = native.netlinkSocket(within, options);
        const send = socket.send.bind(socket);
        socket.send = (message) => named(() => send(message));
        return socket;
      },
    }, netns);
  };
  const hosts: MemoryHosts = { network, a: host('a'), b: host('b'), route: undefined };
  return hosts;
}

export function drain(socket: PacketSocket): ReceivedFrame[] {
  const frames: ReceivedFrame[] = [];
  for (let received; (received = socket.receive()); ) frames.push(received);
  return frames;
}

/** Everything that goes through `host`'s bridge, its own included. */
export function watch(host: Host): PacketSocket {
  return host.native.packetSocket(host.netns, { ifindex: host.links.get('br0').index, protocol: 3 });
}
