/** What a network's `guard` means for VMs that are declared already: those in the same file are checked for themselves. */
import type { Declared } from '../api/check-document.ts';
import type { View } from './draft.ts';

type Complain = (document: number, path: string, message: string) => void;

export function checkGuards(view: View, declared: readonly (Declared & { readonly document: number })[], complain: Complain): void {
  const anew = new Set(declared.flatMap((d) => (d.kind === 'Vm' ? [d.declared.name] : [])));
  for (const d of declared) {
    if (d.kind !== 'Network' || !d.declared.spec.guard) continue;
    const { name } = d.declared;
    const open = view.rows('vms').filter(({ name: vm, record }) => !anew.has(vm)
      && record.spec.nics?.some((nic) => nic.network === name && nic.guard === undefined && (nic.addresses ?? []).length === 0));
    if (open.length === 0) continue;
    const names = open.map((vm) => vm.name).join(', ');
    const lack = `${names} on ${name} ${open.length === 1 ? 'has' : 'have'} none`;
    complain(d.document, '/spec/guard', `a guarded NIC can send from its own addresses alone, and ${lack}: name them first, or say guard: false there`);
  }
}
