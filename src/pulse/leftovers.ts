/** What Godwit's virtual routers left on a host, whoever of Godwit put it there. */
import { constants } from 'node:os';
import type { Host } from '../host/host.ts';
import { deletionTogether } from '../host/link.ts';
import { MacAddress } from '../wire/mac-address.ts';
import { virtualRouterMac } from '../wire/vrrp.ts';
import { Deletions } from './deletions.ts';
import { ADDRESS_PROTOCOL, tolerate } from './kernel-seat.ts';
import { SlowNetlink } from './slow-netlink.ts';

const { EADDRNOTAVAIL, ENODEV } = constants.errno;
/** Devices that go at once. */
const MOST = 100;

/**
 * Removes every address with Godwit's mark; some 30 µs each. (A kernel before 5.18 forgets the mark: there the addresses end with their
 * lifetime.)
 */
export function removeAddresses(host: Host): void {
  for (const { device, address, prefixLength, protocol } of host.addresses.list()) {
    if (protocol === ADDRESS_PROTOCOL) tolerate([EADDRNOTAVAIL, ENODEV], () => host.addresses.remove(device, address, prefixLength));
  }
}

/** Removes every device of Godwit's virtual routers: some 50 ms for a hundred of them. */
export function removeDevices(host: Host): void {
  const indexes = leftDevices(host);
  while (indexes.length > 0) {
    for (const request of deletionTogether(indexes.splice(0, MOST))) tolerate([ENODEV], () => host.links.request(request));
  }
}

/** The same off this thread. Rejects with KernelRefused. */
export async function removeDevicesSlowly(host: Host): Promise<void> {
  const indexes = leftDevices(host);
  if (indexes.length === 0) return;
  const slow = new SlowNetlink(host);
  try {
    const deletions = new Deletions(slow, MOST);
    await Promise.all(indexes.map((index) => deletions.delete(index)));
  } finally {
    slow.close();
  }
}

const leftDevices = (host: Host): number[] =>
  host.links.list().flatMap(({ index, name, kind, address }) => (kind === 'macvlan' && isOurs(name, address) ? [index] : []));

function isOurs(name: string, mac: Uint8Array): boolean {
  const [, family, vrid] = /^gvr([46])-(\d{1,3})(?:-\d+)?$/.exec(name) ?? [];
  return family !== undefined && Number(vrid) <= 255 && MacAddress.of(mac).equals(virtualRouterMac(family === '4' ? 4 : 6, Number(vrid)));
}
