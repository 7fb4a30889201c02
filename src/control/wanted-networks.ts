/** The networks that Godwit makes, as one host needs them: who else uses them, and who is where. A function of what is in the store. */
import type { WantedNetwork } from '../api/agent-protocol.ts';
import { isMadeByGodwit } from '../model/network.ts';
import type { VmSpec } from '../model/vm-spec.ts';
import type { View } from './draft.ts';
import { hostOf } from './lookup.ts';

/** Of every network that a VM of this host is on, or one that a move brings or takes. */
export function wantedNetworks(view: View, host: string): WantedNetwork[] {
  const made = view.rows('networks').filter(({ record: { spec } }) => isMadeByGodwit(spec));
  if (made.length === 0) return [];
  const usedBy = users(view);
  return made.flatMap(({ name, record: { spec } }) => {
    const hosts = usedBy.get(name);
    if (!hosts?.has(host)) return [];
    const address = (other: string): string | undefined => view.get('hosts', other)?.spec.address;
    const peers = [...hosts].filter((other) => other !== host).flatMap((other) => address(other) ?? []).toSorted();
    const nics = view.rows('vms').flatMap(({ record: vm }) => {
      const at = vm.status.placement?.host;
      const behind = at === undefined || at === host ? undefined : address(at);
      return nicsOn(vm.spec, name).map(({ mac, addresses = [] }) => ({ mac, addresses, ...(behind === undefined ? {} : { at: behind }) }));
    });
    return [{ name, spec, peers, nics }];
  });
}

/** By network: the hosts that need it. */
function users(view: View): Map<string, Set<string>> {
  const used = new Map<string, Set<string>>();
  const use = (spec: VmSpec | undefined, host: string): void => {
    for (const { network } of spec?.nics ?? []) used.set(network, (used.get(network) ?? new Set()).add(host));
  };
  for (const { record: { spec, status } } of view.rows('vms')) if (status.placement) use(spec, status.placement.host);
  for (const { name, record: { told } } of view.rows('moves')) {
    const migration = view.get('migrations', name);
    // Until a host has told its end: there may be something of the VM left there.
    if (migration) for (const role of ['source', 'destination'] as const) if (!told[role]) use(view.get('vms', migration.spec.vm)?.spec, hostOf(migration, role));
  }
  return used;
}

const nicsOn = ({ nics = [] }: VmSpec, network: string) => nics.filter((nic) => nic.network === network);
