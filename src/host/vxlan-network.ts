/**
 * A VXLAN network's place on one host (RFC 7348): a bridge, and a VXLAN device as one of its ports. Who is behind which host is
 * learned from what comes, and may be told beforehand. Broadcast, multicast and what is unknown goes to each host of a list in turn
 * (head-end replication).
 */
import type { IpAddress } from '../wire/ip-address.ts';
import { MacAddress } from '../wire/mac-address.ts';
import type { Native, Netns } from '../native/native.ts';
import { addressOf } from './ip-value.ts';
import { disableIpv6 } from './ipv6.ts';
import type { Link, Links } from './link.ts';
import { ensureMade, markOf } from './made-link.ts';
import { ndmsg } from './neighbour.ts';
import type { Netlink } from './netlink.ts';
import { NLM_F_CREATE, NLM_F_REPLACE, decodeAttributes, readNumber, u16be, u32, u8 } from './netlink-message.ts';

export interface VxlanNetwork {
  readonly name: string;
  readonly bridge: string;
  readonly mtu: number;
  readonly vni: number;
  readonly port: number;
  /** Of this host, between the hosts. */
  readonly local: IpAddress;
}

interface Parts {
  readonly native: Native;
  readonly netns: Netns;
  readonly links: Links;
}

const VXLAN = { id: 1, local: 4, learning: 7, port: 15, local6: 17 } as const;
const IFLA_BR_MCAST_SNOOPING = 23;

export const vxlanDevice = (vni: number): string => `gv-${vni}`;

/** Makes both devices, or corrects what is there. Throws DeviceTaken, KernelRefused (EEXIST: the VNI is taken). */
export function ensureVxlanNetwork({ native, netns, links }: Parts, network: VxlanNetwork): { readonly bridge: Link; readonly device: Link } {
  const { name, mtu, vni, port, local } = network;
  const bridge = ensureMade(links, network.bridge, name, markOf(name, 'vxlan'), () => {
    // No querier reaches all of its ports: groups are flooded.
    const made = links.create(network.bridge, 'bridge', [[IFLA_BR_MCAST_SNOOPING, u8(0)]], { mtu });
    disableIpv6(native, netns, network.bridge);
    return made;
  });
  const device = ensureMade(links, vxlanDevice(vni), name, markOf(name, `vni ${vni} port ${port} local ${local}`), () => {
    const made = links.create(vxlanDevice(vni), 'vxlan', [
      [VXLAN.id, u32(vni)], [local.family === 4 ? VXLAN.local : VXLAN.local6, local.bytes()], [VXLAN.learning, u8(1)], [VXLAN.port, u16be(port)],
    ], { mtu });
    disableIpv6(native, netns, made.name);
    return made;
  });
  for (const link of [bridge, device]) if (link.mtu !== mtu) links.set(link.index, { mtu });
  if (device.master !== bridge.index) links.set(device.index, { master: bridge.index });
  for (const link of [bridge, device]) if (!link.up) links.set(link.index, { up: true });
  return { bridge: links.get(network.bridge), device: links.get(device.name) };
}

const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;
const AF_BRIDGE = 7;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NTF_SELF = 0x02;
const NUD_REACHABLE = 0x02;
const NUD_PERMANENT = 0x80;
const NLM_F_APPEND = 0x800;

export interface RemoteEntry {
  readonly mac: MacAddress;
  /** The host behind which it is. */
  readonly remote: IpAddress;
}

/** The forwarding database of VXLAN devices (drivers/net/vxlan): which host a frame goes to. */
export class VxlanForwarding {
  readonly #netlink: Netlink;

  constructor(netlink: Netlink) {
    this.#netlink = netlink;
  }

  list(device: number): RemoteEntry[] {
    return this.#netlink.dump({ what: 'list forwarding entries of VXLAN', type: RTM_GETNEIGH, header: ndmsg(AF_BRIDGE, 0, 0, 0) }).flatMap(({ body }) => {
      if (readNumber(body.subarray(4, 8)) !== device || (readNumber(body.subarray(10, 11)) & NTF_SELF) === 0) return [];
      const attributes = decodeAttributes(body.subarray(12));
      const [mac, remote] = [attributes.get(NDA_LLADDR), addressOf(attributes.get(NDA_DST))];
      return mac?.length === 6 && remote ? [{ mac: MacAddress.of(mac), remote }] : [];
    });
  }

  /** What has no host of its own, broadcasts among it, goes to this one too. Again is fine. */
  flood(device: number, remote: IpAddress): void {
    this.#change('flood to', RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_APPEND, device, { mac: MacAddress.zero, remote }, NUD_PERMANENT);
  }

  /**
   * `mac` is behind `remote`: as if learned, so that what is heard of it later holds. The kernel drops the frames of a MAC that
   * comes from elsewhere than a permanent entry says (vxlan_snoop): one that has moved would be mute.
   */
  set(device: number, entry: RemoteEntry): void {
    this.#change('put', RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, device, entry, NUD_REACHABLE);
  }

  /** Throws KernelRefused ENOENT where it is not there. */
  remove(device: number, entry: RemoteEntry): void {
    this.#change('forget', RTM_DELNEIGH, 0, device, entry, 0);
  }

  /** Whatever host it is behind. Throws KernelRefused ENOENT where nothing is known of it. */
  forget(device: number, mac: MacAddress): void {
    this.#netlink.change({
      what: `forget ${mac} on interface ${device}`, type: RTM_DELNEIGH, header: ndmsg(AF_BRIDGE, device, 0, NTF_SELF), attributes: [[NDA_LLADDR, mac.bytes()]],
    });
  }

  #change(verb: string, type: number, flags: number, device: number, { mac, remote }: RemoteEntry, state: number): void {
    this.#netlink.change({
      what: `${verb} ${mac} behind ${remote} on interface ${device}`, type, flags, header: ndmsg(AF_BRIDGE, device, state, NTF_SELF),
      attributes: [[NDA_LLADDR, mac.bytes()], [NDA_DST, remote.bytes()]],
    });
  }
}
