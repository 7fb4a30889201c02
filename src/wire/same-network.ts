import type { IpAddress } from './ip-address.ts';

/** Are both within the same prefix of this length? */
export function sameNetwork(one: IpAddress, other: IpAddress, prefixLength: number): boolean {
  if (one.family !== other.family) return false;
  const [a, b] = [one.bytes(), other.bytes()];
  return a.every((byte, at) => {
    const bits = Math.min(8, Math.max(0, prefixLength - 8 * at));
    return (byte ^ (b[at] ?? 0)) >> (8 - bits) === 0;
  });
}
