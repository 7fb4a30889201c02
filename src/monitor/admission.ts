/** Whose probes are answered: the hosts of the plan, and the addresses and prefixes that the policy names. */
import type { WatchPlan } from '../model/watch-plan.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { type IpPrefix, parseIpPrefix } from '../wire/ip-prefix.ts';

export class Admission {
  #hosts = new Set<string>();
  /** What was found of an address that is handed in again and again. */
  #known = new WeakMap<IpAddress, boolean>();
  #prefixes: readonly { readonly bytes: Uint8Array; readonly length: number }[] = [];

  /** @returns what of `reflectTo` is neither an address nor a prefix */
  set({ peers, probing }: Pick<WatchPlan, 'peers' | 'probing'>): readonly string[] {
    const bad: string[] = [];
    this.#known = new WeakMap();
    this.#hosts = new Set(peers.flatMap(({ addresses }) => Object.values(addresses)));
    this.#prefixes = probing.reflectTo.flatMap((text) => {
      const prefix = prefixOf(text);
      if (!prefix) bad.push(text);
      return prefix ? [{ bytes: prefix.address.bytes(), length: prefix.prefixLength }] : [];
    });
    return bad;
  }

  admits(source: IpAddress): boolean {
    let admitted = this.#known.get(source);
    if (admitted === undefined) {
      admitted = this.#look(source);
      this.#known.set(source, admitted);
    }
    return admitted;
  }

  #look(source: IpAddress): boolean {
    if (this.#hosts.has(source.toString())) return true;
    if (this.#prefixes.length === 0) return false;
    const address = source.bytes();
    return this.#prefixes.some(({ bytes, length }) => bytes.length === address.length && covers(bytes, length, address));
  }
}

function prefixOf(text: string): IpPrefix | undefined {
  try {
    return parseIpPrefix(text);
  } catch {
    return undefined;
  }
}

const covers = (prefix: Uint8Array, length: number, address: Uint8Array): boolean =>
  prefix.every((byte, at) => ((byte ^ (address[at] ?? 0)) & 0xff00 >> Math.min(8, Math.max(0, length - 8 * at)) & 0xff) === 0);
