/** Marked traffic, as it arrives at the other host. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { DSCP, type MarkedPorts, markTraffic } from '../../src/host/dscp.ts';
import type { Host } from '../../src/host/host.ts';
import { runNft } from '../../src/host/nft.ts';
import { TUNNEL_PORT } from '../../src/host/tunnel.ts';
import { EtherType, decodeEthernet } from '../../src/wire/ethernet.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { IpProtocol } from '../../src/wire/ip-protocol.ts';
import { decodeIpv4 } from '../../src/wire/ipv4.ts';
import { decodeIpv6 } from '../../src/wire/ipv6.ts';
import { type Bench, GUEST, frame, ip, readAll, twoHosts, until, withBench } from './host-fixture.ts';

const timeout = { timeout: 30_000 };
const PORTS: MarkedPorts = { tunnel: TUNNEL_PORT, migration: { first: 21000, last: 21009 }, api: [7443], peer: 7444 };
/** All that was marked hangs on this table. */
const UNMARK = 'delete table inet godwit\n';
const V4 = ['10.79.0.1', '10.79.0.2'] as const;
const V6 = ['fd79::1', 'fd79::2'] as const;

interface Seen {
  readonly protocol: number;
  readonly ports: readonly [source: number, destination: number];
  readonly dscp: number;
}

function decode(bytes: Uint8Array): Seen | undefined {
  const { etherType, payload } = decodeEthernet(bytes);
  if (etherType !== EtherType.ipv4 && etherType !== EtherType.ipv6) return undefined;
  const v4 = etherType === EtherType.ipv4 ? decodeIpv4(payload) : undefined;
  const v6 = etherType === EtherType.ipv6 ? decodeIpv6(payload) : undefined;
  const upper = v4?.payload ?? v6?.payload ?? assert.fail();
  const view = new DataView(upper.buffer, upper.byteOffset);
  return { protocol: v4?.protocol ?? v6?.nextHeader ?? 0, ports: [view.getUint16(0), view.getUint16(2)], dscp: v4?.dscp ?? v6?.dscp ?? 0 };
}

/** Waits for the first packet that comes in at the host's `mig` and is the one wanted. */
function arrival(bench: Bench, host: Host): (what: string, wanted: (seen: Seen) => boolean) => Promise<number> {
  const options = { ifindex: host.links.get('mig').index, protocol: 3 };
  const socket = bench.owned(bench.native.packetSocket(host.netns, options));
  return async (what, wanted) => {
    let found: Seen | undefined;
    await until(what, () => {
      found ??= readAll(socket).map((received) => decode(received.frame)).find((seen) => seen !== undefined && wanted(seen));
      return found !== undefined;
    });
    return found?.dscp ?? assert.fail();
  };
}

function hosts(bench: Bench): { h1: Host; h2: Host; at1: ReturnType<typeof arrival>; at2: ReturnType<typeof arrival> } {
  const { h1, h2 } = twoHosts(bench);
  for (const [host, address] of [[h1, V6[0]], [h2, V6[1]]] as const) {
    host.addresses.add(host.links.get('mig').index, parseIpAddress(address), 64);
  }
  return { h1, h2, at1: arrival(bench, h1), at2: arrival(bench, h2) };
}

/** One SYN from h1, which nobody awaits: h2 answers by a RST. */
async function connect(bench: Bench, from: Host, to: string, port: number): Promise<void> {
  const words = ['netns', 'exec', bench.namespaceName(from.name), 'bash', '-c', `exec 3<>/dev/tcp/${to}/${port}`];
  const child = spawn('ip', words, { stdio: 'ignore', timeout: 5000 });
  assert.notEqual((await once(child, 'exit'))[0], 0);
}

const rules = (bench: Bench, host: Host): string => ip('netns', 'exec', bench.namespaceName(host.name), 'nft', 'list', 'ruleset');

describe('traffic marked', () => {
  for (const [name, [near, far]] of [['IPv4', V4], ['IPv6', V6]] as const) {
    test(`of TCP over ${name}: control, bulk, both ways, and nothing else`, timeout, () => withBench(async (bench) => {
      const { h1, h2, at1, at2 } = hosts(bench);
      await markTraffic(h1, PORTS);
      await markTraffic(h2, PORTS);
      const { control, migration } = DSCP;
      for (const [port, dscp] of [[7443, control], [7444, control], [21000, migration], [21009, migration], [21010, 0]] as const) {
        await connect(bench, h1, far, port);
        const tcp = (at: 0 | 1) => ({ protocol, ports }: Seen): boolean => protocol === IpProtocol.tcp && ports[at] === port;
        assert.equal(await at2(`SYN to ${port}`, tcp(1)), dscp, `SYN to ${port}`);
        assert.equal(await at1(`RST from ${port}`, tcp(0)), dscp, `RST from ${port}`);
      }
    }));

    test(`of a tunnel over ${name}: the outer header`, timeout, () => withBench(async (bench) => {
      const { h1, at2 } = hosts(bench);
      await markTraffic(h1, PORTS);
      const [local, remote] = [parseIpAddress(near), parseIpAddress(far)];
      const tunnel = h1.createTunnel({ name: 'gwm-x', vni: 7001, local, remote, mtu: 1400 });
      const into = bench.owned(bench.native.packetSocket(h1.netns, { ifindex: tunnel.index, protocol: 0 }));
      const vxlan = ({ protocol, ports }: Seen): boolean => protocol === IpProtocol.udp && ports[1] === TUNNEL_PORT;
      into.send(frame(GUEST, 1));
      assert.equal(await at2('a marked tunnel packet', vxlan), DSCP.tunnel);
      await runNft(h1, UNMARK);
      into.send(frame(GUEST, 2));
      assert.equal(await at2('an unmarked tunnel packet', vxlan), 0);
    }));
  }

  test('twice leaves one set of rules, that of the second; other tables stay', timeout, () => withBench(async (bench) => {
    const h1 = bench.host('h1');
    await runNft(h1, 'table inet mine { chain c { counter; }; }\n');
    await markTraffic(h1, PORTS);
    const once = rules(bench, h1);
    await markTraffic(h1, PORTS);
    assert.equal(rules(bench, h1), once);
    await markTraffic(h1, { ...PORTS, peer: 7555 });
    assert.match(rules(bench, h1), /7443, 7555/);
    await runNft(h1, UNMARK);
    assert.match(rules(bench, h1), /^table inet mine \{[^}]*counter[^}]*\}\s*\}\s*$/);
  }));

  test('refused rules are an error with nft\'s own words, and those before stay', timeout, () => withBench(async (bench) => {
    const h1 = bench.host('h1');
    await markTraffic(h1, PORTS);
    const before = rules(bench, h1);
    const refused = { code: 'HOST_NFT_FAILED', message: /^The rules for h1 were refused: .*21009/s };
    await assert.rejects(markTraffic(h1, { ...PORTS, migration: { first: 21009, last: 21000 } }), refused);
    assert.equal(rules(bench, h1), before);
  }));
});
