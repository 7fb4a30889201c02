/** Devices with a MAC of their own on another device's wire (macvlan): where a virtual router's MAC lives. */
import { GodwitError } from '../base/error.ts';
import { MacAddress } from '../wire/mac-address.ts';
import type { Link, Links } from './link.ts';
import { u32 } from './netlink-message.ts';

const IFLA_MACVLAN_MODE = 1;
/** MACVLAN_MODE_*: `private` hears nothing from other macvlans of its parent, and they nothing from it. */
const modes = { private: 1 } as const;

export interface Macvlan {
  readonly name: string;
  /** Index of the device on whose wire it is. */
  readonly parent: number;
  readonly mac: MacAddress;
  readonly mode: keyof typeof modes;
}

/** The name belongs to a device of another kind, which is left alone. */
export class MacvlanNameTaken extends GodwitError {
  constructor(name: string, kind: string) {
    super('HOST_MACVLAN_NAME_TAKEN', `${name} is a device of another kind (${kind || 'hardware'}) already: rename or remove that device`);
  }
}

/** Down, without an IPv6 address of its own making. Throws KernelRefused: EEXIST, ENODEV (parent), EINVAL or EBUSY (MAC, parent's kind). */
export function createMacvlan({ links }: { readonly links: Links }, { name, parent, mac, mode }: Macvlan): Link {
  const { index } = links.create(name, 'macvlan', [[IFLA_MACVLAN_MODE, u32(modes[mode])]], { parent, address: mac });
  try {
    links.set(index, { noIpv6Address: true });
    return links.get(name);
  } catch (error) {
    links.delete(index);
    throw error;
  }
}

/**
 * The same where one of that name may be left over: with this parent and MAC it is taken over, and down; another macvlan is made anew.
 * Addresses of the one taken over stay. Throws MacvlanNameTaken too.
 */
export function ensureMacvlan(host: { readonly links: Links }, macvlan: Macvlan): Link {
  const { links } = host;
  const found = links.find(macvlan.name);
  if (!found) return createMacvlan(host, macvlan);
  if (found.kind !== 'macvlan') throw new MacvlanNameTaken(macvlan.name, found.kind);
  if (found.parent !== macvlan.parent || !MacAddress.of(found.address).equals(macvlan.mac)) {
    links.delete(found.index);
    return createMacvlan(host, macvlan);
  }
  links.set(found.index, { up: false, noIpv6Address: true });
  return links.get(macvlan.name);
}
