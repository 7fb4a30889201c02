import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mib } from '../../../src/base/units.ts';
import type { Disk, Nic, Vm } from '../../../src/model/vm.ts';
import { qemuArguments, tapFdsOf, type Incoming } from '../../../src/vm/qemu-arguments.ts';
import { runDirectory } from '../../../src/vm/run-directory.ts';
import { VmUnsupported } from '../../../src/vm/vm-errors.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';

const nic = (last: number, more: Partial<Nic> = {}): Nic => ({
  mac: MacAddress.parse(`52:54:00:77:00:${last.toString(16).padStart(2, '0')}`),
  attachment: { kind: 'bridge', bridge: 'br0' },
  mtu: 1500,
  addresses: [],
  vhost: false,
  ...more,
});
const disk = (path: string, more: Partial<Disk> = {}): Disk => ({ path, format: 'qcow2', shared: true, ...more });
const vm = (more: Partial<Vm> = {}): Vm => ({
  name: 'web-1',
  memory: mib(512),
  cpus: 2,
  machine: 'q35',
  cpuModel: 'Nehalem',
  accelerator: 'tcg',
  nics: [],
  disks: [],
  ...more,
});
const run = runDirectory('/run/godwit/web-1');
const launch = (tapFds: readonly number[] = [], incoming: Incoming = false) => ({ run, tapFds, incoming });
/** The values of one option, in order. */
const values = (argv: readonly string[], option: string): string[] => argv.filter((_value, index) => argv[index - 1] === option);

test('a whole machine', () => {
  const boot = { kernel: '/k', initrd: '/i', commandLine: 'console=ttyS0, quiet' };
  const machine = vm({ nics: [nic(0x10, { mtu: 1400, vhost: true })], disks: [disk('/srv/a,b.qcow2')], boot });
  const argv = qemuArguments(machine, launch([3], 'running'));
  assert.deepEqual(
    argv.join('\n'),
    `-name
guest=web-1,debug-threads=on
-machine
q35
-accel
tcg
-cpu
Nehalem
-m
size=536870912B
-smp
2
-display
none
-nodefaults
-no-user-config
-qmp
unix:/run/godwit/web-1/qmp,server=on,wait=off
-pidfile
/run/godwit/web-1/qemu.pid
-chardev
socket,id=tty,path=/run/godwit/web-1/tty,server=on,wait=off,logfile=/run/godwit/web-1/serial.log,logappend=off
-serial
chardev:tty
-netdev
tap,id=nic0,fd=3,vhost=on
-device
virtio-net-pci,id=net0,netdev=nic0,addr=0x2,mac=52:54:00:77:00:10,romfile=,rx_queue_size=1024,host_mtu=1400
-blockdev
driver=file,node-name=disk0-file,filename=/srv/a,,b.qcow2,locking=on,cache.direct=on
-blockdev
driver=qcow2,node-name=disk0,file=disk0-file,cache.direct=on
-device
virtio-blk-pci,id=blk0,drive=disk0,addr=0x10
-kernel
/k
-initrd
/i
-append
console=ttyS0, quiet
-incoming
defer`,
  );
});

test('both ends of a move differ in nothing but -incoming, wherever their descriptors are', () => {
  const machine = vm({ nics: [nic(1), nic(2)], disks: [disk('/a'), disk('/b')] });
  const source = qemuArguments(machine, launch([3, 4]));
  const destination = qemuArguments(machine, launch([3, 4], 'running'));
  assert.deepEqual(destination, [...source, '-incoming', 'defer']);
  assert.deepEqual(qemuArguments(machine, launch([3, 4], 'paused')), [...destination, '-S']);
  const devices = values(qemuArguments(machine, launch([7, 9])), '-device');
  assert.deepEqual(devices, values(source, '-device'));
});

test('a device keeps its id and slot when others come behind it', () => {
  const few = values(qemuArguments(vm({ nics: [nic(1)], disks: [disk('/a')] }), launch([3])), '-device');
  const many = values(qemuArguments(vm({ nics: [nic(1), nic(2)], disks: [disk('/a'), disk('/b')] }), launch([3, 4])), '-device');
  for (const device of few) assert.ok(many.includes(device), device);
  const slots = many.map((device) => /addr=(\w+)/.exec(device)?.[1]);
  assert.equal(new Set(slots).size, 4);
});

test('a disk that is not shared may use the page cache', () => {
  const argv = qemuArguments(vm({ disks: [disk('/a', { shared: false, format: 'raw' })] }), launch());
  const nodes = ['driver=file,node-name=disk0-file,filename=/a,locking=on', 'driver=raw,node-name=disk0,file=disk0-file'];
  assert.deepEqual(values(argv, '-blockdev'), nodes);
});

test('the taps are found again on the command line', () => {
  const machine = vm({ name: 'tap', nics: [nic(1), nic(2, { vhost: true }), nic(3)] });
  assert.deepEqual(tapFdsOf(['qemu-system-x86_64', ...qemuArguments(machine, launch([3, 5, 4]))]), [3, 5, 4]);
  assert.deepEqual(tapFdsOf(qemuArguments(vm(), launch())), []);
});

test('what cannot be is refused with the reason', () => {
  const refused = (machine: Vm, fds: readonly number[], words: RegExp): void =>
    assert.throws(() => qemuArguments(machine, launch(fds)), (error) => error instanceof VmUnsupported && words.test(error.message));
  refused(vm({ nics: [nic(1)] }), [], /1 NICs and 0 taps/);
  const fifteen = Array.from({ length: 15 }, (_, index) => index);
  refused(vm({ nics: fifteen.map((n) => nic(n)) }), fifteen, /at most 14/);
  refused(vm({ disks: [...fifteen, 15].map((n) => disk(`/${n}`)) }), [], /at most 15/);
  const deep = { run: runDirectory(`/run/${'x'.repeat(99)}`), tapFds: [], incoming: false } as const;
  assert.throws(() => qemuArguments(vm(), deep), /shorter run directory/);
  assert.doesNotThrow(() => qemuArguments(vm(), { ...deep, run: runDirectory(`/run/${'x'.repeat(98)}`) }));
});
