/** VMs and hosts as policy/placement.ts sees them. */
import { bytes } from '../base/units.ts';
import { isMadeByGodwit } from '../model/network.ts';
import { parseSize } from '../model/quantity.ts';
import type { Candidate, Wish } from '../policy/placement.ts';
import type { View } from './draft.ts';
import type { Liveness } from './liveness.ts';
import { moves, unready } from './lookup.ts';
import type { VmRecord } from './records.ts';

export function wishOf(view: View, { spec }: VmRecord): Wish {
  const networks = (spec.nics ?? []).flatMap((nic) => {
    const network = view.get('networks', nic.network)?.spec;
    return network ? [{ name: nic.network, bridge: network.bridge, mtu: network.mtu ?? 1500, made: isMadeByGodwit(network) }] : [];
  });
  return { memory: parseSize(spec.memory), accelerator: spec.accelerator ?? 'kvm', networks, ...(spec.host === undefined ? {} : { host: spec.host }) };
}

export function candidatesOf(view: View, live: Liveness): Candidate[] {
  // Those that are to come are not in the host's own figure yet.
  const claimed = new Map<string, number>();
  const claim = (host: string, vm: VmRecord | undefined): void => {
    if (vm) claimed.set(host, (claimed.get(host) ?? 0) + parseSize(vm.spec.memory));
  };
  for (const { record: vm } of view.rows('vms')) {
    if (vm.status.placement && !vm.startWanted && (vm.observed?.state ?? 'starting') === 'starting') claim(vm.status.placement.host, vm);
  }
  for (const { record: m } of view.rows('migrations')) if (moves(m)) claim(m.spec.to, view.get('vms', m.spec.vm));
  return view.rows('hosts').map(({ name, record: host }) => {
    const why = unready(view, name);
    const status = host.status && live.fresh(name, host.status);
    return {
      name, freeMemory: bytes((status?.freeMemory ?? 0) - (claimed.get(name) ?? 0)), accelerators: status?.accelerators ?? [], bridges: status?.bridges ?? {},
      ...(why === undefined ? {} : { unready: why }),
    };
  });
}
