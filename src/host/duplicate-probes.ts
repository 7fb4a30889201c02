/**
 * On a routed network the host answers for its VMs' IPv6 addresses, wherever they are: also when one of them asks whether its own is
 * somebody's already (RFC 4862 §5.4), and would not use it then. Those questions are dropped: they have the unspecified sender alone.
 */
import type { Host } from './host.ts';
import { runNft } from './nft.ts';

const TABLE = 'inet godwit-routed';

/** On these bridges (interface indexes), and no others. Rejects with NftError. */
export async function muteProbesForDuplicates(host: Host, bridges: readonly number[]): Promise<void> {
  await runNft(host, `table ${TABLE} {}\ndelete table ${TABLE}\n${bridges.length === 0 ? '' : `table ${TABLE} {
  chain probes {
    type filter hook prerouting priority -300; policy accept;
    iif { ${bridges.join(', ')} } ip6 saddr :: icmpv6 type nd-neighbor-solicit counter drop
  }
}
`}`);
}
