/** UDP sockets across a router: what it changes in a datagram and what it says about one; the neighbour that is not there; the cost. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import type { UdpSocket } from '../../src/native/udp.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { withBench } from './host-fixture.ts';
import type { Bench } from './host-fixture.ts';

const address = (text: string): Uint8Array => parseIpAddress(text).bytes();

const families = [
  {
    family: 4, prefix: 24, west: '192.0.2.2', westGate: '192.0.2.1', east: '198.51.100.2', eastGate: '198.51.100.1', absent: '192.0.2.9',
    headers: 28, tooBig: { type: 3, code: 4 }, hops: { type: 11, code: 0 }, absence: { type: 3, code: 1 },
    rewrite: 'ip dscp set cs1; ip ecn set ce',
  },
  {
    family: 6, prefix: 64, west: '2001:db8:a::2', westGate: '2001:db8:a::1', east: '2001:db8:b::2', eastGate: '2001:db8:b::1',
    absent: '2001:db8:a::9', headers: 48, tooBig: { type: 2, code: 0 }, hops: { type: 3, code: 0 }, absence: { type: 1, code: 3 },
    rewrite: 'ip6 dscp set cs1; ip6 ecn set ce',
  },
] as const;
type Family = (typeof families)[number];

/** west — router — east; the second link takes 1300 bytes. */
function routed(bench: Bench, facts: Family): { native: Bench['native']; sockets: [UdpSocket, UdpSocket] } {
  const { prefix, west, westGate, east, eastGate, family } = facts;
  const [w, r, e] = ['west', 'router', 'east'].map((name) => bench.host(name));
  assert.ok(w && r && e);
  const names = [w, r, e].map((host) => bench.namespaceName(host.name));
  const [westName = '', routerName = '', eastName = ''] = names;
  // Addresses of links are good at once, not after duplicate address detection.
  for (const name of names) execFileSync('ip', ['netns', 'exec', name, 'sysctl', '-qw', 'net.ipv6.conf.default.accept_dad=0']);
  bench.ip(r, 'link', 'add', 'w', 'type', 'veth', 'peer', 'name', 'up', 'netns', westName);
  bench.ip(r, 'link', 'add', 'e', 'mtu', '1300', 'type', 'veth', 'peer', 'name', 'up', 'mtu', '1300', 'netns', eastName);
  execFileSync('ip', ['netns', 'exec', routerName, 'sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
  const links = [[w, 'up', west], [r, 'w', westGate], [r, 'e', eastGate], [e, 'up', east]] as const;
  for (const [host, link, text] of links) {
    bench.ip(host, 'addr', 'add', `${text}/${prefix}`, 'dev', link, ...(family === 6 ? ['nodad'] : []));
    bench.ip(host, 'link', 'set', 'dev', link, 'up');
  }
  const version = `-${family}`;
  bench.ip(w, version, 'route', 'add', 'default', 'via', westGate);
  bench.ip(e, version, 'route', 'add', 'default', 'via', eastGate);
  const open = (name: string, port: number): UdpSocket => {
    const netns = bench.owned(bench.native.openNetns(name));
    return bench.owned(bench.native.udpSocket(netns, { family, port, ttl: 255, dscp: 46, dontFragment: true, receiveBuffer: 1 << 25 }));
  };
  return { native: bench.native, sockets: [open(westName, 4784), open(eastName, 4784)] };
}

const readable = (socket: UdpSocket): Promise<void> => new Promise((resolve) => socket.onReadable(() => {
  socket.onReadable(undefined);
  resolve();
}));

for (const facts of families) {
  const { family, east, west, westGate, absent, headers, tooBig, hops, absence, rewrite } = facts;
  describe(`UDP of IPv${family} across a router`, { timeout: 30_000 }, () => {
    const to = { address: address(east), port: 4784 };

    it('TTL, DSCP and ECN are told as they arrive', () => withBench(async (bench) => {
      const { native, sockets: [sender, receiver] } = routed(bench, facts);
      const before = native.now();
      sender.send(Uint8Array.of(1), to);
      await readable(receiver);
      const plain = receiver.receive();
      assert.ok(plain && before < plain.timestamp && plain.timestamp < native.now());
      assert.deepEqual([plain.ttl, plain.dscp, plain.ecn, plain.from], [254, 46, 0, { address: address(west), port: 4784 }]);
      const table = `table inet rewriting { chain c { type filter hook forward priority 0; ${rewrite}; }; }`;
      execFileSync('ip', ['netns', 'exec', bench.namespaceName('router'), 'nft', table]);
      sender.send(Uint8Array.of(2), { ...to, ttl: 9 });
      await readable(receiver);
      const { ttl, dscp, ecn } = receiver.receive() ?? assert.fail('nothing came');
      assert.deepEqual([ttl, dscp, ecn], [8, 8, 3]);
    }));

    it('the router says what its next link can take, each time, and where the hops ran out', () => withBench(async (bench) => {
      const { sockets: [sender, receiver] } = routed(bench, facts);
      const about = { to, by: address(westGate) };
      // A second time: the kernel knows the path's MTU by now, and is to send all the same.
      for (const length of [1301, 1500]) {
        sender.send(new Uint8Array(length - headers), to);
        await readable(sender);
        assert.equal(sender.receive(), undefined);
        assert.deepEqual(sender.refusals(), [{ errnoName: 'EMSGSIZE', ...about, ...tooBig, mtu: 1300 }]);
      }
      sender.send(new Uint8Array(1300 - headers), to);
      await readable(receiver);
      assert.equal(receiver.receive()?.data.length, 1300 - headers);

      sender.send(Uint8Array.of(1), { ...to, ttl: 1 });
      await readable(sender);
      assert.equal(sender.receive(), undefined);
      assert.deepEqual(sender.refusals(), [{ errnoName: 'EHOSTUNREACH', ...about, ...hops, mtu: undefined }]);
    }));

    it('a neighbour that does not answer is told of by this host itself', () => withBench(async (bench) => {
      const { sockets: [sender] } = routed(bench, facts);
      sender.send(Uint8Array.of(1), { address: address(absent), port: 3784 });
      await readable(sender);
      assert.equal(sender.receive(), undefined);
      const about = { to: { address: address(absent), port: 3784 }, by: address(west) };
      assert.deepEqual(sender.refusals(), [{ errnoName: 'EHOSTUNREACH', ...about, ...absence, mtu: undefined }]);
    }));

    it('what a datagram costs', (t) => withBench(async (bench) => {
      const { native, sockets: [sender, receiver] } = routed(bench, facts);
      const data = new Uint8Array(24);
      const count = 20_000;
      // The kernel finds the neighbours, which takes no part in the measured time.
      sender.send(data, to);
      await readable(receiver);
      receiver.receive();
      const start = native.monotonic();
      for (let i = 0; i < count; i++) sender.send(data, { ...to, ttl: 255, dscp: 48 });
      const sent = native.monotonic();
      let received = 0;
      while (receiver.receive() !== undefined) received++;
      const end = native.monotonic();
      assert.equal(received, count);
      const each = (ms: number): string => `${(ms * 1e3 / count).toFixed(1)} µs, ${Math.round(count / ms * 1e3)}/s`;
      t.diagnostic(`send, routed and queued: ${each(sent - start)}; receive: ${each(end - sent)}`);
    }));
  });
}
