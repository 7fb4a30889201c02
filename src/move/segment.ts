/**
 * What a guest's NICs need of the networks that Godwit makes (model/network.ts), beyond a port at the bridge. On a routed one: that
 * its addresses are routes of the host where it runs. On a VXLAN: that its host keeps handing on what still comes for it.
 */
import type { Host } from '../host/host.ts';
import { ifThere } from '../host/netlink.ts';
import { type RoutedAddress, routeHere, routeLeaving, routeNowhere } from '../host/routed-network.ts';
import { vxlanDevice } from '../host/vxlan-network.ts';
import type { VmTap } from '../host/vm-tap.ts';
import type { Nic, Vm } from '../model/vm.ts';
import type { IpAddress } from '../wire/ip-address.ts';

/** As much of a guest as its network is. */
interface Networked {
  readonly host: Host;
  readonly vm: Pick<Vm, 'nics'>;
  readonly taps: readonly VmTap[];
}

/** The guest runs here, or is about to: before its first frame. Again is fine, and corrects what is there. */
export function settle(guest: Networked): void {
  const { host } = guest;
  for (const routed of routedAddresses(guest)) routeHere(host, routed);
  // An entry goes with its age.
  for (const { nic, device } of overVxlan(guest)) ifThere(() => host.vxlan.forget(device, nic.mac));
}

/**
 * From the redirect on. Another host's frames take until its own bridge has heard of the move; meanwhile the bridge here must not
 * believe the guest to be elsewhere already: what comes by the VXLAN device never leaves by it again, and would be dropped.
 */
export function hold(guest: Networked, only?: number): void {
  for (const { nic, tap, at } of overVxlan(guest)) if (only === undefined || only === at) guest.host.bridges.hold(tap.index, nic.mac);
}

/** The guest goes on here after all, or all others have heard where it is now: the bridge learns as it always does. */
export function unhold(guest: Networked, only?: number): void {
  // A tap goes with its QEMU at any moment.
  for (const { nic, tap, at } of overVxlan(guest)) if (only === undefined || only === at) ifThere(() => guest.host.bridges.learn(tap.index, nic.mac));
}

/**
 * The guest has been handed over: routing daemons hear that its other host is to be preferred, so that what comes for it goes there
 * as soon as they know of that one, and the redirect falls silent. What still comes here goes into it as before.
 */
export function handOver(guest: Networked): void {
  for (const routed of routedAddresses(guest)) routeLeaving(guest.host, routed);
}

/** After `handOver`, before the redirect ends: nothing goes to the guest's tap any more. */
export function leave(guest: Networked, to: IpAddress): void {
  const { host } = guest;
  withdraw(guest);
  for (const { nic, device } of overVxlan(guest)) {
    ifThere(() => {
      host.vxlan.set(device, { mac: nic.mac, remote: to });
      host.bridges.learn(device, nic.mac);
    });
  }
}

/** The guest is gone from here, or never ran. Again is fine. */
export function withdraw(guest: Pick<Networked, 'host' | 'vm'>): void {
  for (const routed of routedAddresses(guest)) routeNowhere(guest.host, routed);
}

function routedAddresses({ host, vm }: Pick<Networked, 'host' | 'vm'>): RoutedAddress[] {
  const nics = vm.nics.flatMap((nic) => (segmentOf(nic)?.kind === 'routed' ? [{ nic, bridge: bridgeOf(host, nic) }] : []));
  return nics.flatMap(({ nic: { mac, addresses }, bridge }) => (bridge === undefined ? [] : addresses.map((address) => ({ address, mac, bridge }))));
}

function overVxlan({ host, vm, taps }: Networked) {
  return vm.nics.flatMap((nic, at) => {
    const [segment, tap] = [segmentOf(nic), taps[at]];
    if (segment?.kind !== 'vxlan' || !tap) return [];
    const device = host.links.find(vxlanDevice(segment.vni))?.index;
    return device === undefined ? [] : [{ nic, tap, at, device }];
  });
}

export const segmentOf = ({ attachment }: Pick<Nic, 'attachment'>) => (attachment.kind === 'bridge' ? attachment.segment : undefined);
const bridgeOf = (host: Host, { attachment }: Nic): number | undefined => (attachment.kind === 'bridge' ? host.links.find(attachment.bridge)?.index : undefined);
