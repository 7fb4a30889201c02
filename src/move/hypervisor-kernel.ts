/** The hypervisor on the real thing: kernel, QEMU. */
import { existsSync } from 'node:fs';
import type { Host } from '../host/host.ts';
import { describeHost } from '../host/self.ts';
import type { HostStatus } from '../model/host.ts';
import type { Vm } from '../model/vm.ts';
import type { HostFacts, MoveFacts } from '../policy/plan.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { DestinationGuest, MoveTerms, SourceEnd } from './ends.ts';
import type { Guest, Hypervisor, Place } from './hypervisor.ts';
import { KernelGuest } from './kernel-guest.ts';
import { MoveDestination } from './move-destination.ts';
import { hostFacts, lasting, pathFacts } from './plan-facts.ts';
import { kernelProbes } from './preflight-kernel.ts';
import type { HostProbes } from './preflight.ts';
import { KernelSourceEnd } from './source-end.ts';

export interface KernelHypervisorOptions {
  /** Whether the hosts ask the guest themselves when it answers in a move; not needed where a prober watches. Default true. */
  readonly hostProbes?: boolean;
}

export class KernelHypervisor implements Hypervisor {
  readonly #host: Host;
  readonly #hostProbes: boolean;
  readonly probes: HostProbes;

  /** `host` stays the caller's. */
  constructor(host: Host, { hostProbes = true }: KernelHypervisorOptions = {}) {
    this.#host = host;
    this.#hostProbes = hostProbes;
    this.probes = kernelProbes(host);
  }

  get host(): string {
    return this.#host.name;
  }

  start(vm: Vm, place: Place): Promise<KernelGuest> {
    return KernelGuest.start(this.#host, vm, place, false);
  }

  adopt(vm: Vm, place: Place): Promise<KernelGuest | undefined> {
    return KernelGuest.adopt(this.#host, vm, place);
  }

  async status(): Promise<Omit<HostStatus, 'state' | 'lastReport' | 'agent'>> {
    const { qemu, missingFeatures } = await lasting(this.#host);
    return {
      ...describeHost(this.#host), qemu: `${qemu.version.major}.${qemu.version.minor}`, missingFeatures,
      accelerators: existsSync('/dev/kvm') ? ['kvm', 'tcg'] : ['tcg'],
    };
  }

  facts(vm: Vm): Promise<HostFacts> {
    return hostFacts(this.#host, vm);
  }

  async path(guest: Guest, to: IpAddress): Promise<Pick<MoveFacts, 'pathMtu' | 'outerFamily' | 'draining'>> {
    return pathFacts(own(guest), to);
  }

  sourceEnd(guest: Guest, terms: MoveTerms): Promise<SourceEnd> {
    return KernelSourceEnd.prepare(own(guest), terms, { hostProbes: this.#hostProbes });
  }

  adoptSourceEnd(guest: Guest, terms: MoveTerms): Promise<SourceEnd> {
    return KernelSourceEnd.adopt(own(guest), terms);
  }

  async clear({ id }: MoveTerms): Promise<void> {
    const { links } = this.#host;
    for (const { index } of links.list().filter(({ name }) => name.startsWith(`gx-${id}-`))) links.delete(index);
  }

  prepareDestination(vm: Vm, place: Place, terms: MoveTerms): Promise<DestinationGuest> {
    return MoveDestination.prepare(this.#host, vm, place, terms, { hostProbes: this.#hostProbes });
  }

  adoptDestination(vm: Vm, place: Place, terms: MoveTerms): Promise<DestinationGuest | undefined> {
    return MoveDestination.adopt(this.#host, vm, place, terms);
  }
}

/** Guests go back to the hypervisor that made them. */
function own(guest: Guest): KernelGuest {
  if (guest instanceof KernelGuest) return guest;
  throw new TypeError(`${guest.vm.name} is not this hypervisor's`);
}
