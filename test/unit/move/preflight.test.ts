/** What is tried between two hosts before a move, on doubles: what is asked, what is made of the answers, and what is not asked twice. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PeerLost } from '../../../src/move/errors.ts';
import { type FrameOrder, type HostProbes, type Preflight, tryWays } from '../../../src/move/preflight.ts';
import { GodwitError } from '../../../src/base/error.ts';
import { bytes, mib } from '../../../src/base/units.ts';
import type { Nic, Vm } from '../../../src/model/vm.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';

const BRIDGE_MAC = '52:54:00:00:00:0a';
const GATEWAY = '10.0.0.1';

const nic = (bridge: string, mtu: number, gateway?: string): Nic => ({
  mac: MacAddress.parse('52:54:00:00:00:01'), attachment: { kind: 'bridge', bridge }, mtu, addresses: [], vhost: false,
  ...(gateway === undefined ? {} : { gateway: parseIpAddress(gateway) }),
});

/** That is asked of two hosts with one NIC between them. */
const EVERYTHING = new Set(['frames br0 64 1500', 'gateway destination br0 10.0.0.1', 'gateway source br0 10.0.0.1', 'path 10.9.0.2:7444 1550 9000 1280']);

/** Two hosts, and the ways between them as the test would have them. */
class Hosts {
  /** Bytes that the path carries, and that its route promises. */
  carries = 9000;
  promises = 9000;
  /** By bridge: bytes that the network carries, and how many frames it loses first. */
  readonly networks = new Map([['br0', { mtu: 1500, loses: 0 }], ['br1', { mtu: 1500, loses: 0 }]]);
  readonly gateway = { source: ['aa'], destination: ['aa'] };
  refusal: Error | undefined;
  pathRefusal: Error | undefined;
  /** What was asked. */
  readonly asked: string[] = [];
  #heard: { bridge: string; nonce: number; largest: number; closed: boolean } | undefined;
  listening = 0;
  nics: Nic[] = [nic('br0', 1500, GATEWAY)];
  now = 0;

  readonly from: HostProbes = {
    pathMtu: async (to, port, sizes) => {
      this.asked.push(`path ${to}:${port} ${sizes.join(' ')}`);
      if (this.pathRefusal) throw this.pathRefusal;
      const passed = sizes.filter((size) => size <= Math.min(this.carries, this.promises));
      return { works: Math.max(0, ...passed), tried: sizes.toSorted((a, b) => b - a), promised: this.promises };
    },
    listen: (bridge, nonce) => {
      const heard = { bridge, nonce, largest: 0, closed: false };
      this.#heard = heard;
      this.listening++;
      return {
        mac: BRIDGE_MAC,
        wait: async () => heard.largest,
        close: () => {
          if (!heard.closed) this.listening--;
          heard.closed = true;
        },
      };
    },
    sendFrames: () => assert.fail('the source sends none'),
    gateway: async (bridge, address) => {
      this.asked.push(`gateway source ${bridge} ${address}`);
      return this.gateway.source;
    },
  };

  flight(): Preflight {
    const vm: Vm = { name: 'vm', memory: mib(64), cpus: 1, machine: 'q35', cpuModel: 'host', accelerator: 'kvm', nics: this.nics, disks: [] };
    return {
      vm, from: this.from, address: parseIpAddress('10.9.0.2'), path: { pathMtu: this.promises, outerFamily: 4 },
      destination: {
        name: 'b', qemu: { version: { major: 10, minor: 0 }, pauseBeforeSwitchover: true, missing: [] }, cpu: '', freeMemory: bytes(1e9),
        bridges: new Map([['br0', { mtu: 1500 }], ['br1', { mtu: 1500 }]]), missingFeatures: [], disks: new Map(),
      },
      to: {
        port: 7444,
        sendFrames: async (order) => this.#send(order),
        gateway: async (bridge, address) => {
          this.asked.push(`gateway destination ${bridge} ${address}`);
          return this.gateway.destination;
        },
      },
    };
  }

  ways() {
    return tryWays(this.flight(), () => this.now);
  }

  #send({ bridge, nonce, sizes, to }: FrameOrder): void {
    this.asked.push(`frames ${bridge} ${sizes.join(' ')}`);
    if (this.refusal) throw this.refusal;
    assert.equal(to, BRIDGE_MAC);
    const network = this.networks.get(bridge) ?? assert.fail();
    const heard = this.#heard ?? assert.fail();
    if (heard.nonce !== nonce || heard.bridge !== bridge || heard.closed) return;
    if (network.loses-- > 0) return;
    heard.largest = Math.max(heard.largest, ...sizes.filter((size) => size <= network.mtu));
  }
}

test('ways that are whole: what fits a tunnel, the route and every path is tried, and a full frame, and the gateway at both', async () => {
  const hosts = new Hosts();
  const { pathMtu, ways } = await hosts.ways();
  assert.equal(pathMtu, 9000);
  assert.deepEqual(ways, {
    path: { kind: 'whole' },
    networks: [{ bridge: 'br0', frame: { sent: 1500, came: 1500 }, gateways: [{ address: GATEWAY, source: ['aa'], destination: ['aa'] }] }],
  });
  assert.deepEqual(new Set(hosts.asked), EVERYTHING);
  assert.equal(hosts.asked.length, EVERYTHING.size);
  assert.equal(hosts.listening, 0);
});

test('what came out well is not tried again for 30 s, by this pair and network', async () => {
  const hosts = new Hosts();
  const first = await hosts.ways();
  hosts.asked.length = 0;
  hosts.now += 29_999;
  assert.deepEqual(await hosts.ways(), first);
  assert.deepEqual(hosts.asked, []);
  hosts.nics = [nic('br0', 1500, GATEWAY), nic('br1', 1500)];
  await hosts.ways();
  assert.deepEqual(hosts.asked, ['frames br1 64 1500']);
  hosts.asked.length = 0;
  hosts.now += 2;
  await hosts.ways();
  assert.deepEqual(new Set(hosts.asked), EVERYTHING);
});

test('what did not is tried again at once: whoever has mended it need not wait', async () => {
  const hosts = new Hosts();
  hosts.carries = 0;
  const network = hosts.networks.get('br0') ?? assert.fail();
  network.mtu = 100;
  hosts.gateway.destination = ['bb'];
  const { pathMtu, ways } = await hosts.ways();
  assert.equal(pathMtu, 0);
  assert.ok(ways.path.kind === 'dead');
  assert.match(ways.path.why, /no packet of 1280 bytes or more to UDP port 7444 of 10\.9\.0\.2/);
  assert.deepEqual(ways.networks, [{ bridge: 'br0', frame: { sent: 1500, came: 64 }, gateways: [{ address: GATEWAY, source: ['aa'], destination: ['bb'] }] }]);
  hosts.carries = 9000;
  network.mtu = 1500;
  hosts.gateway.destination = ['aa'];
  const mended = await hosts.ways();
  assert.equal(mended.ways.path.kind, 'whole');
  assert.deepEqual(mended.ways.networks, [{ bridge: 'br0', frame: { sent: 1500, came: 1500 }, gateways: [{ address: GATEWAY, source: ['aa'], destination: ['aa'] }] }]);
});

test('a path that is narrower than its route says loses packets; one whose route knows does not', async () => {
  const hosts = new Hosts();
  hosts.carries = 1550;
  assert.deepEqual((await hosts.ways()).ways.path, { kind: 'lossy', promised: 9000, works: 1550 });
  const known = new Hosts();
  known.promises = 1500;
  assert.deepEqual(await known.ways().then(({ pathMtu, ways }) => [pathMtu, ways.path]), [1500, { kind: 'whole' }]);
});

test('a lost frame is sent again', async () => {
  const hosts = new Hosts();
  (hosts.networks.get('br0') ?? assert.fail()).loses = 2;
  assert.deepEqual((await hosts.ways()).ways.networks[0]?.frame, { sent: 1500, came: 1500 });
});

test('a bridge that the destination has not, or too narrow, is the plan\'s to refuse: nothing is tried there', async () => {
  const hosts = new Hosts();
  hosts.nics = [nic('br9', 1500), nic('br1', 9000)];
  assert.deepEqual((await hosts.ways()).ways.networks, []);
});

test('what a host refuses is told; a host that is away ends the plan; nothing stays open', async () => {
  const hosts = new Hosts();
  hosts.refusal = new GodwitError('NATIVE_SYSTEM', 'the bridge is down');
  hosts.pathRefusal = new GodwitError('HOST_PATH_UNANSWERED', 'nobody listens');
  const { ways, pathMtu } = await hosts.ways();
  assert.deepEqual(ways.path, { kind: 'dead', why: 'nobody listens' });
  assert.equal(pathMtu, 9000);
  const frame = ways.networks[0]?.frame ?? assert.fail();
  assert.match('failure' in frame ? frame.failure : '', /the bridge is down/);
  hosts.pathRefusal = new GodwitError('HOST_NO_PMTU_DISCOVERY', 'without DF');
  assert.deepEqual((await hosts.ways()).ways.path, { kind: 'untried', why: 'without DF' });
  hosts.refusal = new PeerLost('b', 'cut');
  await assert.rejects(hosts.ways(), PeerLost);
  assert.equal(hosts.listening, 0);
});

test('between the bridges of a routed network nothing is tried: nothing is between them', async () => {
  const hosts = new Hosts();
  const routed = { kind: 'routed', gateway: MacAddress.parse('02:67:00:00:00:01') } as const;
  hosts.nics = [{ ...nic('br0', 1500), attachment: { kind: 'bridge', bridge: 'br0', segment: routed } }];
  const { ways } = await hosts.ways();
  assert.deepEqual(ways, { path: { kind: 'whole' }, networks: [] });
  assert.deepEqual(hosts.asked, ['path 10.9.0.2:7444 1550 9000 1280']);
});
