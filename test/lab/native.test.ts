import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { describe, it } from 'node:test';
import { kernelNative } from '../../src/native/kernel.ts';
import { addressText } from '../../src/native/udp.ts';
import { nativeContract } from '../contract/native.ts';
import type { NativeFixture } from '../contract/native.ts';

function ip(...words: string[]): string {
  return execFileSync('ip', words, { encoding: 'utf8' });
}

interface LinkFacts {
  readonly ifindex: number;
  readonly address: string;
}

function linkFacts(netns: string, link: string): LinkFacts {
  // iproute2 prints an array of one object with at least these two members.
  const [facts] = JSON.parse(ip('-n', netns, '-json', 'link', 'show', 'dev', link)) as LinkFacts[];
  assert.ok(facts !== undefined);
  return facts;
}

let fixtures = 0;

function kernelFixture(): NativeFixture {
  const prefix = `gw${process.pid}-${fixtures++}`;
  const west = `${prefix}-west`;
  const east = `${prefix}-east`;
  const removals: (() => Promise<void>)[] = [];
  try {
    for (const netns of [west, east]) {
      ip('netns', 'add', netns);
      removals.push(async () => void ip('netns', 'del', netns));
      // Nobody else sends there: no neighbour discovery by the kernel.
      const quiet = ['net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1'];
      ip('netns', 'exec', netns, 'sysctl', '-qw', ...quiet);
    }
    ip('link', 'add', 'west', 'netns', west, 'type', 'veth', 'peer', 'name', 'east', 'netns', east);
    ip('-n', west, 'link', 'set', 'west', 'up');
    ip('-n', east, 'link', 'set', 'east', 'up');
  } catch (error) {
    for (const removal of removals) removal().catch(() => {}); // they run at once; the error to report is the first
    throw error;
  }

  return {
    native: kernelNative(),
    west,
    east,
    ifindex: (netns, link) => linkFacts(netns, link).ifindex,
    mac: (netns, link) => Uint8Array.from(linkFacts(netns, link).address.split(':'), (byte) => Number.parseInt(byte, 16)),
    setUp: (netns, link, up) => void ip('-n', netns, 'link', 'set', 'dev', link, up ? 'up' : 'down'),
    hasLink: (netns, link) => ip('-n', netns, '-brief', 'link').split('\n').some((line) => line.split(/[ @]/)[0] === link),
    deleteLink: (netns, link) => void ip('-n', netns, 'link', 'del', 'dev', link),
    async holdTap(tap) {
      // Ends with its standard input, hence with this process at the latest.
      const child = spawn('cat', [], { stdio: ['pipe', 'ignore', 'ignore', tap.fd] });
      const ended = once(child, 'exit');
      const release = async (): Promise<void> => {
        child.stdin?.end();
        await ended;
      };
      removals.push(release);
      assert.ok(child.pid !== undefined);
      return { pid: child.pid, fd: 3, release };
    },
    // It passes by itself.
    passTime: async () => undefined,
    // /proc/net/igmp lists groups as hexadecimal numbers in host order, below the link's line.
    ipGroups: (netns, link) => {
      const lines = execFileSync('ip', ['netns', 'exec', netns, 'cat', '/proc/net/igmp'], { encoding: 'utf8' }).split('\n');
      const start = lines.findIndex((line) => line.split(/\s+/)[1] === link);
      const rest = lines.slice(start + 1);
      const end = rest.findIndex((line) => /^\d/.test(line));
      return rest.slice(0, end < 0 ? undefined : end).flatMap((line) => /^\t+([0-9A-F]{8})\s/.exec(line)?.[1] ?? [])
        .map((hex) => [...Buffer.from(hex, 'hex')].toReversed().join('.')).sort();
    },
    addAddress(netns, link, address, prefixLength) {
      if (address.length === 16) ip('netns', 'exec', netns, 'sysctl', '-qw', `net.ipv6.conf.${link}.disable_ipv6=0`);
      ip('-n', netns, 'addr', 'add', `${addressText(address)}/${prefixLength}`, 'dev', link, ...(address.length === 16 ? ['nodad'] : []));
    },
    async remove() {
      for (const removal of removals.toReversed()) await removal();
    },
  };
}

nativeContract('kernel', kernelFixture);

describe('kernelNative', () => {
  async function withFixture(run: (fixture: NativeFixture) => void | Promise<void>): Promise<void> {
    const fixture = kernelFixture();
    try {
      await run(fixture);
    } finally {
      await fixture.remove();
    }
  }

  it('moves the thread there and back', () =>
    withFixture(({ native, west }) => {
      const where = (): string => readlinkSync('/proc/thread-self/ns/net');
      const home = where();
      const netns = native.openNetns(west);
      const there = native.inNetns(netns, () => {
        assert.equal(ip('netns', 'identify', `${process.pid}`).trim(), west); // what it spawns, too
        return where();
      });
      assert.notEqual(there, home);
      assert.throws(() => native.inNetns(netns, () => assert.fail('on purpose')), /on purpose/);
      assert.equal(where(), home);
      netns.close();
    }));

  it('does not attach to a tap that outlives its descriptors', () =>
    withFixture(({ native, west }) => {
      ip('-n', west, 'tuntap', 'add', 'dev', 'tap0', 'mode', 'tap');
      const netns = native.openNetns(west);
      assert.throws(() => native.createTap(netns, { name: 'tap0' }), { errnoName: 'EBUSY' });
      netns.close();
    }));

  it('stamps received frames with the time of day', () =>
    withFixture((fixture) => {
      const netns = fixture.native.openNetns(fixture.west);
      const tap = fixture.native.createTap(netns, { name: 'tap0' });
      fixture.setUp(fixture.west, 'tap0', true);
      const socket = fixture.native.packetSocket(netns, { ifindex: fixture.ifindex(fixture.west, 'tap0'), protocol: 3 });
      const day = Date.now();
      const stamps: number[] = [];
      for (let i = 0; i < 20; i++) {
        const before = fixture.native.now();
        tap.write(new Uint8Array(60).fill(255));
        const timestamp = socket.receive()?.timestamp ?? assert.fail('nothing came');
        assert.ok(before <= timestamp && timestamp <= fixture.native.now(), `${before} <= ${timestamp}`);
        stamps.push(timestamp);
      }
      // Twenty system calls take far less than 20 ms: the stamps differ in their fractions alone.
      assert.equal(new Set(stamps).size, 20);
      // Date.now() is whole milliseconds, rounded down.
      assert.ok((stamps[0] ?? 0) >= day && (stamps[0] ?? 0) < Date.now() + 1);
      for (const opened of [socket, tap, netns]) opened.close();
    }));

  it('hears link events of the groups it joined, and of an overrun, after which it hears on', { timeout: 30_000 }, () =>
    withFixture(async (fixture) => {
      const netns = fixture.native.openNetns(fixture.west);
      const RTMGRP_LINK = 1;
      const socket = fixture.native.netlinkSocket(netns, { protocol: 0, groups: RTMGRP_LINK, receiveBuffer: 8192 });
      const next = (): Promise<Uint8Array | undefined> =>
        new Promise((resolve, reject) => {
          socket.onReadable(() => {
            socket.onReadable(undefined);
            try {
              resolve(socket.receive());
            } catch (error) {
              reject(error);
            }
          });
        });
      const heard = next();
      fixture.setUp(fixture.west, 'west', false);
      const message = await heard;
      assert.ok(message !== undefined);
      assert.equal(new DataView(message.buffer).getUint16(4, true), 16); // RTM_NEWLINK

      for (let i = 0; i < 8; i++) for (const up of [true, false]) fixture.setUp(fixture.west, 'west', up);
      await assert.rejects(next(), { errnoName: 'ENOBUFS' });
      while (socket.receive() !== undefined);
      const again = next();
      fixture.setUp(fixture.west, 'west', true);
      assert.ok((await again) !== undefined);
      socket.close();
      netns.close();
    }));
});
