/** A router's plan, read: texts into addresses, and into what the machine wants. */
import { ms } from '../base/units.ts';
import type { RouterPlan } from '../model/virtual-router.ts';
import { type HostRouter, trackKey } from '../protocol/vrrp-host.ts';
import { type IpAddress, parseIpAddress } from '../wire/ip-address.ts';
import type { MacAddress } from '../wire/mac-address.ts';
import { parseIpPrefix } from '../wire/ip-prefix.ts';
import { virtualRouterMac } from '../wire/vrrp.ts';
import { DecodeError } from '../wire/wire.ts';
import { PlanImpossible } from './errors.ts';
import type { PlacedAddress } from './ground.ts';

export interface ReadPlan {
  readonly plan: RouterPlan;
  /** Texts, so that one comparison tells whether anything changed. */
  readonly text: string;
  readonly addresses: readonly PlacedAddress[];
  readonly source: IpAddress | undefined;
  readonly peers: readonly IpAddress[];
  readonly virtualMac: MacAddress | undefined;
  /** Of an advert as an IP packet. */
  readonly advertBytes: number;
  readonly router: HostRouter;
}

/** ms, and the largest number of them that an advert can say (RFC 3768 §5.3.7, RFC 9568 §5.2.7). */
const step = { 2: 1000, 3: 10 } as const;
const most = { 2: 255, 3: 4095 } as const;
const sayable = { 2: '1 to 255 whole seconds', 3: '10 ms to 40.95 s in steps of 10 ms' } as const;

/** Throws PlanImpossible. */
export function readPlan(plan: RouterPlan): ReadPlan {
  try {
    const { name, vrid, version, family, device, priority, preempt, group } = plan;
    const addresses = plan.addresses.map(({ address, prefixLength }) => ({ address: parseIpAddress(address), prefixLength }));
    const source = plan.source === undefined ? undefined : parseIpAddress(plan.source);
    const peers = plan.peers.map(parseIpAddress);
    const stray = [...addresses.map(({ address }) => address), ...peers, ...(source ? [source] : [])].find((address) => address.family !== family);
    if (stray) throw new PlanImpossible(`${stray} is no IPv${family} address`);
    if (version === 2 && family === 6) throw new PlanImpossible('Version 2 is for IPv4 alone');
    if (addresses.length === 0) throw new PlanImpossible('It has no addresses');
    if (addresses.length > 255) throw new PlanImpossible(`It has ${addresses.length} addresses; an advert can list 255`);
    const long = addresses.find(({ address, prefixLength }) => prefixLength > address.bytes().length * 8);
    if (long) throw new PlanImpossible(`${long.address}/${long.prefixLength} is no prefix`);
    const steps = plan.interval / step[version];
    if (!Number.isInteger(steps) || steps < 1 || steps > most[version]) {
      throw new PlanImpossible(`Its interval is ${plan.interval} ms; version ${version} can say ${sayable[version]}`);
    }
    for (const track of plan.track) if (track.kind === 'route') parseIpPrefix(track.route);
    const { count, interval, refresh } = plan.announce;
    return {
      plan, text: JSON.stringify(plan), addresses, source, peers,
      advertBytes: (family === 4 ? 20 : 40) + 8 + addresses.length * (family === 4 ? 4 : 16) + (version === 2 ? 8 : 0),
      virtualMac: plan.virtualMac ? virtualRouterMac(family, vrid) : undefined,
      router: {
        name, group, identity: JSON.stringify([device, family, vrid, version, plan.virtualMac]),
        settings: {
          vrid, version, addresses: addresses.map(({ address }) => address), priority, interval: ms(plan.interval), preempt,
          preemptDelay: ms(plan.preemptDelay),
          announce: { count, interval: ms(interval), ...(refresh === undefined ? {} : { refresh: ms(refresh) }) },
        },
        track: plan.track.map((track) => ({ key: trackKey(track), weight: track.weight })),
      },
    };
  } catch (error) {
    if (error instanceof DecodeError) throw new PlanImpossible(`Router ${plan.name}: ${error.message}`, error);
    throw error;
  }
}
