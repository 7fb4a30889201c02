import assert from 'node:assert/strict';
import { test } from 'node:test';
import { probeFeatures } from '../../../src/host/features.ts';
import { Host } from '../../../src/host/host.ts';
import {
  concat, decodeAttributes, decodeMessages, encodeAttributes, encodeMessage, readNumber, readText, text, u32,
} from '../../../src/host/netlink-message.ts';
import { MemoryNetwork } from '../../../src/native/memory.ts';
import { errno } from '../../../src/native/errno.ts';
import { netlinkError } from '../../../src/native/memory-sockets.ts';

const [NEWLINK, DELLINK, GETLINK] = [16, 17, 18];
const IFNAME = 3;

/** A kernel that makes and deletes links, and refuses the request types of `missing`. */
function kernel(missing: ReadonlySet<number>): { host: Host; network: MemoryNetwork; links: Map<string, number> } {
  const network = new MemoryNetwork();
  network.addNetns('h');
  const links = new Map<string, number>();
  let made = 100;
  network.respond = (request) => {
    const { type, sequence, body } = decodeMessages(request)[0] ?? assert.fail();
    if (missing.has(type)) return [netlinkError(request, errno.EOPNOTSUPP)];
    const answers = [netlinkError(request, 0)];
    if (type > GETLINK) return [netlinkError(request, 0)];
    const name = readText(decodeAttributes(body.subarray(16)).get(IFNAME) ?? new Uint8Array());
    if (type === NEWLINK) links.set(name, made++);
    if (type === DELLINK) {
      const gone = readNumber(body.subarray(4, 8));
      for (const [key, index] of links) if (index === gone) links.delete(key);
    }
    if (type === GETLINK) {
      const index = links.get(name) ?? (network.hasLink('h', name) ? network.link('h', name).ifindex : undefined);
      if (index === undefined) return [netlinkError(request, errno.ENODEV)];
      const link = concat(u32(0), u32(index), u32(0), u32(0), encodeAttributes([[IFNAME, text(name)]]));
      answers.unshift(encodeMessage(NEWLINK, 0, sequence, link));
    }
    return answers;
  };
  const native = network.native('h');
  return { host: new Host('h', native, native.openNetns()), network, links };
}

/** The vhost device is this machine's, not the double's. */
function present(host: Host): string[] {
  return probeFeatures(host).filter((f) => f.present && f.name !== 'vhost-net').map((f) => f.name);
}

test('a kernel that does everything has everything, and nothing is left of the trial', () => {
  const { host, network, links } = kernel(new Set());
  assert.deepEqual(present(host), ['tap', 'bridge', 'vxlan', 'clsact', 'u32', 'mirred', 'packet-socket']);
  assert.deepEqual([links.size, network.descriptors.size], [0, 1]);
});

test('what the kernel lacks is told with its words and what is lost', () => {
  const NEWTFILTER = 44;
  const { host, network, links } = kernel(new Set([NEWTFILTER]));
  const missing = probeFeatures(host).filter((f) => !f.present && f.name !== 'vhost-net');
  assert.deepEqual(missing.map((f) => f.name), ['u32', 'mirred']);
  for (const { words, cost } of missing) {
    assert.match(words, /operation not supported .*errno 95/);
    assert.match(cost, /loses the frames .* enable CONFIG_NET_/);
  }
  assert.deepEqual([links.size, network.descriptors.size], [0, 1]);
});

test('without any netlink the probe still ends, and says what it could not try', () => {
  const { host, network } = kernel(new Set(Array.from({ length: 100 }, (_, type) => type)));
  const features = probeFeatures(host);
  assert.deepEqual(features.filter((f) => f.present && f.name !== 'vhost-net').map((f) => f.name), []);
  assert.match(features.find((f) => f.name === 'clsact')?.words ?? '', /not tried/);
  assert.equal(network.descriptors.size, 1);
});
