/** Accept_Mode false (RFC 9568 §6.1): packets to the addresses themselves are not taken, while the host still forwards for them. */
import type { IpAddress } from '../wire/ip-address.ts';

const TABLE = 'inet godwit_routers';
/** Deleting what is not there is an error; so it is made first. */
const REMOVAL = `table ${TABLE} {}\ndelete table ${TABLE}\n`;

/**
 * The nft transaction that puts this in place of an earlier one. Neighbour solicitations and advertisements go through (§6.4.3 (660));
 * ARP never comes to this hook.
 */
export function refusalRules(addresses: readonly IpAddress[]): string {
  if (addresses.length === 0) return REMOVAL;
  const of = (family: 4 | 6): string => [...new Set(addresses.filter((address) => address.family === family).map(String))].join(', ');
  const [ipv4, ipv6] = [of(4), of(6)];
  const rules = [
    ...(ipv4 === '' ? [] : [`    ip daddr { ${ipv4} } drop\n`]),
    ...(ipv6 === '' ? [] : [`    ip6 daddr { ${ipv6} } icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n    ip6 daddr { ${ipv6} } drop\n`]),
  ];
  return `${REMOVAL}table ${TABLE} {\n  chain addressed {\n    type filter hook input priority -300; policy accept;\n${rules.join('')}  }\n}\n`;
}
