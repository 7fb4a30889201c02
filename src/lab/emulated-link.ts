/**
 * Two hosts' interfaces with the emulator's wire between them:
 *
 *   h1 [name] ── h1-name  the wire's namespace  h2-name ── [name] h2
 *
 * The wire has no IP of its own, and neither host can tell it from a cable.
 */
import { writeFileSync } from 'node:fs';
import type { Host } from '../host/host.ts';
import { parseIpAddress } from '../wire/ip-address.ts';
import { LinkEmulator } from './link-emulator.ts';

export interface LinkEnd {
  readonly host: Host;
  /** Of its interface: with the host's name at most 14 characters. */
  readonly name: string;
  /** With their prefix lengths: `10.0.0.1/24`. */
  readonly addresses: readonly string[];
}

export interface EmulatedLinkOptions {
  readonly left: LinkEnd;
  readonly right: LinkEnd;
  readonly mtu?: number;
}

/** A namespace for any number of wires: its stack takes no part in what passes. */
export function quietWire(wire: Host): void {
  wire.native.inNetns(wire.netns, () => {
    for (const which of ['default', 'all']) writeFileSync(`/proc/sys/net/ipv6/conf/${which}/disable_ipv6`, '1');
  });
}

/** Makes both cables in `wire`, and the emulator between them. The interfaces go with their namespaces, the emulator by its `close`. */
export async function openEmulatedLink(wire: Host, { left, right, mtu = 1500 }: EmulatedLinkOptions): Promise<LinkEmulator> {
  quietWire(wire);
  const port = (end: LinkEnd): string => {
    const name = `${end.host.name}-${end.name}`;
    wire.links.createVeth({ name, netns: wire.netns, mtu }, { name: end.name, netns: end.host.netns, mtu });
    wire.links.set(wire.links.get(name).index, { up: true, noIpv6Address: true });
    const { index } = end.host.links.get(end.name);
    // What goes into a wire is what came out of a card: no segments of 64 KiB.
    end.host.links.set(index, { gsoMaxSize: mtu });
    end.host.links.set(index, { up: true });
    for (const text of end.addresses) {
      const [address = '', length] = text.split('/');
      end.host.addresses.add(index, parseIpAddress(address), Number(length));
    }
    return name;
  };
  return LinkEmulator.start(wire, port(left), port(right));
}
