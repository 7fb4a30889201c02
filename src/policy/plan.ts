/**
 * Can this VM be moved from here to there without losing a packet? What cannot is refused before anything is changed; each reason
 * says what stands in the way and what to do about it.
 */
import { type Bytes, mib } from '../base/units.ts';
import type { Attachment, Disk, Nic, Vm } from '../model/vm.ts';
import { type Ways, wayRefusals, wayWarnings } from './ways.ts';

export interface QemuFacts {
  readonly version: { readonly major: number; readonly minor: number };
  /** Waits between the stop and the last pass. */
  readonly pauseBeforeSwitchover: boolean;
  /** What else its migration cannot do, in words: `name (since): what that costs`. */
  readonly missing: readonly string[];
  /** The machine types it offers, aliases included; undefined when nobody asked. */
  readonly machines?: readonly string[];
}

/** What the redirect of frames is made of. */
export type KernelFeature = 'vxlan' | 'clsact' | 'u32' | 'mirred';

export interface HostFacts {
  readonly name: string;
  readonly qemu: QemuFacts;
  /** Equal texts are equal CPUs: model and features. */
  readonly cpu: string;
  /** What a new VM could take without swapping. */
  readonly freeMemory: Bytes;
  /** By name: the MTU, bytes of IP packet, and its own MAC. */
  readonly bridges: ReadonlyMap<string, { readonly mtu: number; readonly mac?: string }>;
  readonly missingFeatures: readonly KernelFeature[];
  /**
   * By path, those of the VM's disks that can be opened there: the inode, which all hosts of a shared file system agree on; undefined
   * of a block device.
   */
  readonly disks: ReadonlyMap<string, number | undefined>;
}

export interface MoveFacts {
  readonly vm: Vm;
  readonly source: HostFacts;
  readonly destination: HostFacts;
  /** Of the path between the hosts that carries the tunnels, bytes of IP packet: the largest that was seen to come, else the route's. */
  readonly pathMtu: number;
  /** IP version of the tunnels' own packets. */
  readonly outerFamily: 4 | 6;
  /** A previous move of this VM still has its redirect in place. */
  readonly draining: boolean;
  /** What was tried between the hosts; absent where nobody could. */
  readonly ways?: Ways;
}

export type Plan =
  | { readonly kind: 'refused'; readonly reasons: readonly string[] }
  /** `warnings`: it can go, but less well than it could. `notes`: what will be done. */
  | { readonly kind: 'possible'; readonly warnings: readonly string[]; readonly notes: readonly string[] };

/** Reasons and warnings come in a fixed order: the move, the VM, its NICs, its disks, the source, the destination. */
export function planMove(facts: MoveFacts): Plan {
  if (facts.source.name === facts.destination.name) {
    return { kind: 'refused', reasons: [`${facts.vm.name} runs on ${facts.source.name} already: name another host`] };
  }
  const reasons = refusals(facts);
  return reasons.length > 0 ? { kind: 'refused', reasons } : { kind: 'possible', warnings: warnings(facts), notes: notes(facts) };
}

function refusals(facts: MoveFacts): string[] {
  const { vm, source, destination, draining } = facts;
  return [
    ...(draining
      ? [`Frames of ${vm.name}'s previous move still come through tunnels, and a second redirect would be a loop: wait for its end`]
      : []),
    ...cpuRefusals(facts),
    ...machineRefusals(facts),
    ...vm.nics.flatMap((nic, i) => nicRefusals(nic, i, destination)),
    ...vm.nics.flatMap((nic, i) => pathRefusals(nic, i, facts)),
    ...(facts.ways ? wayRefusals(facts.ways, { source: source.name, destination: destination.name }) : []),
    ...vm.disks.flatMap((disk) => diskRefusals(disk, source, destination)),
    ...hostRefusals(source),
    ...hostRefusals(destination),
    ...(vm.memory > destination.freeMemory
      ? [
          `${vm.name} needs ${mebibytes(vm.memory)} of memory and ${destination.name} has ${mebibytes(destination.freeMemory)} free: `
            + 'free some there, or name another host',
        ]
      : []),
  ];
}

function cpuRefusals({ vm, source, destination }: MoveFacts): string[] {
  if (!/^(host|max)(,|$)/.test(vm.cpuModel) || source.cpu === destination.cpu) return [];
  return [
    `CPU model ${vm.cpuModel} is whatever the host has, and ${source.name} (${source.cpu}) is not ${destination.name} (${destination.cpu})`
      + `: restart ${vm.name} with a named model that both have`,
  ];
}

function machineRefusals({ vm, source, destination }: MoveFacts): string[] {
  const { machines } = destination.qemu;
  if (machines !== undefined && !machines.includes(vm.machine)) {
    return [
      `QEMU ${version(destination.qemu)} at ${destination.name} does not offer machine type ${vm.machine}: `
        + `upgrade QEMU there, or restart ${vm.name} with one that both hosts offer`,
    ];
  }
  // `q35` is the newest pc-q35 of each QEMU: another machine in another version.
  if (/-\d+\.\d+$/.test(vm.machine) || version(source.qemu) === version(destination.qemu)) return [];
  return [
    `Machine type ${vm.machine} is not the same in QEMU ${version(source.qemu)} (${source.name}) and `
      + `${version(destination.qemu)} (${destination.name}): restart ${vm.name} with a versioned one that both offer, like pc-q35-8.2`,
  ];
}

function nicRefusals({ attachment, mtu }: Nic, index: number, destination: HostFacts): string[] {
  const nic = `nic${index}`;
  if (attachment.kind !== 'bridge') return [`${nic} is attached by ${attachment.kind}: ${unbridged(attachment)}; attach it to a bridge`];
  const name = attachment.bridge;
  const bridge = destination.bridges.get(name);
  if (!bridge && attachment.segment) return [`${nic} needs bridge ${name}, and the agent of ${destination.name} could not make it: its log says why`];
  if (!bridge) return [`${nic} needs bridge ${name}, which ${destination.name} does not have: make it there, on the same network`];
  const gateway = attachment.segment?.kind === 'routed' ? attachment.segment.gateway.toString() : undefined;
  if (gateway !== undefined && bridge.mac !== undefined && bridge.mac !== gateway) {
    return [
      `${nic} has ${gateway} for its gateway's MAC, and at ${destination.name} bridge ${name} has ${bridge.mac}: the guest would lose its router; `
        + 'restart the VM, so that it is as its network is declared now',
    ];
  }
  if (mtu <= bridge.mtu) return [];
  return [
    `${nic} has an MTU of ${mtu} and bridge ${name} at ${destination.name} one of ${bridge.mtu}, so full frames would be dropped: `
      + 'raise the bridge\'s, or lower the NIC\'s',
  ];
}

/** Outer IPv4 fragments where the path is narrower; routers do not fragment IPv6, and the tunnel drops what does not fit. */
function pathRefusals({ mtu }: Nic, index: number, facts: MoveFacts): string[] {
  const needed = mtu + overhead(facts);
  // Of a path that carries nothing its own reason says all.
  if (facts.outerFamily === 4 || needed <= facts.pathMtu || facts.ways?.path.kind === 'dead') return [];
  return [
    `nic${index}: a packet of ${mtu} bytes is ${needed} in the tunnel, the path between hosts carries ${facts.pathMtu}, and IPv6 does not `
      + `fragment on the way: raise the path's MTU to ${needed}, or let the hosts speak IPv4`,
  ];
}

/** Why frames that arrive by such an attachment cannot be held and carried along. */
function unbridged(attachment: Exclude<Attachment, { kind: 'bridge' }>): string {
  switch (attachment.kind) {
    case 'macvtap': return 'its frames reach the guest past the filters of the host, where nothing can hold them';
    case 'ovs': return 'Open vSwitch forwards its frames by flows of its own, which Godwit does not change';
    case 'vhost-user': return 'its frames go from the switch process straight into the memory of the guest';
    case 'passthrough': return 'the device belongs to the guest and its state stays behind';
  }
}

function diskRefusals({ path, shared }: Disk, source: HostFacts, destination: HostFacts): string[] {
  if (!shared) return [`Disk ${path} is not shared, and disks are not copied: put it on storage that both hosts see under one path`];
  const without = [source, destination].filter((host) => !host.disks.has(path)).map((host) => host.name);
  if (without.length > 0) return [`Disk ${path} is declared shared but cannot be opened at ${without.join(' and ')}: mount its storage there under the same path`];
  const [here, there] = [source.disks.get(path), destination.disks.get(path)];
  if (here === undefined || there === undefined || here === there) return [];
  return [
    `Disk ${path} is a file of its own at ${destination.name} (inode ${there}, and ${here} at ${source.name}), perhaps a copy: `
      + 'mount the same storage there under that path',
  ];
}

const modules: Readonly<Record<KernelFeature, { readonly module: string; readonly option: string; readonly cost: string }>> = {
  vxlan: { module: 'vxlan', option: 'CONFIG_VXLAN', cost: 'no tunnel can carry frames to the other host' },
  clsact: { module: 'sch_ingress', option: 'CONFIG_NET_SCH_INGRESS', cost: 'a tap has no place where frames can be caught' },
  u32: { module: 'cls_u32', option: 'CONFIG_NET_CLS_U32', cost: 'unicast and group frames cannot be told apart' },
  mirred: { module: 'act_mirred', option: 'CONFIG_NET_ACT_MIRRED', cost: 'frames cannot be redirected' },
};

function hostRefusals({ name, qemu, missingFeatures }: HostFacts): string[] {
  return [
    ...(qemu.pauseBeforeSwitchover
      ? []
      : [`QEMU ${version(qemu)} at ${name} has no pause-before-switchover: a stop that comes too early is not undone; upgrade to 8.2`]),
    // In the order of the table, whatever the order of the facts.
    ...Object.entries(modules)
      .filter(([feature]) => missingFeatures.some((missing) => missing === feature))
      .map(([feature, { module, option, cost }]) =>
        `The kernel of ${name} has no ${feature}: ${cost}, and all that arrives in the pause would be lost; `
          + `run "modprobe ${module}", or boot a kernel with ${option}`),
  ];
}

/** What QEMU itself takes beside the guest's memory: its heap, the page tables, the device models. */
const HEADROOM = mib(256);

function warnings(facts: MoveFacts): string[] {
  const { vm, source, destination, pathMtu } = facts;
  return [
    ...vm.nics.flatMap(({ mtu, vhost }, i) => [
      ...(mtu + overhead(facts) > pathMtu
        ? [
            `nic${i}: a packet of ${mtu} bytes is ${mtu + overhead(facts)} in the tunnel and the path between hosts carries ${pathMtu}, `
              + `so it is fragmented while it is redirected: raise the path's MTU to ${mtu + overhead(facts)}`,
          ]
        : []),
      ...(vhost ? [`nic${i} uses vhost, with which a move without loss is not proven`] : []),
    ]),
    ...(facts.ways ? wayWarnings(facts.ways, { source: source.name, destination: destination.name }) : []),
    ...[source, destination].flatMap(({ name, qemu }) => qemu.missing.map((words) => `QEMU ${version(qemu)} at ${name} lacks ${words}`)),
    ...(vm.memory + HEADROOM > destination.freeMemory
      ? [
          `${destination.name} has ${mebibytes(destination.freeMemory)} free for a guest of ${mebibytes(vm.memory)} and its QEMU: `
            + 'it may swap, which makes the pause longer',
        ]
      : []),
  ];
}

function notes(facts: MoveFacts): string[] {
  const { vm, outerFamily } = facts;
  return [
    `${mebibytes(vm.memory)} of memory are copied while ${vm.name} runs`,
    `Each NIC gets a tunnel over IPv${outerFamily}, ${overhead(facts)} bytes around each packet`,
    ...vm.disks.map(({ path }) => `Disk ${path} stays where it is`),
  ];
}

/** Bytes that the tunnel puts around an IP packet: Ethernet 14, VXLAN 8 (RFC 7348), UDP 8, IPv4 20 or IPv6 40. */
export const tunnelOverhead = (outerFamily: 4 | 6): number => 14 + 8 + 8 + (outerFamily === 4 ? 20 : 40);
const overhead = ({ outerFamily }: MoveFacts): number => tunnelOverhead(outerFamily);

const version = ({ version: { major, minor } }: QemuFacts): string => `${major}.${minor}`;

const mebibytes = (n: Bytes): string => `${Math.floor(n / mib(1))} MiB`;
