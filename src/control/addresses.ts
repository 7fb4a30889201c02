/**
 * Who is where, of all hosts together: what is declared, and what the agents reported last (derived.ts).
 */
import type { Clock } from '../base/clock.ts';
import { type AddressHolder, type AddressSighting, addressName } from '../model/address.ts';
import { SIGHT_AGE } from '../protocol/address-registry.ts';
import { parseIpAddress } from '../wire/ip-address.ts';
import { virtualRouterMac } from '../wire/vrrp.ts';
import { conflictText, openConflicts } from './address-conflicts.ts';
import { Derived } from './derived.ts';
import type { View } from './draft.ts';
import type { Liveness } from './liveness.ts';
import { type NicName, nicsOf } from './lookup.ts';
import type { AddressRecord } from './records.ts';

type Holder = { -readonly [K in keyof AddressHolder]: AddressHolder[K] };
interface Found {
  readonly network: string;
  readonly address: string;
  /** By MAC, or by the router that has none. */
  readonly holders: Map<string, Holder>;
}

export const addressesOf = (live: Liveness, clock: Clock): Derived<'Address'> =>
  new Derived('Address', clock, { records: (view, now) => recordsOf(view, live, now), lasting });

function lasting({ spec, status }: AddressRecord): unknown {
  return { spec, conflicts: status.conflicts, holders: status.holders.map((holder) => ({ ...holder, first: 0, last: 0 })) };
}

function recordsOf(view: View, live: Liveness, now: number): Map<string, AddressRecord> {
  const all = new Map<string, Found>();
  const find = (network: string, address: string): Found => {
    const name = addressName({ network, address });
    const found = all.get(name) ?? { network, address, holders: new Map<string, Holder>() };
    all.set(name, found);
    return found;
  };
  for (const { network, address, key, holder } of declared(view)) find(network, address).holders.set(key, holder);
  const nics = nicsOf(view);
  for (const { host, time, addresses } of live.addresses()) {
    for (const sighting of addresses.seen) {
      const last = sighting.last === undefined ? undefined : time - sighting.last;
      // Of a host that has been silent for long.
      if (sighting.mac === undefined || last === undefined || now - last > SIGHT_AGE) continue;
      const { network, address, mac } = sighting;
      see(find(network, address), { ...sighting, mac, last, first: time - sighting.first, host }, nics.get(`${network} ${mac}`));
    }
  }
  const conflicts = Map.groupBy(openConflicts(view), addressName);
  return new Map([...all].map(([name, { network, address, holders }]) => {
    const sorted = [...holders.values()].map((holder): AddressHolder => ({ ...holder, seenBy: holder.seenBy.toSorted() }))
      .sort((a, b) => rank(b) - rank(a) || (b.last ?? 0) - (a.last ?? 0));
    const disputes = (conflicts.get(name) ?? []).map((conflict) => conflictText(view, nics, conflict));
    return [name, { spec: { network, address }, status: { holders: sorted, conflicts: disputes } }];
  }));
}

const rank = ({ vm, router, host }: AddressHolder): number => (vm === undefined && router === undefined ? 0 : 2) + (host === undefined ? 0 : 1);

interface Declared {
  readonly network: string;
  readonly address: string;
  readonly key: string;
  readonly holder: Holder;
}

function* declared(view: View): Generator<Declared> {
  for (const { name: vm, record: { spec, status } } of view.rows('vms')) {
    const host = status.state === 'stopped' || status.state === 'failed' ? undefined : status.placement?.host;
    const at = host === undefined ? {} : { host };
    for (const [nic, { network, mac, addresses = [] }] of (spec.nics ?? []).entries()) {
      const key = mac.toLowerCase();
      for (const address of addresses) {
        yield { network, address: plain(address), key, holder: { mac: key, vm, nic, ...at, evidence: 'declared', seenBy: [] } };
      }
    }
  }
  const bridges = new Map(view.rows('networks').map(({ name, record }) => [record.spec.bridge, name]));
  for (const { name: router, record: { spec, status } } of view.rows('routers')) {
    const devices = new Set(Object.values(spec.hosts).map((host) => host.interface ?? spec.interface ?? ''));
    const [host, ...more] = status?.active ?? [];
    for (const device of devices) {
      for (const cidr of spec.addresses) {
        const address = plain(cidr.replace(/\/.*/, ''));
        const mac = spec.virtualMac === false ? {} : { mac: virtualRouterMac(address.includes(':') ? 6 : 4, spec.vrid).toString() };
        const at = host === undefined || more.length > 0 ? {} : { host };
        const holder: Holder = { ...mac, router, ...at, evidence: 'declared', seenBy: [] };
        yield { network: bridges.get(device) ?? device, address, key: holder.mac ?? router, holder };
      }
    }
  }
}

/** Equal addresses have equal texts once parsed; what is declared was checked. */
function plain(text: string): string {
  return parseIpAddress(text).toString();
}

/** With its instants, and who told of it. */
type Seen = AddressSighting & { readonly mac: string; readonly last: number; readonly host: string };

function see({ holders }: Found, { mac, place, vm, nic, router, evidence, first, last, host }: Seen, owner: NicName | undefined): void {
  // A router without virtual MAC has that of a host.
  const unnamed = router === undefined ? undefined : holders.get(router);
  if (unnamed && router !== undefined) holders.delete(router);
  const holder: Holder = holders.get(mac) ?? { ...unnamed, mac, evidence, seenBy: [] };
  const whose = place === 'here' && vm !== undefined && nic !== undefined ? { vm, nic } : owner;
  if (holder.last === undefined || last >= holder.last) {
    Object.assign(holder, { evidence, last }, router === undefined ? whose : { router }, place === 'here' ? { host } : {});
  }
  holder.first = Math.min(holder.first ?? Infinity, first);
  holder.seenBy = holder.seenBy.includes(host) ? holder.seenBy : [...holder.seenBy, host];
  holders.set(mac, holder);
}
