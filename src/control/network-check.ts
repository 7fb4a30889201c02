/** What is wrong with a network that Godwit is to make: in itself, beside the others, and for the VMs that are on it. */
import { type NetworkSpec, NetworkSpecError, isMadeByGodwit, kindOfNetwork } from '../model/network.ts';
import type { View } from './draft.ts';

/** `networks`: all there will be, this one among them. */
export function checkNetwork(view: View, name: string, spec: NetworkSpec, networks: ReadonlyMap<string, NetworkSpec>, complain: (path: string, message: string) => void): void {
  try {
    kindOfNetwork(name, spec);
  } catch (error) {
    if (!(error instanceof NetworkSpecError)) throw error;
    complain(error.path, error.message);
    return;
  }
  for (const [other, { bridge, vxlan, routed }] of networks) {
    if (other === name) continue;
    if (bridge === spec.bridge && (isMadeByGodwit(spec) || vxlan || routed)) complain('/spec/bridge', `${bridge} is network ${other}'s: a bridge that Godwit makes is one network's alone; name another`);
    if (vxlan && spec.vxlan?.vni === vxlan.vni) complain('/spec/vxlan/vni', `${vxlan.vni} is network ${other}'s number: choose another`);
  }
  const before = view.get('networks', name)?.spec;
  if (before === undefined || sameMaking(before, spec)) return;
  const user = view.rows('vms').find(({ record: vm }) => vm.status.placement && vm.status.state !== 'stopped' && vm.spec.nics?.some((nic) => nic.network === name));
  if (user) complain('/spec', `${user.name} is on it, and would stay on the old one: stop its VMs before its kind, its bridge, its VNI or its gateway's MAC changes`);
}

/** What cannot be changed under a VM that runs. */
const sameMaking = (a: NetworkSpec, b: NetworkSpec): boolean => JSON.stringify(making(a)) === JSON.stringify(making(b));
const making = ({ bridge, routed, vxlan }: NetworkSpec): unknown => [bridge, routed ? (routed.mac?.toLowerCase() ?? '') : null, vxlan ? [vxlan.vni, vxlan.port ?? null] : null];
