/** The lab's guest: what tools/setup.sh lab has built, and a VM that runs it. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GodwitError } from '../base/error.ts';
import { mib, seconds } from '../base/units.ts';
import type { Accelerator, Disk, Vm } from '../model/vm.ts';
import { probeAccelerator } from '../vm/accelerator.ts';
import { MacAddress } from '../wire/mac-address.ts';
import { type Network, labAddresses } from './topology.ts';

const directory = process.env['GODWIT_GUEST_DIR'] ?? join(import.meta.dirname, '../../.cache/lab/guest');
export const PROBE = join(directory, 'godwit-probe');
export const FLOW = join(directory, 'godwit-flow');
export const EMULATE = join(directory, 'godwit-emulate');

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
    boot: { kernel, initrd, commandLine: `${readFileSync(join(directory, 'cmdline'), 'utf8').trim()} ${addresses}` },
  };
}

/** KVM where a guest really boots on it, TCG elsewhere. Finding out takes seconds; the answer holds until the machine boots again. */
export async function labAccelerator(): Promise<Accelerator> {
  const file = join(directory, 'accelerator.json');
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  if (existsSync(file)) {
    const known: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof known === 'object' && known !== null && 'boot' in known && 'accelerator' in known && known.boot === boot) {
      return known.accelerator === 'kvm' ? 'kvm' : 'tcg';
    }
  }
  const { accelerator } = await probeAccelerator({
    kernel: join(directory, 'vmlinuz'), initrd: join(directory, 'initrd.gz'), signOfLife: 'GODWIT-GUEST-UP', timeout: seconds(5),
  });
  writeFileSync(file, JSON.stringify({ boot, accelerator }));
  return accelerator;
}

/** A qcow2 image of 64 MiB that all hosts of a lab see; removed after `use`. */
export async function withSharedDisk<T>(use: (disk: Disk) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-disk-'));
  try {
    const path = join(folder, 'disk.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '64M']);
    return await use({ path, format: 'qcow2', shared: true });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
