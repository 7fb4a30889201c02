/** A small cluster as the server would tell it. */
import type { EventResource } from '../../../src/model/event.ts';
import type { HostResource } from '../../../src/model/host.ts';
import type { MigrationResource, MigrationStatus } from '../../../src/model/migration.ts';
import type { NetworkResource } from '../../../src/model/network.ts';
import type { PolicyResource } from '../../../src/model/cluster-policy.ts';
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
export const cluster = [
  host('host-a', 1), host('host-b', 2), host('host-c', 3), network, policy, vm('web-2'), unplaced, vm('web-1', { migration: 'web-1-3', state: 'moving' }), failed,
  copying(0.4275), ...events,
];
