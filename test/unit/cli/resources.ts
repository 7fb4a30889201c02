/** A small cluster as the server would tell it. */
import type { EventResource } from '../../../src/model/event.ts';
import type { HostResource } from '../../../src/model/host.ts';
import type { MigrationResource, MigrationStatus } from '../../../src/model/migration.ts';
import type { NetworkResource } from '../../../src/model/network.ts';
import type { PolicyResource } from '../../../src/model/cluster-policy.ts';
import type { RouterStatus, RouterTransition, VirtualRouterResource } from '../../../src/model/virtual-router.ts';
import type { VmResource } from '../../../src/model/vm-spec.ts';
import { T0 } from './receipts.ts';

/** A minute after the moves of receipts.ts. */
export const NOW = T0 + 60_000;

export const host = (name: string, n: number): HostResource => ({
  kind: 'Host', name, revision: n, labels: { rack: n === 1 ? 'a' : 'b' }, spec: { address: `10.0.0.${n}` },
  status: {
    state: n === 3 ? 'silent' : 'ready', lastReport: NOW - (n === 3 ? 400_000 : 700),
    agent: { version: '0.1.0', instance: 'i', startedAt: NOW - 3_600_000 * 50, cpuTime: 61_300, residentMemory: 72 * 2 ** 20 },
    qemu: '8.2.2', kernel: '6.1.0-18-amd64', cpu: 'AMD EPYC 7313', cpus: 32, accelerators: ['kvm', 'tcg'],
    memory: 128 * 2 ** 30, freeMemory: 61.5 * 2 ** 30, bridges: { br0: { mtu: 1500 }, br1: { mtu: 9000 } }, missingFeatures: [],
  },
});
export const network: NetworkResource = { kind: 'Network', name: 'lan', revision: 4, spec: { bridge: 'br0', gateway: '192.0.2.1' } };
const madeNetworks: readonly NetworkResource[] = [
  { kind: 'Network', name: 'web', revision: 5, spec: { bridge: 'br-web', guard: true, routed: { gateways: ['10.77.0.1/24', 'fd77::1/64'] } } },
  { kind: 'Network', name: 'backend', revision: 6, spec: { bridge: 'br-backend', vxlan: { vni: 7077 } } },
];
export const vm = (name: string, over: Partial<VmResource['status'] & object> = {}): VmResource => ({
  kind: 'Vm', name, revision: 5, labels: { tier: name.startsWith('web') ? 'web' : 'db' },
  spec: {
    cpus: 2, memory: '4GiB', nics: [{ network: 'lan', mac: '52:54:00:00:00:0a', addresses: ['192.0.2.10', '2001:db8::10'] }],
    disks: [{ path: '/vm/web.qcow2', format: 'qcow2' }],
  },
  status: { state: 'running', since: NOW - 7_500_000, placement: { host: 'host-a', epoch: 3, start: 1 }, ...over },
});
export const failed: VmResource = vm('db-1', { state: 'failed', reason: 'QEMU ended: out of memory', since: NOW - 90_000 });
export const unplaced: VmResource = { kind: 'Vm', name: 'web-10', revision: 7, spec: { cpus: 1, memory: '512MiB' } };

export const migration = (status: Partial<MigrationStatus>, over: Partial<MigrationResource> = {}): MigrationResource => ({
  kind: 'Migration', name: 'web-1-3', revision: 20, spec: { vm: 'web-1', to: 'host-b' },
  status: { phase: 'queued', from: 'host-a', createdAt: T0, move: 'a00010', ...status }, ...over,
});
export const copying = (fraction: number, over: object = {}): MigrationResource => migration({
  phase: 'copy', startedAt: T0 + 100,
  progress: { fraction, pass: 2, transferred: 2e9, remaining: (1 - fraction) * 4 * 2 ** 30, throughput: 812e6, dirtyRate: 4.2e6, timeLeft: (1 - fraction) * 5300, ...over },
});

export const event = (n: number, about: EventResource['spec']['about'], reason: string, message: string, severity: EventResource['spec']['severity'] = 'info'): EventResource => ({
  kind: 'Event', name: String(n).padStart(16, '0'), revision: 30 + n,
  spec: { at: NOW - 1000 * (200 - n), severity, about, reason, message, ...(about.kind === 'Vm' ? { host: 'host-a' } : {}) },
});
export const events = [
  event(1, { kind: 'Vm', name: 'web-1' }, 'Started', 'started on host-a'),
  event(2, { kind: 'Host', name: 'host-c' }, 'AgentSilent', 'no report for 5 s: what runs there is not known', 'alarm'),
  event(3, { kind: 'Vm', name: 'db-1' }, 'Ended', 'QEMU ended: out of memory', 'warning'),
];
export const policy: PolicyResource = { kind: 'Policy', name: 'default', revision: 3, spec: { moves: { maxPause: '500ms' } } };
const routerStatus = (over: Partial<RouterStatus>): RouterStatus => ({
  state: 'backup', since: NOW - 320_000, priority: 100, effectivePriority: 100, interval: 100, effectiveInterval: 100, differences: [], tracks: [],
  counters: { sent: 0, received: 3180, dropped: { ttl: 0 }, transitions: 2 }, duels: { count: 0 },
  timing: { scheduling: 'realtime', ticks: 602, median: 0.041, p99: 0.312, worst: 1.84, smallestInterval: 10 }, ...over,
});
export const router: VirtualRouterResource = {
  kind: 'VirtualRouter', name: 'gw', revision: 8, labels: { site: 'x' },
  spec: {
    vrid: 10, addresses: ['192.0.2.1/24', '192.0.2.2/24'], interface: 'eth0', interval: '100ms', preemptDelay: '5s', group: 'edge', notify: 'tell-bgp',
    hosts: { 'host-a': { priority: 150 }, 'host-b': {}, 'host-c': { priority: 90 } },
  },
  status: {
    active: ['host-a'],
    hosts: {
      'host-a': routerStatus({
        state: 'active', priority: 150, effectivePriority: 150, effectiveInterval: 250,
        tracks: [{ what: 'interface eth1', up: true }, { what: 'route 0.0.0.0/0', up: false, weight: -50 }, { what: 'script check-uplink', weight: 10 }],
        counters: { sent: 3201, received: 12, dropped: { checksum: 3, ttl: 1 }, unsent: { ENOBUFS: 2, peers: 0, EPERM: 1 }, transitions: 3 }, duels: { count: 2, lastHealed: 41.3 },
        timing: { scheduling: 'ordinary', because: 'the kernel refuses SCHED_RR: EPERM', ticks: 240, median: 0.82, p99: 14.1, worst: 61.9, smallestInterval: 250 },
      }),
      'host-b': routerStatus({
        effectivePriority: 80, active: { address: '192.0.2.251', priority: 150, interval: 250, checksum: 'pseudo-header' },
        differences: ['192.0.2.251 sends every 250 ms, declared are 100 ms'],
      }),
      'host-c': { ...routerStatus({ priority: 90, effectivePriority: 90 }), state: 'unknown', since: NOW - 400_000, reason: 'host-c is silent: it was backup when last heard' },
    },
  },
};
export const untold: VirtualRouterResource = { kind: 'VirtualRouter', name: 'v6', revision: 9, spec: { vrid: 200, addresses: ['fe80::1/64', '2001:db8::1/64'], version: 3, virtualMac: false, preempt: false, unicast: true, peers: ['fe80::9'], accept: false, hosts: { 'host-a': { interface: 'eth0' } } } };
const transition = (n: number, host: string, over: Partial<RouterTransition>): EventResource => {
  const evidence: RouterTransition = {
    sequence: n, pulse: 'p1', router: 'gw', at: NOW - 320_000 + n * 12.5, from: 'initialize', to: 'backup', rule: 'Startup (RFC 9568 §6.4.1)', priority: 150, adverts: [],
    lateness: { now: 0.04, worst: 0.9 }, link: 'up', down: [], ...over,
  };
  return {
    kind: 'Event', name: String(1000 + n).padStart(16, '0'), revision: 50 + n,
    spec: { at: NOW - 319_000 + n, severity: evidence.to === 'fault' ? 'warning' : 'info', about: { kind: 'VirtualRouter', name: 'gw' }, host, reason: 'RouterBackup', message: 'gw changed', evidence },
  };
};
export const transitions = [
  transition(1, 'host-a', {}),
  transition(3, 'host-a', {
    from: 'backup', to: 'active', rule: 'Active_Down_Timer expired (RFC 9568 §6.4.2 (170))', lateness: { now: 0.12, worst: 61.9 },
    adverts: [
      { from: '192.0.2.252', priority: 100, interval: 100, ago: 361.2 }, { from: '192.0.2.252', priority: 100, interval: 100, ago: 461.2 },
      { from: '192.0.2.253', priority: 90, interval: 1000, ago: 2400 },
    ],
  }),
  // Told before the one above, happened after it.
  transition(2, 'host-b', { at: NOW - 319_000, from: 'active', to: 'fault', rule: 'the link of eth0 is down', priority: 100, link: 'down', down: ['interface eth1', 'script check-uplink'] }),
];
export const routers = [router, untold, ...transitions, event(9, { kind: 'VirtualRouter', name: 'gw' }, 'RouterContested', 'gw: host-a and host-b say they are Active at the same time', 'alarm')];
export const cluster = [
  host('host-a', 1), host('host-b', 2), host('host-c', 3), network, ...madeNetworks, policy, vm('web-2'), unplaced, vm('web-1', { migration: 'web-1-3', state: 'moving' }), failed,
  copying(0.4275), ...events,
];
