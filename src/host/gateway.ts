/**
 * The MACs that a bridge's network gives for an address: one for a gateway that is there, several where two machines claim it. Two
 * hosts that see different ones are not on the same network, or a guest moved between them would lose its router.
 */
import { constants } from 'node:os';
import { systemClock } from '../native/system-clock.ts';
import { type Milliseconds, ms } from '../base/units.ts';
import { SystemError } from '../native/native.ts';
import { arpProbeFrame, nsProbeFrame } from '../wire/announce.ts';
import { decodeArp } from '../wire/arp.ts';
import { EtherType, decodeEthernet } from '../wire/ethernet.ts';
import { decodeNeighborDiscovery } from '../wire/icmpv6-nd.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { MacAddress } from '../wire/mac-address.ts';
import { DecodeError } from '../wire/wire.ts';
import type { Host } from './host.ts';
import { KernelRefused } from './netlink.ts';

/** Between two questions, ms. */
const INTERVAL = ms(250);
const PATIENCE = ms(1000);
const LOOPBACK = 1;

/**
 * Asks out of the bridge without claiming an address, so no cache is touched, and listens for the whole of `within`: who answers
 * second counts too. In the order of their first answers; an address of this host's own is answered by the bridge itself, first.
 * Throws KernelRefused ENODEV, or SystemError, also when the bridge goes down meanwhile.
 */
export async function findGateway(host: Host, bridge: string, gateway: IpAddress, within: Milliseconds = PATIENCE): Promise<MacAddress[]> {
  const { index, address } = host.links.get(bridge);
  const own = MacAddress.of(address);
  const question = gateway.family === 4 ? arpProbeFrame(own, gateway) : nsProbeFrame(own, gateway);
  // By text, which is unique; a Map keeps the order.
  const found = new Map<string, MacAddress>();
  if (isOwn(host, gateway)) found.set(own.toString(), own);

  const over = new AbortController();
  let failure: SystemError | undefined;
  const protocol = gateway.family === 4 ? EtherType.arp : EtherType.ipv6;
  const socket = host.native.packetSocket(host.netns, { ifindex: index, protocol });
  try {
    socket.onReadable(() => {
      try {
        for (let received; (received = socket.receive()); ) {
          const mac = answerOf(received.frame, gateway);
          if (mac && !found.has(mac.toString())) found.set(mac.toString(), mac);
        }
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        failure = error;
        socket.onReadable(undefined);
        over.abort();
      }
    });
    for (const end = performance.now() + within; !over.signal.aborted; ) {
      const left = end - performance.now();
      if (left <= 0) break;
      socket.send(question);
      await systemClock.sleep(ms(Math.min(INTERVAL, left)), over.signal);
    }
  } finally {
    socket.close();
  }
  if (failure) throw failure;
  return [...found.values()];
}

/** The MAC that a frame gives for `asked`, as caches would take it; undefined when it answers nothing or something else. */
export function answerOf(frame: Uint8Array, asked: IpAddress): MacAddress | undefined {
  try {
    const { etherType, source, payload } = decodeEthernet(frame);
    if (etherType === EtherType.arp && asked.family === 4) {
      const { operation, senderIp, senderMac } = decodeArp(payload);
      return operation === 'reply' && senderIp.equals(asked) ? senderMac : undefined;
    }
    if (etherType !== EtherType.ipv6 || asked.family === 4) return undefined;
    const packet = decodeNeighborDiscovery(payload);
    return packet.kind === 'advertisement' && packet.target.equals(asked) ? (packet.targetMac ?? source) : undefined;
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** The kernel reaches its own addresses by the loopback. */
function isOwn({ addresses }: Host, address: IpAddress): boolean {
  try {
    return addresses.route(address).device === LOOPBACK;
  } catch (error) {
    if (error instanceof KernelRefused && error.errno === constants.errno.ENETUNREACH) return false;
    throw error;
  }
}
