/**
 * The command line of a VM's QEMU (qemu(1)).
 *
 * Source and destination of a move are started from the same Vm and must come out with the same guest-visible hardware:
 * every device has an id and a PCI slot derived from its place in the Vm alone, never from what else is there.
 */
import type { Disk, Nic, Vm } from '../model/vm.ts';
import type { RunDirectory } from './run-directory.ts';
import { VmUnsupported } from './vm-errors.ts';

/**
 * Boot, or wait for `migrate-incoming`. `paused`: whatever arrives stands still until `cont`, even a guest that QEMU stopped by
 * itself at the source. `running`: it goes on as QEMU would have it.
 */
export type Incoming = false | 'paused' | 'running';

export interface QemuLaunch {
  readonly run: RunDirectory;
  /** Descriptors in QEMU of the NICs' taps, in the order of the Vm's NICs. */
  readonly tapFds: readonly number[];
  readonly incoming: Incoming;
}

/** Slots 0, 1 and 31 belong to the machine (q35: host bridge, VGA, LPC; pc: host bridge, PIIX, VGA). */
const nicSlots = { first: 2, count: 14 };
const diskSlots = { first: 16, count: 15 };

/** Longest path of a unix socket, sun_path of unix(7) less the final NUL. */
const longestSocketPath = 107;

/** The arguments, without the program. Throws VmUnsupported. */
export function qemuArguments(vm: Vm, launch: QemuLaunch): string[] {
  const { run, tapFds, incoming } = launch;
  const refuse = (what: string): never => {
    throw new VmUnsupported(vm.name, what);
  };
  if (tapFds.length !== vm.nics.length) refuse(`${vm.nics.length} NICs and ${tapFds.length} taps; give one tap per NIC`);
  if (vm.nics.length > nicSlots.count) refuse(`${vm.nics.length} NICs; at most ${nicSlots.count} are possible`);
  if (vm.disks.length > diskSlots.count) refuse(`${vm.disks.length} disks; at most ${diskSlots.count} are possible`);
  if (Buffer.byteLength(run.qmpSocket) > longestSocketPath) {
    refuse(`${run.qmpSocket} is longer than a unix socket's path may be (${longestSocketPath} bytes); use a shorter run directory`);
  }
  return [
    ['-name', `guest=${vm.name},debug-threads=on`],
    ['-machine', vm.machine, '-accel', vm.accelerator, '-cpu', vm.cpuModel],
    ['-m', `size=${vm.memory}B`, '-smp', `${vm.cpus}`],
    ['-display', 'none', '-nodefaults', '-no-user-config'],
    ['-qmp', `unix:${escape(run.qmpSocket)},server=on,wait=off`, '-pidfile', run.pidFile],
    // The log is written whether anybody is connected or not. The guest sees the same port as with a file.
    [
      '-chardev', `socket,id=tty,path=${escape(run.ttySocket)},server=on,wait=off,logfile=${escape(run.serialLog)},logappend=off`,
      '-serial', 'chardev:tty',
    ],
    vm.nics.flatMap((nic, index) => nicArguments(nic, index, tapFds[index])),
    vm.disks.flatMap(diskArguments),
    vm.boot === undefined ? [] : ['-kernel', vm.boot.kernel, '-initrd', vm.boot.initrd, '-append', vm.boot.commandLine],
    incoming ? ['-incoming', 'defer'] : [],
    incoming === 'paused' ? ['-S'] : [],
  ].flat();
}

/** Descriptors of the taps on a command line made by `qemuArguments`, in the order of the NICs. */
export function tapFdsOf(argv: readonly string[]): number[] {
  return argv.flatMap((argument, index) => {
    const fd = argv[index - 1] === '-netdev' ? /^tap,id=nic\d+,fd=(\d+)/.exec(argument)?.[1] : undefined;
    return fd === undefined ? [] : [Number(fd)];
  });
}

function nicArguments(nic: Nic, index: number, fd: number | undefined): string[] {
  // An empty romfile: the PXE ROM is a part of the guest's memory that both ends' packages would have to agree on.
  // The large receive queue takes what the tunnel brings at once after a move.
  return [
    '-netdev',
    `tap,id=nic${index},fd=${fd}${nic.vhost ? ',vhost=on' : ''}`,
    '-device',
    `virtio-net-pci,id=net${index},netdev=nic${index},addr=${slot(nicSlots.first + index)},mac=${nic.mac.toString()}` +
      `,romfile=,rx_queue_size=1024,host_mtu=${nic.mtu}`,
  ];
}

function diskArguments(disk: Disk, index: number): string[] {
  // Two hosts' page caches know nothing of each other: what one wrote the other must read from the storage.
  const cache = disk.shared ? ',cache.direct=on' : '';
  return [
    '-blockdev',
    `driver=file,node-name=disk${index}-file,filename=${escape(disk.path)},locking=on${cache}`,
    '-blockdev',
    `driver=${disk.format},node-name=disk${index},file=disk${index}-file${cache}`,
    '-device',
    `virtio-blk-pci,id=blk${index},drive=disk${index},addr=${slot(diskSlots.first + index)}`,
  ];
}

const slot = (number: number): string => `0x${number.toString(16)}`;

/** In QEMU's option lists a comma inside a value is written twice. */
const escape = (value: string): string => value.replaceAll(',', ',,');
