/** Devices that Godwit makes for a network of VMs: told from an administrator's by the note on them (alias). */
import { GodwitError } from '../base/error.ts';
import type { Link, Links } from './link.ts';

const MARK = 'godwit network ';

/** `web vni 7`: whose network's it is, and what cannot be changed on it later. */
export const markOf = (network: string, rest = ''): string => `${MARK}${network}${rest === '' ? '' : ` ${rest}`}`;

/** The network for which Godwit made it; undefined of every other device. */
export const networkOf = ({ alias }: Pick<Link, 'alias'>): string | undefined => (alias.startsWith(MARK) ? alias.slice(MARK.length).split(' ')[0] : undefined);

/** There is a device of that name already, and Godwit did not make it for this network. */
export class DeviceTaken extends GodwitError {
  constructor(network: string, { name, alias }: Link) {
    const other = networkOf({ alias });
    const whose = other === undefined ? 'was not made by Godwit' : `is network ${other}'s`;
    super('HOST_DEVICE_TAKEN', `Network ${network} needs a device ${name} of its own, and the one that is there ${whose}: name another bridge, or remove that one`);
  }
}

/** The one with this mark, as it is; made anew where it has another mark of the same network. Throws DeviceTaken, KernelRefused. */
export function ensureMade(links: Links, name: string, network: string, mark: string, make: () => Link): Link {
  const there = links.find(name);
  if (there?.alias === mark) return there;
  if (there) {
    if (networkOf(there) !== network) throw new DeviceTaken(network, there);
    links.delete(there.index);
  }
  const made = make();
  try {
    links.set(made.index, { alias: mark });
  } catch (error) {
    links.delete(made.index);
    throw error;
  }
  return { ...made, alias: mark };
}
