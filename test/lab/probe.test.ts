/** godwit-guest and godwit-probe against each other: what the network between them did is what they report, no more and no less. */
import assert from 'node:assert/strict';
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

const cache = join(import.meta.dirname, '../../.cache/lab');
const image = process.env['GODWIT_GUEST_DIR'] ?? join(cache, 'guest');
const prefix = `gw${process.pid}`;
const [guestSide, clientSide, bootSide] = [`${prefix}-guest`, `${prefix}-client`, `${prefix}-boot`];

const run = (command: string, ...words: string[]): string => execFileSync(command, words, { encoding: 'utf8' });
const ip = (...words: string[]): string => run('ip', ...words);
const nft = (netns: string, rules: string): void => void execFileSync('ip', ['netns', 'exec', netns, 'nft', '-f', '-'], { input: rules });

type Child = ChildProcessByStdio<Writable, Readable, Readable>;
const children = new Set<Child>();

function start(netns: string, program: string, ...words: string[]): Child {
  // `ip netns exec` replaces itself by the program: the process is the program's.
  const child = spawn('ip', ['netns', 'exec', netns, program, ...words], { stdio: ['pipe', 'pipe', 'pipe'] });
  children.add(child);
  child.once('close', () => children.delete(child));
  return child;
}

async function end(child: Child): Promise<void> {
  if (!children.has(child)) return;
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

/** Lines of a child's stdout; asking for one beyond its end fails with what it said on stderr. */
function lines(child: Child): () => Promise<string> {
  const iterator = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  return async () => {
    const { value, done } = await iterator.next();
    if (done && !child.stderr.readableEnded) await once(child.stderr, 'end');
    assert.ok(!done, `the program ended: ${complaint}`);
    return value;
  };
}

interface Direction {
  sent: number;
  received: number;
  lost: number;
  duplicated: number;
  reordered: number;
  largestGapMs: number;
  missing: [number, number, number?][];
}

interface Report {
  type: string;
  error?: string;
  toGuest: Direction;
  toClient: Direction & { gapStartMs: number; gapEndMs: number };
  sessions: { opened: number; alive: number; messages: number; largestStallMs: number; errors: string[] };
  bulk: { toGuestBytes: number; toClientBytes: number; largestStallMs: number; alive: boolean | null; errors: string[] };
  guest: { memoryErrors: number; memoryPages: number; diskErrors: number; diskWrites: number; socketDrops: number } | null;
  probe: { largestOwnLatenessMs: number; socketDrops: number };
}

class Probe {
  readonly #child: Child;
  readonly #next: () => Promise<string>;

  private constructor(netns: string, words: string[]) {
    this.#child = start(netns, join(image, 'godwit-probe'), ...words);
    this.#next = lines(this.#child);
  }

  /** Resolves when it says that everything flows. */
  static async start(netns: string, ...words: string[]): Promise<Probe> {
    const probe = new Probe(netns, words);
    assert.deepEqual(JSON.parse(await probe.#next()), { ready: true });
    return probe;
  }

  async report(): Promise<Report> {
    this.#child.stdin.write('report\n');
    const report: Report = JSON.parse(await this.#next());
    assert.equal(report.type, 'interim');
    return report;
  }

  async stop(): Promise<Report & { status: number | null }> {
    const closed = once(this.#child, 'close');
    this.#child.stdin.end('stop\n');
    const report: Report = JSON.parse(await this.#next());
    assert.equal(report.type, 'final');
    await closed;
    return { ...report, status: this.#child.exitCode };
  }
}

function assertWhole({ sent, received, lost, duplicated, reordered, missing }: Direction, least: number): void {
  assert.ok(sent >= least, `${sent} sent, of at least ${least}`);
  const whole = { received: sent, lost: 0, duplicated: 0, reordered: 0, missing: [] };
  assert.deepEqual({ received, lost, duplicated, reordered, missing }, whole);
}

/** A file that stands for a disk; on the cache's file system, for a tmpfs may not know O_DIRECT. */
function diskFile(): { path: string; remove: () => void } {
  const folder = mkdtempSync(join(cache, 'disk-'));
  const path = join(folder, 'disk');
  closeSync(openSync(path, 'w'));
  truncateSync(path, 64 * 4096);
  return { path, remove: () => rmSync(folder, { recursive: true }) };
}

after(async () => {
  await Promise.all([...children].map(end));
  const left = ip('netns', 'list').split('\n').map((line) => line.split(' ')[0] ?? '');
  for (const netns of left.filter((name) => name.startsWith(`${prefix}-`))) ip('netns', 'del', netns);
});

describe('the prober and the guest over a wire', { timeout: 60_000 }, () => {
  const disk = diskFile();
  let guest: Child;

  before(async () => {
    ip('netns', 'add', guestSide);
    ip('netns', 'add', clientSide);
    ip('link', 'add', 'wire', 'netns', guestSide, 'type', 'veth', 'peer', 'name', 'wire', 'netns', clientSide);
    for (const [netns, number] of [[guestSide, 10], [clientSide, 1]] as const) {
      ip('-n', netns, 'addr', 'add', `10.77.0.${number}/24`, 'dev', 'wire');
      ip('-n', netns, 'addr', 'add', `fd77::${number}/64`, 'dev', 'wire', 'nodad');
      ip('-n', netns, 'link', 'set', 'wire', 'up');
    }
    guest = start(guestSide, join(image, 'godwit-guest'), disk.path);
    assert.equal(await lines(guest)(), 'GODWIT-GUEST-UP');
  });

  after(async () => {
    await end(guest);
    disk.remove();
  });

  /** Runs `during` with rules in force at one side, and takes them away again. */
  async function withRules<T>(netns: string, chain: string, during: () => Promise<T>): Promise<T> {
    nft(netns, `table ip probe {\n chain it {\n ${chain}\n }\n}\n`);
    try {
      return await during();
    } finally {
      nft(netns, 'delete table ip probe');
    }
  }

  async function second(probe: Probe): Promise<Report & { status: number | null }> {
    await delay(1000);
    return probe.stop();
  }

  it('reports a clean wire as clean, with every kind of traffic and load', async () => {
    const probe = await Probe.start(clientSide, '--to', '10.77.0.10', '--size', '1472', '--bulk', '40', '--dirty', '8,40', '--disk', '50');
    const report = await second(probe);
    assertWhole(report.toGuest, 900);
    assertWhole(report.toClient, 900);
    assert.equal(report.status, 0);
    assert.equal(report.sessions.opened, 8);
    assert.equal(report.sessions.alive, 8);
    assert.ok(report.sessions.messages > 400, `${report.sessions.messages} messages`);
    assert.equal(report.bulk.alive, true);
    assert.deepEqual([...report.sessions.errors, ...report.bulk.errors], []);
    // 40 Mbit/s for a second is 5 MB; a busy machine may take its time, but not half of it.
    assert.ok(report.bulk.toGuestBytes > 2.5e6 && report.bulk.toClientBytes > 2.5e6, JSON.stringify(report.bulk));
    assert.ok(report.guest && report.guest.memoryPages > 2048, 'the writer has gone over its pages more than once');
    assert.ok(report.guest.diskWrites > 5);
    assert.deepEqual([report.guest.memoryErrors, report.guest.diskErrors, report.guest.socketDrops], [0, 0, 0]);
  });

  it('reaches the guest over IPv6 with full-size frames', async () => {
    const report = await second(await Probe.start(clientSide, '--to', 'fd77::10', '--size', '1452', '--sessions', '2'));
    assertWhole(report.toGuest, 900);
    assertWhole(report.toClient, 900);
    assert.equal(report.sessions.alive, 2);
    assert.equal(report.bulk.alive, null);
  });

  const everyTenth = 'numgen inc mod 10 == 9 drop';

  it('reports what is lost on the way to the guest, and nothing the other way', async () => {
    const report = await withRules(guestSide, `type filter hook input priority 0; udp dport 7000 ${everyTenth};`, async () =>
      second(await Probe.start(clientSide, '--to', '10.77.0.10')),
    );
    const { sent, received, lost, missing } = report.toGuest;
    assert.equal(lost, Math.floor(sent / 10));
    assert.equal(received + lost, sent);
    assert.deepEqual(missing.map(([first, last]) => [first, last]), Array.from({ length: 50 }, (_, i) => [10 * i + 9, 10 * i + 9]));
    const times = missing.map(([, , sentAtMs]) => sentAtMs ?? 0);
    assert.ok(times.every((at, i) => i === 0 || at > (times[i - 1] ?? 0)) && Math.abs(Date.now() - (times[0] ?? 0)) < 60_000, `${times}`);
    assertWhole(report.toClient, 900);
  });

  it('reports what is lost on the way to the client, and nothing the other way', async () => {
    const report = await withRules(clientSide, `type filter hook input priority 0; udp sport 7000 ${everyTenth};`, async () =>
      second(await Probe.start(clientSide, '--to', '10.77.0.10')),
    );
    const { sent, lost, missing } = report.toClient;
    assert.equal(lost, Math.floor(sent / 10));
    assert.deepEqual(missing.slice(0, 3), [[9, 9], [19, 19], [29, 29]]);
    assertWhole(report.toGuest, 900);
  });

  it('counts duplicates, and not as received', async () => {
    const twice = 'type filter hook output priority 0; udp sport 7000 dup to 10.77.0.1 device "wire";';
    const report = await withRules(guestSide, twice, async () =>
      second(await Probe.start(clientSide, '--to', '10.77.0.10', '--sessions', '0')),
    );
    assert.equal(report.toClient.duplicated, report.toClient.sent);
    assert.equal(report.toClient.lost, 0);
    assertWhole(report.toGuest, 900);
  });

  it('finds the gap of an outage, its ends, and the TCP connections alive after it', async () => {
    const probe = await Probe.start(clientSide, '--to', '10.77.0.10', '--bulk', '10');
    const cut = Date.now();
    await withRules(guestSide, 'type filter hook prerouting priority -300; drop;', () => delay(700));
    const healed = Date.now();
    // The guest's own stream went on, so the client saw no gap; what the client sent did not arrive.
    const oneWay = await probe.report();
    assert.ok(oneWay.toGuest.largestGapMs >= 690 && oneWay.toGuest.largestGapMs < healed - cut + 100, `${oneWay.toGuest.largestGapMs} ms`);
    assert.ok(oneWay.toGuest.lost >= 600, `${oneWay.toGuest.lost} lost`);
    assert.ok(oneWay.toClient.largestGapMs < 300, `${oneWay.toClient.largestGapMs} ms`);

    const cutBack = Date.now();
    await withRules(clientSide, 'type filter hook prerouting priority -300; drop;', () => delay(700));
    const healedBack = Date.now();
    const report = await probe.stop();
    const { largestGapMs, gapStartMs, gapEndMs } = report.toClient;
    assert.ok(Math.abs(gapEndMs - gapStartMs - largestGapMs) < 0.01);
    assert.ok(largestGapMs >= 690, `${largestGapMs} ms`);
    assert.ok(gapStartMs > cutBack - 50 && gapEndMs < healedBack + 100, `${gapStartMs} to ${gapEndMs}, cut ${cutBack} to ${healedBack}`);
    assert.ok(report.sessions.largestStallMs >= 600, `${report.sessions.largestStallMs} ms`);
    assert.equal(report.sessions.alive, 8);
    assert.equal(report.bulk.alive, true, JSON.stringify(report.bulk));
  });

  it('starts a new window of gaps with each interim report', async () => {
    const probe = await Probe.start(clientSide, '--to', '10.77.0.10', '--sessions', '0');
    await withRules(clientSide, 'type filter hook prerouting priority -300; udp sport 7000 drop;', () => delay(500));
    const first = await probe.report();
    assert.ok(first.toClient.largestGapMs >= 490, `${first.toClient.largestGapMs} ms`);
    const secondWindow = await probe.report();
    assert.ok(secondWindow.toClient.largestGapMs < 250, `${secondWindow.toClient.largestGapMs} ms`);
    const whole = await probe.stop();
    assert.equal(whole.toClient.largestGapMs, first.toClient.largestGapMs);
  });

  it('counts lost, duplicated and reordered numbers, each as what it is', async () => {
    // Numbers 0..9 in this order: 4 and 7..8 never come, 2 and 3 come late, 5 comes three times.
    const script = `
      import { createConnection } from 'node:net';
      import { createSocket } from 'node:dgram';
      import { createInterface } from 'node:readline';
      const control = createConnection(7001, '10.77.0.10');
      const answers = createInterface({ input: control })[Symbol.asyncIterator]();
      const ask = async (line) => (control.write(line + '\\n'), JSON.parse((await answers.next()).value));
      const { stream } = await ask('open');
      const socket = createSocket('udp4');
      for (const sequence of [0, 1, 5, 5, 2, 3, 6, 5, 9]) {
        const datagram = Buffer.alloc(24);
        datagram.writeUInt32BE(0x67647774, 0);
        datagram.writeUInt32BE(stream, 4);
        datagram.writeBigUInt64BE(BigInt(sequence), 8);
        await new Promise((sent) => socket.send(datagram, 7000, '10.77.0.10', sent));
      }
      socket.close();
      console.log(JSON.stringify(await ask('report 10 total')));
      control.destroy();`;
    const next = lines(start(clientSide, process.execPath, '--input-type=module', '-e', script));
    const { received, duplicated, reordered, missing }: Direction = JSON.parse(await next());
    assert.deepEqual({ received, duplicated, reordered, missing }, { received: 7, duplicated: 2, reordered: 2, missing: [[4, 4], [7, 8]] });
  });

  it('sees memory and disk that changed under its hands', async () => {
    const probe = await Probe.start(clientSide, '--to', '10.77.0.10', '--sessions', '0', '--dirty', '16,16', '--disk', '100');
    // The anonymous mapping of just that size: "7f0a00000000-7f0a01000000 rw-p 00000000 00:00 0".
    const mappings = readFileSync(`/proc/${guest.pid}/maps`, 'utf8').matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw-p 0+ 00:00 0\s*$/gm);
    const ranges = Array.from(mappings, ([, from, to]) => ({ from: Number(`0x${from}`), to: Number(`0x${to}`) }));
    const at = ranges.find(({ from, to }) => to - from === 16 << 20)?.from;
    assert.ok(at, 'the 16 MiB of the memory writer');
    const memory = openSync(`/proc/${guest.pid}/mem`, 'r+');
    // One page in the middle, and every block of the disk.
    writeSync(memory, Buffer.alloc(4096), 0, 4096, at + (8 << 20));
    closeSync(memory);
    for (let i = 0; i < 3; i++) {
      writeFileSync(disk.path, Buffer.alloc(64 * 4096), { flag: 'r+', flush: true });
      await delay(200);
    }
    const report = await probe.stop();
    assert.equal(report.guest?.memoryErrors, 1);
    assert.ok(report.guest.diskErrors > 0);
  });

  it('refuses what it cannot do, with a reason', async () => {
    const child = start(clientSide, join(image, 'godwit-probe'), '--to', 'nobody');
    const next = lines(child);
    const closed = once(child, 'close');
    await assert.rejects(next(), /--to wants an IPv4 or IPv6 address/);
    await closed;
    assert.equal(child.exitCode, 2);
  });

  it('says so when the guest is gone, and what it saw itself', async () => {
    const probe = await Probe.start(clientSide, '--to', '10.77.0.10');
    await end(guest);
    const report = await probe.stop();
    assert.match(report.error ?? '', /closed|reset/i);
    assert.equal(report.status, 1);
    assert.equal(report.guest, null);
    assert.equal(report.toGuest.lost, null);
    assert.ok(report.toClient.received > 0);
    assert.equal(report.sessions.alive, 0);
  });
});

describe('the guest image', { timeout: 120_000 }, () => {
  it('boots, configures its NIC for both families and answers; its disk holds', async () => {
    ip('netns', 'add', bootSide);
    ip('-n', bootSide, 'tuntap', 'add', 'tap0', 'mode', 'tap', 'vnet_hdr');
    ip('-n', bootSide, 'addr', 'add', '10.77.1.1/24', 'dev', 'tap0');
    ip('-n', bootSide, 'addr', 'add', 'fd77:1::1/64', 'dev', 'tap0', 'nodad');
    ip('-n', bootSide, 'link', 'set', 'tap0', 'mtu', '1400', 'up');
    const disk = diskFile();
    const kernelArguments = `${readFileSync(join(image, 'cmdline'), 'utf8').trim()} nic0=10.77.1.10/24,fd77:1::10/64 mtu=1400`;
    const qemu = start(bootSide, 'qemu-system-x86_64', '-M', 'q35', '-accel', 'tcg', '-cpu', 'Nehalem', '-m', '512',
      '-nodefaults', '-display', 'none', '-no-reboot', '-serial', 'stdio',
      '-kernel', join(image, 'vmlinuz'), '-initrd', join(image, 'initrd.gz'), '-append', kernelArguments,
      '-netdev', 'tap,id=n0,ifname=tap0,script=no,downscript=no', '-device', 'virtio-net-pci,netdev=n0,romfile=',
      '-drive', `file=${disk.path},format=raw,if=virtio`);
    try {
      const next = lines(qemu);
      let line = '';
      // The firmware's own lines come first; a guest that cannot start says why and ends QEMU, which ends this loop.
      while (!line.includes('GODWIT-GUEST-UP')) line = await next();
      for (const [address, size] of [['10.77.1.10', '1372'], ['fd77:1::10', '1352']] as const) {
        const load = ['--pps', '200', '--sessions', '2', '--dirty', '8,8', '--disk', '20'];
        const probe = await Probe.start(bootSide, '--to', address, '--size', size, ...load);
        const report = await probe.stop();
        assertWhole(report.toGuest, 1);
        assertWhole(report.toClient, 1);
        assert.equal(report.sessions.alive, 2);
        assert.ok(report.guest && report.guest.memoryPages > 0 && report.guest.diskWrites > 0);
        assert.deepEqual([report.guest.memoryErrors, report.guest.diskErrors], [0, 0]);
      }
    } finally {
      await end(qemu);
      disk.remove();
    }
  });
});
