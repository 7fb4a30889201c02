/** What a network's declaration comes to, and what of it is refused, with the place. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type NetworkSpec, NetworkSpecError, contains, kindOfNetwork } from '../../../src/model/network.ts';
import { VmSpecError, resolveVm } from '../../../src/model/vm-spec.ts';
import { Ipv4Address, Ipv6Address, parseIpAddress } from '../../../src/wire/ip-address.ts';

const routed = { bridge: 'br-web', routed: { gateways: ['10.1.0.1/24', 'fd01::1/64'] } };

test('the three kinds', () => {
  assert.deepEqual(kindOfNetwork('lan', { bridge: 'br0', gateway: '10.0.0.1' }), { kind: 'bridge' });
  assert.deepEqual(kindOfNetwork('net', { bridge: 'br1', vxlan: { vni: 7 } }), { kind: 'vxlan', vni: 7, port: 4789 });
  const web = kindOfNetwork('web', routed);
  assert.ok(web.kind === 'routed');
  assert.deepEqual(web.gateways.map(({ address, length }) => `${address}/${length}`), ['10.1.0.1/24', 'fd01::1/64']);
});

test('a gateway\'s MAC follows from the network\'s name: the same on every host and in every release, another for another name', () => {
  const macOf = (name: string, spec: NetworkSpec = routed): string => {
    const kind = kindOfNetwork(name, spec);
    assert.ok(kind.kind === 'routed');
    return kind.mac.toString();
  };
  // FNV-1a of 'foobar' is bf9cf968: its authors' test vector.
  assert.equal(macOf('foobar'), '02:67:bf:9c:f9:68');
  assert.notEqual(macOf('web'), macOf('web-2'));
  assert.equal(macOf('web', { ...routed, routed: { ...routed.routed, mac: '02:00:00:00:00:0A' } }), '02:00:00:00:00:0a');
});

const refused: readonly (readonly [path: string, words: RegExp, spec: NetworkSpec])[] = [
  ['/spec/vxlan', /it can be one of them; take the other out/, { ...routed, vxlan: { vni: 7 } }],
  ['/spec/gateway', /its gateways are those in routed; take this one out/, { ...routed, gateway: '10.1.0.1' }],
  ['/spec/routed/gateways/0', /write it like 10\.1\.0\.1\/24/, { bridge: 'b', routed: { gateways: ['10.1.0.1'] } }],
  ['/spec/routed/gateways/1', /write it like 10\.1\.0\.1\/24/, { bridge: 'b', routed: { gateways: ['10.1.0.1/24', 'ten/8'] } }],
  ['/spec/routed/gateways/0', /longer than the 32 bits/, { bridge: 'b', routed: { gateways: ['10.1.0.1/33'] } }],
  ['/spec/routed/gateways/0', /nobody's address/, { bridge: 'b', routed: { gateways: ['224.0.0.1/24'] } }],
  ['/spec/routed/gateways/1', /there twice/, { bridge: 'b', routed: { gateways: ['fd01::1/64', 'fd01:0::1/48'] } }],
  ['/spec/vxlan/port', /that of the moves' tunnels: name another/, { bridge: 'b', vxlan: { vni: 7, port: 4790 } }],
];
for (const [path, words, spec] of refused) {
  test(`refused: ${JSON.stringify(spec)}`, () => {
    assert.throws(() => kindOfNetwork('web', spec), (error) => error instanceof NetworkSpecError && error.path === path && words.test(error.message));
  });
}

test('a prefix contains what shares its bits, and nothing of the other family', () => {
  fc.assert(fc.property(fc.constantFrom(4, 16), fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat(127), fc.nat(128), (size, bytes, bit, length) => {
    const of = (b: Uint8Array) => (size === 4 ? Ipv4Address.of(b) : Ipv6Address.of(b));
    const [at, bits] = [bit % (8 * size), length % (8 * size + 1)];
    const own = bytes.slice(0, size);
    const other = own.slice();
    other[at >> 3] = (other[at >> 3] ?? 0) ^ (0x80 >> (at & 7));
    assert.equal(contains({ address: of(own), length: bits }, of(own)), true);
    assert.equal(contains({ address: of(own), length: bits }, of(other)), at >= bits);
  }));
  assert.equal(contains({ address: parseIpAddress('10.0.0.0'), length: 0 }, parseIpAddress('::1')), false);
});

const nic = (addresses: readonly string[]) => ({ cpus: 1, memory: '1GiB', nics: [{ network: 'web', mac: '52:54:00:00:00:01', addresses: [...addresses] }] });
const resolve = (addresses: readonly string[], spec: NetworkSpec = routed) => resolveVm('web-1', nic(addresses), new Map([['web', spec]]));

test('a VM\'s NIC knows what its bridge is a part of', () => {
  const [one] = resolve(['10.1.0.10', 'fd01::10']).nics;
  assert.ok(one?.attachment.kind === 'bridge' && one.attachment.segment?.kind === 'routed');
  const kind = kindOfNetwork('web', routed);
  assert.ok(kind.kind === 'routed' && kind.mac.equals(one.attachment.segment.gateway));
  assert.deepEqual(resolve([], { bridge: 'b', vxlan: { vni: 7 } }).nics[0]?.attachment, { kind: 'bridge', bridge: 'b', segment: { kind: 'vxlan', vni: 7 } });
  assert.deepEqual(resolve([], { bridge: 'b' }).nics[0]?.attachment, { kind: 'bridge', bridge: 'b' });
});

for (const [addresses, path, words] of [
  [[], '/spec/nics/0', /a NIC without addresses has no route: add addresses/],
  [['10.1.0.10', '10.2.0.10'], '/spec/nics/0/addresses/1', /10\.2\.0\.10 is in no subnet of network web, which has the gateways 10\.1\.0\.1\/24, fd01::1\/64: choose/],
  [['fd01::1'], '/spec/nics/0/addresses/0', /is the gateway of network web: give the VM another/],
] as const) {
  test(`on a routed network refused: ${addresses.join(', ') || 'no address'}`, () => {
    assert.throws(() => resolve(addresses), (error) => error instanceof VmSpecError && error.path === path && words.test(error.message));
  });
}
