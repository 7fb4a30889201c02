/** Real QEMUs with a real guest: start, adoption, and the verbs of a migration, in a namespace of their own. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { bytesPerSecond, mib, ms, seconds } from '../../src/base/units.ts';
import type { Vm } from '../../src/model/vm.ts';
import { kernelNative } from '../../src/native/kernel.ts';
import type { Netns, Tap } from '../../src/native/native.ts';
import type { Incoming } from '../../src/vm/qemu-arguments.ts';
import { prepareIncoming, prepareOutgoing, type IncomingMigration, type OutgoingMigration } from '../../src/vm/migration.ts';
import { adoptQemu, startQemu, type Qemu } from '../../src/vm/qemu.ts';
import { MigrationFailed, QemuAlreadyRuns, QemuStartFailed } from '../../src/vm/vm-errors.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';

const guest = process.env['GODWIT_GUEST_DIR'] ?? join(import.meta.dirname, '../../.cache/lab/guest');
const signOfLife = 'GODWIT-TRIAL-UP';
const namespace = `gw${process.pid}-q`;
const directory = mkdtempSync(join(tmpdir(), 'godwit-qemu-'));
const native = kernelNative();
const fast = bytesPerSecond(1e9);

let netns: Netns;
const qemus = new Set<Qemu>();
const taps = new Set<Tap>();
let made = 0;

/** What a guest does once it has given its sign of life. Nothing at all; or it dirties 4 MiB, over and over. */
const work = { idle: '/bin/busybox sleep 10000', busy: 'while :; do /bin/busybox dd if=/dev/zero of=/x bs=64k count=64 2>/dev/null; done' };

function vm(guestDoes: string = work.idle): Vm {
  // A shell in place of /init: quick to boot, and independent of the services in the image.
  const script = `/bin/busybox mount -t devtmpfs dev /dev; echo ${signOfLife}; ${guestDoes}`;
  return {
    name: 'trial',
    memory: mib(256),
    cpus: 1,
    machine: 'q35',
    cpuModel: 'Nehalem',
    accelerator: 'tcg',
    nics: [
      {
        mac: MacAddress.parse('52:54:00:77:00:10'),
        attachment: { kind: 'bridge', bridge: 'none' },
        mtu: 1500,
        addresses: [],
        vhost: false,
      },
    ],
    disks: [],
    boot: {
      kernel: join(guest, 'vmlinuz'),
      initrd: join(guest, 'initrd.gz'),
      commandLine: `console=ttyS0 quiet rdinit=/bin/busybox -- sh -c "${script}"`,
    },
  };
}

async function start(machine: Vm, incoming: Incoming = false): Promise<Qemu> {
  const number = ++made;
  const tap = native.createTap(netns, { name: `tap${number}`, vnetHeader: true });
  taps.add(tap);
  const qemu = await startQemu(native, netns, machine, { runDirectory: join(directory, `${number}`), taps: [tap], incoming });
  qemus.add(qemu);
  return qemu;
}

async function booted(qemu: Qemu): Promise<Qemu> {
  const deadline = performance.now() + 60_000;
  while (!(existsSync(qemu.run.serialLog) && readFileSync(qemu.run.serialLog, 'utf8').includes(signOfLife))) {
    assert.ok(performance.now() < deadline, `the guest did not come up: ${qemu.log()}`);
    await pause(20);
  }
  return qemu;
}

/** A destination for `source`, both prepared and the copy begun. */
async function begin(source: Qemu, machine: Vm, hold: boolean): Promise<{ out: OutgoingMigration; incoming: IncomingMigration }> {
  const incoming = await prepareIncoming(await start(machine, hold ? 'paused' : 'running'), { hold });
  const uri = `unix:${join(directory, `${made}.migration`)}`;
  await incoming.listen(uri);
  const out = await prepareOutgoing(source, { maxBandwidth: fast, ...(hold ? { hold } : { hold: false, downtimeLimit: ms(300) }) });
  await out.migrate(uri);
  return { out, incoming };
}

async function state(qemu: Qemu): Promise<string> {
  return (await qemu.qmp.execute('query-status')).status;
}

before(() => {
  execFileSync('ip', ['netns', 'add', namespace]);
  netns = native.openNetns(namespace);
});

after(async () => {
  for (const qemu of qemus) {
    await qemu.kill();
    qemu.close();
  }
  for (const tap of taps) tap.close();
  netns.close();
  execFileSync('ip', ['netns', 'del', namespace]);
  rmSync(directory, { recursive: true });
});

test('a QEMU that cannot start says why, at once, and is gone', async () => {
  const began = performance.now();
  await assert.rejects(start({ ...vm(), cpuModel: 'Abacus' }), (error) => {
    assert.ok(error instanceof QemuStartFailed);
    assert.match(error.message, /ended at its start \(code 1\).*unable to find CPU model 'Abacus'/);
    return true;
  });
  assert.ok(performance.now() - began < 8000);
  assert.equal(await adoptQemu(native, join(directory, `${made}`)), undefined);
});

test('a QEMU outlives its starter and is adopted with its tap', async () => {
  const source = `
    import { startQemu } from '${import.meta.resolve('../../src/vm/qemu.ts')}';
    import { kernelNative } from '${import.meta.resolve('../../src/native/kernel.ts')}';
    const native = kernelNative();
    const netns = native.openNetns('${namespace}');
    const tap = native.createTap(netns, { name: 'orphan', vnetHeader: true });
    const qemu = await startQemu(native, netns, JSON.parse(process.env.VM), { runDirectory: '${directory}/orphan', taps: [tap] });
    console.log(qemu.pid);
    setInterval(() => undefined, 60_000);`;
  const starter = spawn(process.execPath, ['--input-type=module-typescript', '--eval', source], {
    env: { ...process.env, VM: JSON.stringify(vm()) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(starter, 'exit');
  const said = await Promise.race([once(starter.stdout, 'data'), ended.then(() => [''])]);
  starter.kill('SIGKILL');
  await ended;

  const qemu = await adoptQemu(native, join(directory, 'orphan'));
  assert.ok(qemu !== undefined);
  qemus.add(qemu);
  for (const tap of qemu.taps) taps.add(tap);
  assert.equal(qemu.pid, Number(said[0]));
  assert.deepEqual(qemu.taps.map((tap) => tap.name), ['orphan']);
  await booted(qemu);
  assert.equal(await state(qemu), 'running');
  assert.ok((qemu.taps[0]?.vnetHeaderSize() ?? 0) > 0);

  const again = startQemu(native, netns, vm(), { runDirectory: join(directory, 'orphan'), taps: [...qemu.taps] });
  await assert.rejects(again, QemuAlreadyRuns);
  await qemu.kill();
  await qemu.exited;
  assert.equal(await adoptQemu(native, join(directory, 'orphan')), undefined);
});

test('stop, cont, quit', async () => {
  const qemu = await start(vm());
  assert.ok(qemu.version.major >= 8);
  await qemu.stop();
  assert.equal(await state(qemu), 'paused');
  await qemu.cont();
  assert.equal(await state(qemu), 'running');
  await qemu.quit();
  await qemu.exited;
  // It holds nothing any more: with our own copy closed the tap is gone, and its name free (TUNSETIFF, IFF_TUN_EXCL).
  for (const tap of qemu.taps) tap.close();
  for (const { name } of qemu.taps) native.createTap(netns, { name, vnetHeader: true }).close();
});

for (const [kind, script] of Object.entries(work)) {
  test(`a held migration of a guest that is ${kind} does not switch by itself; after stop it completes, and arrives stopped`, () =>
    held(script));
}

async function held(script: string): Promise<void> {
  const machine = vm(script);
  const source = await booted(await start(machine));
  const { out, incoming } = await begin(source, machine, true);
  const destination = incoming.qemu;
  assert.deepEqual(out.abilities.missing, []);

  // Nothing says "it holds": this is the time for which it has to, after the first sync that found next to nothing dirty.
  let last = await out.sample();
  while (last.dirtySyncCount < 2 || last.remaining > mib(16)) last = await out.sample();
  const caughtUp = last;
  let [throughput, dirtyRate] = [0, 0];
  while (last.at - caughtUp.at < 2000) {
    last = await out.sample();
    throughput = Math.max(throughput, last.throughput);
    dirtyRate = Math.max(dirtyRate, last.dirtyRate);
  }
  assert.equal(last.status, 'active');
  assert.ok(last.dirtySyncCount > caughtUp.dirtySyncCount);
  assert.ok(last.transferred > mib(8) && last.transferred < mib(100_000), `transferred ${last.transferred}`);
  assert.ok(throughput > 1e6 && throughput < 1e11, `throughput ${throughput}`);
  if (script === work.busy) assert.ok(dirtyRate > 1e6 && dirtyRate < 1e11, `dirty rate ${dirtyRate}`);
  assert.equal(await state(source), 'running');

  await source.stop();
  await out.preSwitchover(seconds(10));
  await out.continueSwitchover();
  await out.completed(seconds(10));
  await incoming.completed(seconds(10));
  assert.equal(await state(source), 'postmigrate');
  assert.equal(await state(destination), 'paused');
  await destination.cont();
  assert.equal(await state(destination), 'running');
  await source.quit();

  // Back again with QEMU's own way: it switches by itself and the guest arrives running.
  const plain = await begin(destination, machine, false);
  await plain.out.completed(seconds(30));
  await plain.incoming.completed(seconds(10));
  assert.equal(await state(plain.incoming.qemu), 'running');
  await destination.quit();
  await plain.incoming.qemu.quit();
}

test('cancelled in pre-switchover, the source can run on, the destination is gone, and the next attempt succeeds', async () => {
  const machine = vm();
  const source = await booted(await start(machine));
  const first = await begin(source, machine, true);
  await source.stop();
  await first.out.preSwitchover(seconds(20));
  const lost = assert.rejects(first.incoming.completed(seconds(10)), (error) => error instanceof MigrationFailed && error.desc !== '');
  assert.equal(await first.out.cancel(), 'cancelled');
  assert.equal(await state(source), 'paused');
  await source.cont();
  assert.equal(await state(source), 'running');
  await lost;
  await first.incoming.qemu.exited;
  await assert.rejects(first.out.completed(seconds(5)), (error) => error instanceof MigrationFailed && error.status === 'cancelled');

  const second = await begin(source, machine, true);
  await source.stop();
  await second.out.preSwitchover(seconds(20));
  await second.out.continueSwitchover();
  await second.incoming.completed(seconds(10));
  assert.equal(await second.out.cancel(), 'completed');
  await source.quit();
});

test('a source that reaches nobody says so and its guest runs on', async () => {
  const source = await start(vm());
  const out = await prepareOutgoing(source, { maxBandwidth: fast, hold: true });
  assert.equal(await out.cancel(), 'none');
  await out.migrate(`unix:${directory}/nobody`).catch(() => undefined);
  await assert.rejects(out.completed(seconds(10)), (error) => {
    assert.ok(error instanceof MigrationFailed);
    assert.equal(error.status, 'failed');
    assert.match(error.desc, /nobody/);
    return true;
  });
  assert.equal(await state(source), 'running');
  await source.quit();
});
