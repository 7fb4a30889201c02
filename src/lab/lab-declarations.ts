/** The lab's networks and VMs as an administrator would declare them. */
import { stringify } from 'yaml';
import type { Vm } from '../model/vm.ts';
import type { Declaration } from '../api/api.ts';
import type { Network } from './topology.ts';

export interface LabPlacement {
  readonly host?: string;
  readonly running?: boolean;
}

export const networkDeclaration = (network: Network): Declaration => ({ kind: 'Network', name: network, spec: { bridge: `br-${network}`, mtu: 1500 } });

/** Of a VM that labVm made: its NICs are on the lab's bridges. */
export function vmDeclaration(vm: Vm, placement: LabPlacement = {}): Declaration {
  return {
    kind: 'Vm', name: vm.name,
    spec: {
      cpus: vm.cpus, memory: `${vm.memory / 2 ** 20}MiB`, machine: vm.machine, cpuModel: vm.cpuModel, accelerator: vm.accelerator,
      ...(vm.boot ? { boot: vm.boot } : {}),
      ...(vm.disks.length > 0 ? { disks: vm.disks } : {}),
      nics: vm.nics.map((nic) => ({
        network: nic.attachment.kind === 'bridge' ? nic.attachment.bridge.replace(/^br-/, '') : '', mac: nic.mac.toString(), addresses: nic.addresses.map(String),
      })),
      ...placement,
    },
  };
}

/** YAML, for `godwit apply -f`. */
export function labDeclarations(vms: readonly Vm[], placement: LabPlacement = {}): string {
  const networks = new Set(vms.flatMap((vm) => vm.nics.map(({ attachment }) => (attachment.kind === 'bridge' && attachment.bridge === 'br-b' ? 'b' : 'a'))));
  return [...[...networks].map(networkDeclaration), ...vms.map((vm) => vmDeclaration(vm, placement))].map((document) => stringify(document, { lineWidth: 0 })).join('---\n');
}
