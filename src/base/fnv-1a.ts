const OFFSET_BASIS = 0x811c9dc5;
const PRIME = 0x01000193;

/**
 * FNV-1a, 32 bits, of the text's UTF-8: the same on every host and in every release, and no secret. 0..2^32 - 1.
 * (Fowler, Noll and Vo.)
 * @param seed another one gives another function
 */
export function fnv1a(text: string, seed = 0): number {
  let hash = OFFSET_BASIS ^ seed;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, PRIME);
  return hash >>> 0;
}
