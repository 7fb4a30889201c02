/**
 * model/: the nouns. What a virtual machine is, as declared; what a move was, as recorded.
 */
import type { IpAddress } from '../wire/ip-address.ts';
import type { MacAddress } from '../wire/mac-address.ts';
import type { Bytes } from '../base/units.ts';

/** `kvm` on users' hosts; `tcg` (software emulation) where no guest boots on /dev/kvm. */
export type Accelerator = 'kvm' | 'tcg';

/** What its bridge is a part of, where Godwit made it (network.ts); absent: the administrator's Ethernet segment. */
export type Segment =
  /** `gateway`: its MAC on every host. */
  | { readonly kind: 'routed'; readonly gateway: MacAddress }
  | { readonly kind: 'vxlan'; readonly vni: number };

/** How a NIC reaches its network. Only `bridge` can be moved without loss; the others are refused by the plan. */
export type Attachment =
  | { readonly kind: 'bridge'; readonly bridge: string; readonly segment?: Segment }
  | { readonly kind: 'macvtap'; readonly link: string }
  | { readonly kind: 'ovs'; readonly bridge: string }
  | { readonly kind: 'vhost-user'; readonly socket: string }
  | { readonly kind: 'passthrough'; readonly pciAddress: string };

export interface Nic {
  readonly mac: MacAddress;
  readonly attachment: Attachment;
  /** Bytes of IP packet, 68..65535; what the guest's own interface is set to. */
  readonly mtu: number;
  /** What the guest answers to here; announced after a move. */
  readonly addresses: readonly IpAddress[];
  /** The router that its network declares. */
  readonly gateway?: IpAddress;
  /** The guest forwards IPv6: said wrongly in an announcement, neighbours drop it from their routers (RFC 4861 §7.2.5). */
  readonly router?: boolean;
  /** Data path in the kernel's vhost-net instead of in QEMU. */
  readonly vhost: boolean;
  /** What the guest sends is pinned to its MAC and addresses, of which there are some. */
  readonly guard?: boolean;
}

export interface Disk {
  readonly path: string;
  readonly format: 'qcow2' | 'raw';
  /** Seen under the same path by both hosts. A disk that is not cannot be moved yet. */
  readonly shared: boolean;
}

/** Direct kernel boot; without it the firmware boots the first disk. */
export interface DirectBoot {
  readonly kernel: string;
  readonly initrd: string;
  readonly commandLine: string;
}

export interface Vm {
  /** [a-z0-9-], at most 40 characters. */
  readonly name: string;
  readonly memory: Bytes;
  readonly cpus: number;
  /** A QEMU machine type. Both ends of a move must name the same; versioned (`pc-q35-10.0`) where the hosts' QEMUs differ. */
  readonly machine: string;
  readonly cpuModel: string;
  readonly accelerator: Accelerator;
  readonly nics: readonly Nic[];
  readonly disks: readonly Disk[];
  readonly boot?: DirectBoot;
}
