/** What is refused, what is warned of, and with which words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytes, mib } from '../../../src/base/units.ts';
import type { Attachment, Nic, Vm } from '../../../src/model/vm.ts';
import { type HostFacts, type MoveFacts, planMove } from '../../../src/policy/policy.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';

const nic: Nic = {
  mac: MacAddress.parse('52:54:00:00:00:01'), attachment: { kind: 'bridge', bridge: 'br0' }, mtu: 1500, addresses: [], vhost: false,
};
const routed: Attachment = { kind: 'bridge', bridge: 'br0', segment: { kind: 'routed', gateway: MacAddress.parse('02:67:00:00:00:01') } };
const vm: Vm = {
  name: 'web-1', memory: mib(2048), cpus: 2, machine: 'pc-q35-10.0', cpuModel: 'Nehalem', accelerator: 'kvm',
  nics: [nic], disks: [{ path: '/pool/web-1.qcow2', format: 'qcow2', shared: true }],
};
const host = (name: string): HostFacts => ({
  name, cpu: 'Xeon A', freeMemory: mib(8192), bridges: new Map([['br0', { mtu: 1500 }]]), missingFeatures: [], disks: new Map([['/pool/web-1.qcow2', 7]]),
  qemu: { version: { major: 10, minor: 0 }, pauseBeforeSwitchover: true, missing: [], machines: ['q35', 'pc-q35-10.0'] },
});
const good: MoveFacts = { vm, source: host('host-a'), destination: host('host-b'), pathMtu: 9000, outerFamily: 4, draining: false };

const withVm = (facts: MoveFacts, change: Partial<Vm>): MoveFacts => ({ ...facts, vm: { ...facts.vm, ...change } });
const withNic = (facts: MoveFacts, change: Partial<Nic>): MoveFacts =>
  withVm(facts, { nics: [{ ...nic, ...change }, ...facts.vm.nics.slice(1)] });
const at = (end: 'source' | 'destination', facts: MoveFacts, change: Partial<HostFacts>): MoveFacts =>
  ({ ...facts, [end]: { ...facts[end], ...change } });
const withQemu = (end: 'source' | 'destination', facts: MoveFacts, change: Partial<HostFacts['qemu']>): MoveFacts =>
  at(end, facts, { qemu: { ...facts[end].qemu, ...change } });

test('a move that nothing speaks against', () => {
  assert.deepEqual(planMove(good), {
    kind: 'possible',
    warnings: [],
    notes: [
      '2048 MiB of memory are copied while web-1 runs',
      'Each NIC gets a tunnel over IPv4, 50 bytes around each packet',
      'Disk /pool/web-1.qcow2 stays where it is',
    ],
  });
});

interface Case {
  readonly what: string;
  readonly change: (facts: MoveFacts) => MoveFacts;
  /** One for each reason or warning: names what is wrong and what to do. */
  readonly want: readonly RegExp[];
}

/** Each independent of the others, in the order in which they are told. */
const refused: readonly Case[] = [
  { what: 'the previous move drains', change: (f) => ({ ...f, draining: true }), want: [/web-1's previous move.*loop: wait for its end/] },
  {
    what: 'a host CPU, and another host',
    change: (f) => at('source', withVm(f, { cpuModel: 'host,-vmx' }), { cpu: 'Xeon B' }),
    want: [/CPU model host,-vmx.*host-a \(Xeon B\) is not host-b \(Xeon A\): restart web-1 with a named model/],
  },
  {
    what: 'an unknown machine type',
    change: (f) => withQemu('destination', f, { machines: ['q35', 'pc-q35-7.2'] }),
    want: [/QEMU 10\.0 at host-b does not offer machine type pc-q35-10\.0: upgrade QEMU there, or restart/],
  },
  {
    what: 'an MTU that the bridge has not',
    change: (f) => withNic(f, { mtu: 1501 }),
    want: [/nic0 has an MTU of 1501 and bridge br0 at host-b one of 1500.*raise/],
  },
  {
    what: 'a path that carries nothing',
    change: (f) => ({ ...f, ways: { path: { kind: 'dead', why: 'port 7444 is shut' }, networks: f.ways?.networks ?? [] } }),
    want: [/Nothing comes through from host-a to host-b: port 7444 is shut/],
  },
  {
    what: 'networks that are not what they should be',
    change: (f) => ({
      ...f,
      ways: {
        path: f.ways?.path ?? { kind: 'whole' },
        networks: [
          { bridge: 'br0', frame: { sent: 1500, came: 64 }, gateways: [{ address: '10.0.0.1', source: ['a', 'b'], destination: ['c'] }] },
          { bridge: 'br1', frame: { sent: 1500, came: 0 }, gateways: [{ address: '10.0.1.1', source: ['a'], destination: [] }] },
          { bridge: 'br2', frame: { failure: 'the bridge is down' }, gateways: [{ address: '10.0.2.1', failure: 'it is down too' }] },
        ],
      },
    }),
    want: [
      /Frames of 1500 bytes from bridge br0 of host-b do not arrive at that of host-a, small ones do: raise the MTU/,
      /Gateway 10\.0\.0\.1 is a, b on bridge br0 of host-a and c on that of host-b: they are different networks/,
      /No frame that host-b sends out of its bridge br1 arrives at that of host-a: join both/,
      /Gateway 10\.0\.1\.1 answers on bridge br1 of host-a \(a\) and not on that of host-b: join/,
      /bridges br2 of host-b and host-a could not be tried: the bridge is down/,
      /Gateway 10\.0\.2\.1 could not be asked for on bridge br2: it is down too/,
    ],
  },
  {
    what: 'a disk that is not there',
    change: (f) => at('destination', f, { disks: new Map() }),
    want: [/Disk \/pool\/web-1.qcow2 .*cannot be opened at host-b: mount/],
  },
  {
    what: 'a source without the pause',
    change: (f) => withQemu('source', f, { pauseBeforeSwitchover: false }),
    want: [/QEMU 10\.0 at host-a has no pause-before-switchover.*upgrade to 8\.2/],
  },
  {
    what: 'kernel features missing, told in one order',
    change: (f) => at('source', f, { missingFeatures: ['mirred', 'u32', 'clsact', 'vxlan'] }),
    want: [
      /kernel of host-a has no vxlan: no tunnel.*"modprobe vxlan".*CONFIG_VXLAN/, /has no clsact.*"modprobe sch_ingress"/,
      /has no u32.*"modprobe cls_u32"/, /has no mirred.*"modprobe act_mirred"/,
    ],
  },
  {
    what: 'the same at the destination',
    change: (f) => at('destination', f, { missingFeatures: ['u32'] }),
    want: [/kernel of host-b has no u32/],
  },
  {
    what: 'too little memory',
    change: (f) => at('destination', f, { freeMemory: bytes(mib(2048) - 1) }),
    want: [/web-1 needs 2048 MiB .* host-b has 2047 MiB free: free some/],
  },
];

const attachments: readonly Attachment[] = [
  { kind: 'macvtap', link: 'eth0' }, { kind: 'ovs', bridge: 'br0' }, { kind: 'vhost-user', socket: '/run/s' },
  { kind: 'passthrough', pciAddress: '0000:01:00.0' },
];
/** These stand in each other's way. */
const refusedAlone: readonly Case[] = [
  { what: 'the same host', change: (f) => at('destination', f, { name: 'host-a' }), want: [/web-1 runs on host-a already: name another/] },
  { what: 'the CPU model max', change: (f) => at('source', withVm(f, { cpuModel: 'max' }), { cpu: 'Xeon B' }), want: [/CPU model max/] },
  { what: 'IPv6 does not fragment', change: (f) => ({ ...f, outerFamily: 6, pathMtu: 1569 }), want: [/nic0: a packet of 1500 bytes is 1570 in the tunnel/] },
  {
    what: 'a path that loses what its route allows',
    change: (f) => ({ ...f, pathMtu: 1550, ways: { path: { kind: 'lossy', promised: 9000, works: 1550 }, networks: [] } }),
    want: [/Packets of 9000 bytes from host-a to host-b get lost, and host-a's route allows them; 1550 bytes come through: raise the MTU/],
  },
  {
    what: 'IPv6 that carries nothing, told once',
    change: (f) => ({ ...f, outerFamily: 6, pathMtu: 0, ways: { path: { kind: 'dead', why: 'x' }, networks: [] } }),
    want: [/Nothing comes through/],
  },
  {
    what: 'no such bridge',
    change: (f) => at('destination', f, { bridges: new Map([['br1', { mtu: 1500 }]]) }),
    want: [/nic0 needs bridge br0, which host-b does not have: make it/],
  },
  {
    what: 'a disk that is not shared',
    change: (f) => withVm(f, { disks: [{ path: '/d', format: 'raw', shared: false }] }),
    want: [/Disk \/d is not shared.*put it on storage/],
  },
  {
    what: 'a shared disk that nobody sees',
    change: (f) => withVm(f, { disks: [{ path: '/d', format: 'raw', shared: true }] }),
    want: [/Disk \/d .*cannot be opened at host-a and host-b/],
  },
  {
    what: 'an alias that means two machines',
    change: (f) => withQemu('source', withVm(f, { machine: 'q35' }), { version: { major: 7, minor: 2 } }),
    want: [/q35 is not the same in QEMU 7\.2 \(host-a\) and 10\.0 \(host-b\): restart web-1 with a versioned one/],
  },
  {
    what: 'two NICs, both wrong',
    change: (f) => withVm(f, { nics: [{ ...nic, mtu: 9000 }, { ...nic, attachment: { kind: 'ovs', bridge: 'br0' } }] }),
    want: [/^nic0 has an MTU/, /^nic1 is attached by ovs/],
  },
  ...attachments.map((attachment): Case => ({
    what: `a NIC by ${attachment.kind}`, change: (f) => withNic(f, { attachment }),
    want: [new RegExp(`^nic0 is attached by ${attachment.kind}: .*; attach it to a bridge$`)],
  })),
];

const reasonsOf = (facts: MoveFacts): readonly string[] => {
  const plan = planMove(facts);
  return plan.kind === 'refused' ? plan.reasons : [];
};
const warningsOf = (facts: MoveFacts): readonly string[] => {
  const plan = planMove(facts);
  assert.ok(plan.kind === 'possible', 'refused');
  return plan.warnings;
};
function matches(texts: readonly string[], want: readonly RegExp[]): void {
  assert.equal(texts.length, want.length, texts.join('\n') || 'nothing was said');
  for (const [i, text] of texts.entries()) assert.match(text, want[i] ?? /^$/);
}

for (const { what, change, want } of [...refused, ...refusedAlone]) test(`refused: ${what}`, () => matches(reasonsOf(change(good)), want));

const lacking = 'switchover-ack (QEMU 8.1): it may switch by itself';
const warned: readonly Case[] = [
  {
    what: 'fragments over IPv4',
    change: (f) => ({ ...f, pathMtu: 1549 }),
    want: [/nic0: .*is 1550 in the tunnel .* carries 1549.*raise .* to 1550/],
  },
  { what: 'no fragments over IPv4', change: (f) => ({ ...f, pathMtu: 1550 }), want: [] },
  { what: 'no fragments over IPv6', change: (f) => ({ ...f, outerFamily: 6, pathMtu: 1570 }), want: [] },
  {
    what: 'a path that could not be tried, and a gateway that nobody sees',
    change: (f) => ({
      ...f,
      ways: {
        path: { kind: 'untried', why: 'it sends without DF' },
        networks: [{ bridge: 'br0', frame: { sent: 1500, came: 1500 }, gateways: [{ address: '10.0.0.1', source: [], destination: [] }] }],
      },
    }),
    want: [/between host-a and host-b carries was not tried: it sends without DF/, /Gateway 10\.0\.0\.1 answers on bridge br0 of neither host-a nor host-b/],
  },
  {
    what: 'ways that are as they should be',
    change: (f) => ({
      ...f,
      ways: {
        path: { kind: 'whole' },
        networks: [{
          bridge: 'br0', frame: { sent: 1500, came: 1500 },
          gateways: [{ address: '10.0.0.1', source: ['a', 'b'], destination: ['b'] }, { address: '10.0.0.2', source: [], destination: ['a'] }],
        }],
      },
    }),
    want: [],
  },
  { what: 'vhost', change: (f) => withNic(f, { vhost: true }), want: [/nic0 uses vhost/] },
  {
    what: 'an old QEMU',
    change: (f) => withQemu('source', f, { version: { major: 7, minor: 2 }, missing: [lacking] }),
    want: [/QEMU 7\.2 at host-a lacks switchover-ack \(QEMU 8\.1\): it may/],
  },
  {
    what: 'no headroom',
    change: (f) => at('destination', f, { freeMemory: mib(2048 + 255) }),
    want: [/host-b has 2303 MiB free for a guest of 2048 MiB and its QEMU/],
  },
  { what: 'just enough headroom', change: (f) => at('destination', f, { freeMemory: mib(2048 + 256) }), want: [] },
];
for (const { what, change, want } of warned) test(`warned of: ${what}`, () => matches(warningsOf(change(good)), want));

const allowed: readonly Case[] = [
  { what: 'a host CPU between equal hosts', change: (f) => withVm(f, { cpuModel: 'host' }), want: [] },
  { what: 'a named model between different hosts', change: (f) => at('source', f, { cpu: 'Xeon B' }), want: [] },
  {
    what: 'machine types that nobody asked for',
    change: (f) => at('destination', f, { qemu: { version: { major: 10, minor: 1 }, pauseBeforeSwitchover: true, missing: [] } }),
    want: [],
  },
  { what: 'exactly the memory that is free', change: (f) => at('destination', f, { freeMemory: mib(2048) }), want: [] },
  { what: 'no NIC and no disk', change: (f) => withVm(f, { nics: [], disks: [] }), want: [] },
];
for (const { what, change, want } of allowed) test(`not refused: ${what}`, () => matches(reasonsOf(change(good)), want));

test('refused: a disk that is another file there', () => {
  const copy = at('destination', good, { disks: new Map([['/pool/web-1.qcow2', 8]]) });
  matches(reasonsOf(copy), [/Disk \/pool\/web-1.qcow2 is a file of its own at host-b \(inode 8, and 7 at host-a\), perhaps a copy: mount the same storage/]);
  const device = at('destination', good, { disks: new Map([['/pool/web-1.qcow2', undefined]]) });
  matches(reasonsOf(device), []);
});

test('every fault is told, none hides another, and always in the same order', () => {
  fc.assert(fc.property(fc.subarray([...refused.keys()]), fc.func(fc.integer()), (chosen, shuffle) => {
    const faulty = chosen.toSorted((a, b) => shuffle(a) - shuffle(b)).reduce((facts, i) => refused[i]?.change(facts) ?? facts, good);
    const plan = planMove(faulty);
    assert.equal(plan.kind, chosen.length > 0 ? 'refused' : 'possible');
    assert.deepEqual(reasonsOf(faulty), chosen.flatMap((i) => reasonsOf(refused[i]?.change(good) ?? good)));
    assert.ok(reasonsOf(faulty).every((reason) => reason.length > 0));
    assert.deepEqual(plan, planMove(faulty));
  }), { numRuns: 500 });
});

test('a bridge that Godwit makes: it must be there, and a routed one with the gateway that the guest knows', () => {
  const onRouted = withNic(good, { attachment: routed });
  const bridge = (mac: string) => at('destination', onRouted, { bridges: new Map([['br0', { mtu: 1500, mac }]]) });
  assert.equal(planMove(bridge('02:67:00:00:00:01')).kind, 'possible');
  for (const [facts, words] of [
    [bridge('02:67:00:00:00:02'), /nic0 has 02:67:00:00:00:01 for its gateway's MAC, and at host-b bridge br0 has 02:67:00:00:00:02.*restart the VM/],
    [at('destination', onRouted, { bridges: new Map() }), /nic0 needs bridge br0, and the agent of host-b could not make it: its log says why/],
  ] as const) {
    const plan = planMove(facts);
    assert.ok(plan.kind === 'refused');
    assert.equal(plan.reasons.length, 1);
    assert.match(plan.reasons[0] ?? '', words);
  }
});
