/** The text forms of IP addresses, to and from their bytes. */

/** 4 bytes, or undefined when `text` is not strict dotted decimal (RFC 6943 §3.1.1: four parts, no octal, no hex). */
export function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  const valid = parts.length === 4 && parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255);
  return valid ? Uint8Array.from(parts, Number) : undefined;
}

/** 16 bytes, or undefined when `text` is none of the three forms of RFC 4291 §2.2. */
export function parseIpv6(text: string): Uint8Array | undefined {
  const [left = '', right, extra] = text.split('::');
  if (extra !== undefined) return undefined;
  const head = parseGroups(left, right === undefined);
  const tail = right === undefined ? [] : parseGroups(right, true);
  if (head === undefined || tail === undefined) return undefined;
  // `::` stands for at least one group.
  const gap = 16 - head.length - tail.length;
  if (right === undefined ? gap !== 0 : gap < 2) return undefined;
  const out = new Uint8Array(16);
  out.set(head);
  out.set(tail, 16 - tail.length);
  return out;
}

/** The bytes of groups joined by single colons; only the last group of an address may be dotted decimal. */
function parseGroups(text: string, endsAddress: boolean): number[] | undefined {
  const out: number[] = [];
  if (text === '') return out;
  const groups = text.split(':');
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(group)) {
      const value = Number.parseInt(group, 16);
      out.push(value >> 8, value & 0xff);
      continue;
    }
    const dotted = endsAddress && index === groups.length - 1 ? parseIpv4(group) : undefined;
    if (dotted === undefined) return undefined;
    out.push(...dotted);
  }
  return out;
}

/**
 * RFC 5952: lower case, no leading zeros, `::` for the first longest run of two or more zero groups, and dotted decimal for
 * what is known to hold an IPv4 address (§5), which is ::ffff:0:0/96.
 */
export function formatIpv6(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(i * 2));
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) return `::ffff:${bytes.subarray(12).join('.')}`;

  let longest = { start: 0, length: 0 };
  let run = { start: 0, length: 0 };
  for (const [i, group] of groups.entries()) {
    run = group === 0 ? { start: run.start, length: run.length + 1 } : { start: i + 1, length: 0 };
    if (run.length > longest.length) longest = run;
  }
  const text = (from: number, to: number): string => groups.slice(from, to).map((group) => group.toString(16)).join(':');
  if (longest.length < 2) return text(0, 8);
  return `${text(0, longest.start)}::${text(longest.start + longest.length, 8)}`;
}
