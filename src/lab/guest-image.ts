/** The lab's guest: what tools/setup.sh lab has built, and a VM that runs it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { GodwitError } from '../base/error.ts';
import { mib } from '../base/units.ts';
import type { Disk, Vm } from '../model/vm.ts';
import { MacAddress } from '../wire/mac-address.ts';
import { type Network, labAddresses } from './topology.ts';
import type { Accelerator } from '../model/vm.ts';

const directory = process.env['GODWIT_GUEST_DIR'] ?? join(import.meta.dirname, '../../.cache/lab/guest');
export const PROBE = join(directory, 'godwit-probe');

export interface LabVmOptions {
  readonly name: string;
  readonly networks: readonly Network[];
  /** Last byte of its addresses and MACs, 1..99. */
  readonly number: number;
  readonly accelerator: Accelerator;
  readonly disks?: readonly Disk[];
}

/** Throws LAB_NO_GUEST when the set-up has not been run. */
export function labVm(options: LabVmOptions): Vm {
  const [kernel, initrd] = [join(directory, 'vmlinuz'), join(directory, 'initrd.gz')];
  if (!existsSync(kernel) || !existsSync(initrd)) throw new GodwitError('LAB_NO_GUEST', `There is no guest in ${directory}: run \`sh tools/setup.sh lab\` as root`);
  const nics = options.networks.map((network, i) => {
    const { v4, v6 } = labAddresses(network, options.number);
    return {
      mac: MacAddress.of(Uint8Array.of(0x52, 0x54, 0x00, 0x77, i, options.number)),
      attachment: { kind: 'bridge', bridge: `br-${network}` } as const,
      mtu: 1500, addresses: [v4, v6], vhost: false,
    };
  });
  const addresses = nics.map((nic, i) => `nic${i}=${nic.addresses[0]}/24,${nic.addresses[1]}/64`).join(' ');
  return {
    name: options.name, memory: mib(512), cpus: 1, machine: 'q35', cpuModel: options.accelerator === 'kvm' ? 'host' : 'Nehalem',
    accelerator: options.accelerator, nics, disks: options.disks ?? [],
    boot: { kernel, initrd, commandLine: `console=ttyS0 quiet ${addresses}` },
  };
}
