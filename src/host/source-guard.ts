/**
 * Source guards: what a guest sends is pinned to its MAC and addresses, by nft at the ingress of its tap, before its bridge has seen it.
 * One table per tap, `netdev godwit-TAP`, put in place as one transaction; what is dropped is counted by what was wrong in it.
 *
 * Passes: ARP and RARP with its MAC, ARP from its addresses or from 0.0.0.0 (probes, RFC 5227); IPv4 from its addresses, and from
 * 0.0.0.0 a DHCP client's broadcasts and IGMP; IPv6 from its addresses and the link-local one of its MAC, and from :: duplicate
 * address detection of those and MLD; neighbour discovery only with its own addresses and MAC in it. Nothing else, no VLAN tags either,
 * and no VRRP: one advert of priority 255 would silence the routers of a guest's network for minutes.
 */
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { IpAddress } from '../wire/ip-address.ts';
import { linkLocalOf } from '../wire/link-local.ts';
import type { MacAddress } from '../wire/mac-address.ts';
import type { Native, Netns } from '../native/native.ts';
import { NftError, askNft, runNft } from './nft.ts';

export { NftError };

export interface GuardedTap {
  readonly name: string;
  readonly mac: MacAddress;
  readonly addresses: readonly IpAddress[];
}

/** What a frame is dropped for. `other`: neither ARP nor IP, or with a VLAN tag. */
export const guardReasons = ['mac', 'other', 'arp', 'ipv4', 'nd', 'ipv6'] as const;
export type GuardReason = (typeof guardReasons)[number];

const PREFIX = 'godwit-';
/** IANA protocol number (RFC 9568 §7.2). */
const VRRP = 112;
/** `arp` alone is a word of nft's. */
const COUNTER = 'dropped_';
const table = (tap: string): string => `netdev ${PREFIX}${tap}`;
/** Deleting what is not there is an error; so it is made first. */
const removal = (tap: string): string => `table ${table(tap)} {}\ndelete table ${table(tap)}\n`;
/** Before everybody else's rules, as raw tables are. */
const PRIORITY = -300;

/** The commands that put the guard of a tap, which must be there, in place of an earlier one. */
export function guardRules({ name, mac, addresses }: GuardedTap): string {
  const v4 = addresses.filter(({ family }) => family === 4).map(String);
  const v6 = [...new Set([...addresses.filter(({ family }) => family === 6), linkLocalOf(mac)].map(String))];
  const drop = (reason: GuardReason): string => `counter name ${COUNTER}${reason} drop`;
  const unless = (what: string, of: readonly string[], reason: GuardReason): string => `${what} != { ${of.join(', ')} } ${drop(reason)}`;
  const macNumber = `0x${mac.toString().replaceAll(':', '')}`;
  const targets = v6.map((address) => `@th,64,128 ${numberOf(addressBytes(addresses, mac, address))}`);
  const chains: Record<string, readonly string[]> = {
    // `ether type` is what the frame has: with a tag it is that of the tag.
    from_guest: [
      `type filter hook ingress device "${name}" priority ${PRIORITY}; policy accept;`,
      `ether saddr != ${mac} ${drop('mac')}`,
      `ether type != { arp, 0x8035, ip, ip6 } ${drop('other')}`,
      'ether type arp goto from_arp', 'ether type ip goto from_ipv4', 'ether type ip6 goto from_ipv6',
    ],
    from_arp: [
      `arp htype != 1 ${drop('arp')}`, `arp ptype != ip ${drop('arp')}`, `arp hlen != 6 ${drop('arp')}`, `arp plen != 4 ${drop('arp')}`,
      `arp saddr ether != ${mac} ${drop('arp')}`,
      'arp operation request arp saddr ip 0.0.0.0 accept',
      v4.length > 0 ? unless('arp saddr ip', v4, 'arp') : drop('arp'),
    ],
    from_ipv4: [
      `ip protocol ${VRRP} ${drop('ipv4')}`,
      ...(v4.length > 0 ? [`ip saddr { ${v4.join(', ')} } accept`] : []),
      'ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept',
      'ip saddr 0.0.0.0 ip protocol igmp accept',
      drop('ipv4'),
    ],
    from_ipv6: [
      // Behind extension headers, too.
      `meta l4proto ${VRRP} ${drop('ipv6')}`,
      // RFC 4861 §4.3, §4.4; RFC 6980: neighbour discovery is never in fragments.
      'meta l4proto icmpv6 icmpv6 type nd-neighbor-solicit goto solicitation',
      'meta l4proto icmpv6 icmpv6 type nd-neighbor-advert goto advertisement',
      // MLD before there is any address: RFC 3590, RFC 3810 §5.2.13.
      'ip6 saddr :: meta l4proto icmpv6 icmpv6 type { mld-listener-report, mld-listener-done, mld2-listener-report } accept',
      // RFC 4861 §4.1
      'ip6 saddr :: meta l4proto icmpv6 icmpv6 type nd-router-solicit accept',
      unless('ip6 saddr', v6, 'ipv6'),
    ],
    solicitation: [
      unless('ip6 saddr', ['::', ...v6], 'nd'),
      'ip6 saddr :: goto detection',
      'ip6 length 24 accept',
      `ip6 length 32 @th,192,16 0x0101 @th,208,48 ${macNumber} accept`,
      drop('nd'),
    ],
    // For its own addresses alone. RFC 7527 §4.1: with a nonce perhaps, one option of 8 bytes; a link-layer address has no place here.
    detection: [
      ...targets.flatMap((target) => [`ip6 length 24 ${target} accept`, `ip6 length 32 @th,192,16 0x0e01 ${target} accept`]),
      drop('nd'),
    ],
    advertisement: [
      unless('ip6 saddr', v6, 'nd'),
      ...targets.flatMap((target) =>
        [`ip6 length 24 ${target} accept`, `ip6 length 32 @th,192,16 0x0201 @th,208,48 ${macNumber} ${target} accept`]),
      drop('nd'),
    ],
  };
  // A chain has to be there before it is named.
  const bodies = Object.entries(chains).toReversed().map(([chain, lines]) => `  chain ${chain} {\n    ${lines.join('\n    ')}\n  }\n`);
  const counters = guardReasons.map((reason) => `  counter ${COUNTER}${reason} {}\n`);
  return `${removal(name)}table ${table(name)} {\n${[...counters, ...bodies].join('')}}\n`;
}

function addressBytes(addresses: readonly IpAddress[], mac: MacAddress, text: string): Uint8Array {
  return (addresses.find((address) => String(address) === text) ?? linkLocalOf(mac)).bytes();
}

const numberOf = (bytes: Uint8Array): string => `0x${Buffer.from(bytes).toString('hex')}`;

const Listed = Compile(Type.Object({
  nftables: Type.Array(Type.Object({
    table: Type.Optional(Type.Object({ family: Type.String(), name: Type.String() })),
    counter: Type.Optional(Type.Object({ family: Type.String(), table: Type.String(), name: Type.String(), packets: Type.Integer() })),
  })),
}));

interface Place {
  readonly name: string;
  readonly native: Native;
  readonly netns: Netns;
}

/** All of a host, changed one after the other: the guard of a tap that is gone is not to take away that of a new one of its name. */
export class SourceGuards {
  readonly #place: Place;
  #last: Promise<unknown> = Promise.resolve();
  #swept = false;

  constructor(place: Place) {
    this.#place = place;
  }

  /** In force when it resolves. Rejects with NftError; then the taps' guards are as they were. */
  put(taps: readonly GuardedTap[]): Promise<void> {
    return this.#next(() => runNft(this.#place, taps.map(guardRules).join('')));
  }

  /** Also of taps that are gone, or have none. Rejects with NftError. */
  remove(taps: readonly string[]): Promise<void> {
    return this.#next(() => runNft(this.#place, taps.map(removal).join('')));
  }

  /** Frames dropped so far, by tap: of every tap that has a guard. Rejects with NftError. */
  drops(): Promise<ReadonlyMap<string, Readonly<Record<string, number>>>> {
    return this.#next(async () => {
      const byTap = new Map<string, Record<string, number>>();
      for (const { counter } of await this.#list('list', 'counters')) {
        if (counter?.family !== 'netdev' || !counter.table.startsWith(PREFIX) || !counter.name.startsWith(COUNTER)) continue;
        const tap = counter.table.slice(PREFIX.length);
        byTap.set(tap, { ...byTap.get(tap), [counter.name.slice(COUNTER.length)]: counter.packets });
      }
      return byTap;
    });
  }

  /** Removes those of taps that are not there, once; on a host without nft there are none. Rejects with NftError. */
  sweep(exists: (tap: string) => boolean): Promise<void> {
    return this.#next(async () => {
      if (this.#swept) return;
      try {
        const tables = (await this.#list('list', 'tables', 'netdev')).flatMap(({ table: one }) => (one?.family === 'netdev' ? [one.name] : []));
        const left = tables.filter((name) => name.startsWith(`${PREFIX}gt-`)).map((name) => name.slice(PREFIX.length)).filter((tap) => !exists(tap));
        if (left.length > 0) await runNft(this.#place, left.map(removal).join(''));
        this.#swept = true;
      } catch (error) {
        if (!(error instanceof NftError && error.code === 'HOST_NFT_MISSING')) throw error;
      }
    });
  }

  async #list(...command: string[]) {
    const answer: unknown = JSON.parse(await askNft(this.#place, command));
    if (Listed.Check(answer)) return answer.nftables;
    throw new NftError('HOST_NFT_FAILED', `nft on ${this.#place.name} listed its rules in a form that is not known: its version may be too new`);
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const now = this.#last.then(work, work);
    this.#last = now.catch(() => undefined);
    return now;
  }
}
