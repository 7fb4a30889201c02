/** What a VM's host has seen of its NICs, for who looks at the VM. */
import type { AddressesReport } from '../api/agent-protocol.ts';
import type { NicSeen } from '../model/vm-spec.ts';

export function nicsSeen(report: AddressesReport | undefined, vm: string): readonly NicSeen[] {
  const seen = (report?.seen ?? []).filter((s) => s.vm === vm && s.place === 'here' && s.evidence !== 'declared');
  const guards = (report?.guards ?? []).filter((guard) => guard.vm === vm);
  const nics = [...new Set([...seen.flatMap(({ nic }) => nic ?? []), ...guards.map(({ nic }) => nic)])].sort((a, b) => a - b);
  return nics.map((nic) => {
    const dropped = guards.find((guard) => guard.nic === nic)?.dropped;
    return { nic, seen: seen.filter((s) => s.nic === nic).map(({ address }) => address), ...(dropped ? { dropped } : {}) };
  });
}
