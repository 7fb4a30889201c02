/** A virtual machine as declared, and how it is. `vm.ts` has what the agent runs: the same with its networks looked up. */
import { Type, type Static } from 'typebox';
import { GodwitError } from '../base/error.ts';
import { type IpAddress, parseIpAddress } from '../wire/ip-address.ts';
import { MacAddress } from '../wire/mac-address.ts';
import { type NetworkKind, NetworkSpecError, type NetworkSpec, contains, kindOfNetwork } from './network.ts';
import { Size, parseSize } from './quantity.ts';
import { Name, closed, declaration, type Resource } from './resource.ts';
import type { Segment, Vm } from './vm.ts';

const AbsolutePath = Type.String({ pattern: '^/[^\\0]*$', maxLength: 4096, description: 'an absolute path' });

export const NicSpec = Type.Object(
  {
    network: Name,
    mac: Type.String({ pattern: '^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$', description: 'a unicast MAC address' }),
    addresses: Type.Optional(Type.Array(Type.String(), { maxItems: 32, description: 'IP addresses the guest answers to; announced after a move' })),
    router: Type.Optional(Type.Boolean({ description: 'the guest forwards IPv6' })),
    vhost: Type.Optional(Type.Boolean({ default: false })),
    guard: Type.Optional(Type.Boolean({ description: 'frames with another MAC or IP address than those named here are dropped at the tap; default: what its network says' })),
  },
  closed,
);
export const DiskSpec = Type.Object(
  {
    path: AbsolutePath,
    format: Type.Union([Type.Literal('qcow2'), Type.Literal('raw')]),
    shared: Type.Optional(Type.Boolean({ default: true, description: 'all hosts see it under this path; only such a VM can be moved' })),
  },
  closed,
);
export const VmSpec = Type.Object(
  {
    cpus: Type.Integer({ minimum: 1, maximum: 512 }),
    memory: Size,
    machine: Type.Optional(Type.String({ default: 'q35', description: 'a QEMU machine type' })),
    cpuModel: Type.Optional(Type.String({ default: 'host', description: 'a QEMU CPU model; a named one where hosts differ' })),
    accelerator: Type.Optional(Type.Union([Type.Literal('kvm'), Type.Literal('tcg')], { default: 'kvm' })),
    boot: Type.Optional(Type.Object({ kernel: AbsolutePath, initrd: AbsolutePath, commandLine: Type.Optional(Type.String({ maxLength: 2000 })) }, closed)),
    disks: Type.Optional(Type.Array(DiskSpec, { maxItems: 15 })),
    nics: Type.Optional(Type.Array(NicSpec, { maxItems: 14 })),
    host: Type.Optional({ ...Name, description: 'where to start it; without, where there is most room. Moving it does not change this' }),
    running: Type.Optional(Type.Boolean({ default: true })),
  },
  closed,
);
export type VmSpec = Static<typeof VmSpec>;
export const VmDeclaration = declaration('Vm', VmSpec);

/**
 * `failed`: its QEMU ended or did not start; nothing is started again by itself. `in-doubt`: paused in a move whose two hosts cannot
 * speak with each other. `unknown`: its host is silent.
 */
export type VmState = 'stopped' | 'starting' | 'running' | 'paused' | 'moving' | 'in-doubt' | 'failed' | 'unknown';

/**
 * Where a VM may run. `epoch` rises with every change of host, `start` with every order to start it: an agent starts a VM at most
 * once per (epoch, start), and never for an epoch older than the last it gave away.
 */
export interface Placement {
  readonly host: string;
  readonly epoch: number;
  readonly start: number;
}

export interface VmStatus {
  readonly state: VmState;
  readonly reason?: string;
  /** ms since the epoch. */
  readonly since: number;
  readonly placement?: Placement;
  /** The migration that has it in hand. */
  readonly migration?: string;
  /** Of its NICs, as its host has seen them: not stored, and absent until something was. */
  readonly nics?: readonly NicSeen[];
}

export interface NicSeen {
  readonly nic: number;
  /** Addresses that the guest was seen to use. */
  readonly seen: readonly string[];
  /** With a source guard: frames that it dropped, by what was wrong in them. */
  readonly dropped?: Readonly<Record<string, number>>;
}
export type VmResource = Resource<'Vm', VmSpec, VmStatus>;

/** A declaration that is well formed and yet means nothing: an address that is none, a network that nobody declared. */
export class VmSpecError extends GodwitError {
  /** Where: `/spec/nics/0/network`. */
  readonly path: string;

  constructor(path: string, message: string) {
    super('MODEL_VM_SPEC', message);
    this.path = path;
  }
}

/** What QEMU is started from. Throws VmSpecError for the first thing that does not fit. */
export function resolveVm(name: string, spec: VmSpec, networks: ReadonlyMap<string, NetworkSpec>): Vm {
  const nics = (spec.nics ?? []).map((nic, i) => {
    const network = networks.get(nic.network);
    if (!network) throw new VmSpecError(`/spec/nics/${i}/network`, `There is no network ${nic.network}: declare it, or name one of ${[...networks.keys()].join(', ') || 'those you declare'}`);
    const addresses = (nic.addresses ?? []).map((text, n) => {
      try {
        return parseIpAddress(text);
      } catch (cause) {
        throw new VmSpecError(`/spec/nics/${i}/addresses/${n}`, `${JSON.stringify(text)} is no IP address${cause instanceof Error ? `: ${cause.message}` : ''}`);
      }
    });
    const segment = segmentOf(nic.network, network, addresses, i);
    const guard = nic.guard ?? network.guard ?? false;
    if (guard && (nic.addresses ?? []).length === 0) throw new VmSpecError(`/spec/nics/${i}/addresses`, `A guarded NIC can send from its own addresses alone, and this one has none: name them, or say guard: false`);
    return {
      mac: MacAddress.parse(nic.mac),
      attachment: { kind: 'bridge', bridge: network.bridge, ...(segment ? { segment } : {}) } as const,
      mtu: network.mtu ?? 1500,
      addresses,
      ...(network.gateway === undefined ? {} : { gateway: gatewayOf(nic.network, network.gateway, i) }),
      ...(nic.router === undefined ? {} : { router: nic.router }),
      vhost: nic.vhost ?? false,
      ...(guard ? { guard } : {}),
    };
  });
  return {
    name, memory: parseSize(spec.memory), cpus: spec.cpus,
    machine: spec.machine ?? 'q35', cpuModel: spec.cpuModel ?? 'host', accelerator: spec.accelerator ?? 'kvm',
    nics, disks: (spec.disks ?? []).map((d) => ({ path: d.path, format: d.format, shared: d.shared ?? true })),
    ...(spec.boot ? { boot: { kernel: spec.boot.kernel, initrd: spec.boot.initrd, commandLine: spec.boot.commandLine ?? '' } } : {}),
  };
}

/** Undefined of a bridge that is the administrator's. */
function segmentOf(name: string, network: NetworkSpec, addresses: readonly IpAddress[], nic: number): Segment | undefined {
  let kind: NetworkKind;
  try {
    kind = kindOfNetwork(name, network);
  } catch (cause) {
    if (!(cause instanceof NetworkSpecError)) throw cause;
    throw new VmSpecError(`/spec/nics/${nic}/network`, `Network ${name} cannot be used as it is declared: ${cause.message}`);
  }
  if (kind.kind === 'bridge') return undefined;
  if (kind.kind === 'vxlan') return { kind: 'vxlan', vni: kind.vni };
  const { gateways } = kind;
  if (addresses.length === 0) throw new VmSpecError(`/spec/nics/${nic}`, `Network ${name} is routed, and a NIC without addresses has no route: add addresses: those that its guest uses`);
  addresses.forEach((address, n) => {
    const path = `/spec/nics/${nic}/addresses/${n}`;
    if (gateways.some((gateway) => gateway.address.equals(address))) throw new VmSpecError(path, `${address} is the gateway of network ${name}: give the VM another`);
    if (gateways.some((gateway) => contains(gateway, address))) return;
    const prefixes = gateways.map((gateway) => `${gateway.address}/${gateway.length}`).join(', ');
    throw new VmSpecError(path, `${address} is in no subnet of network ${name}, which has the gateways ${prefixes}: choose one of theirs, or add a gateway to the network`);
  });
  return { kind: 'routed', gateway: kind.mac };
}

function gatewayOf(network: string, text: string, nic: number): IpAddress {
  try {
    return parseIpAddress(text);
  } catch {
    throw new VmSpecError(`/spec/nics/${nic}/network`, `Network ${network} has gateway ${JSON.stringify(text)}, which is no IP address: declare it anew`);
  }
}
