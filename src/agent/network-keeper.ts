/**
 * Keeps the networks that Godwit makes on this host (routed, VXLAN) as they are wanted: bridges, VXLAN devices, who is behind which
 * host, for whom the gateway answers. Touches no device that it did not make, and leaves one alone that still has ports.
 */
import type { Clock } from '../base/clock.ts';
import { formatError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import { seconds } from '../base/units.ts';
import type { WantedNetwork } from '../api/agent-protocol.ts';
import type { Host } from '../host/host.ts';
import { KernelRefused } from '../host/netlink.ts';
import { networkOf } from '../host/made-link.ts';
import { ensureRoutedNetwork, forwardPackets } from '../host/routed-network.ts';
import { tunnelOverhead } from '../host/tunnel.ts';
import { ensureVxlanNetwork, vxlanDevice } from '../host/vxlan-network.ts';
import { type NetworkKind, kindOfNetwork } from '../model/network.ts';
import { routeMtu } from '../move/plan-facts.ts';
import { type IpAddress, parseIpAddress } from '../wire/ip-address.ts';
import { MacAddress } from '../wire/mac-address.ts';
import { muteProbesForDuplicates } from '../host/duplicate-probes.ts';

export interface NetworkKeeperParts {
  readonly host: Host;
  /** This host's, between the hosts. */
  readonly address: IpAddress;
  readonly clock: Clock;
  readonly log: Log;
}

/** Between two looks whether all is still there. */
const LOOK = seconds(30);

type Vxlan = Extract<NetworkKind, { kind: 'vxlan' }>;
type Routed = Extract<NetworkKind, { kind: 'routed' }>;

export class NetworkKeeper {
  readonly #parts: NetworkKeeperParts;
  readonly #closing = new AbortController();
  readonly #looking: Promise<void>;
  #wanted: readonly WantedNetwork[] | undefined;
  #last = '';
  /** By network: what keeps it from being as it should, in words; told when it changes. */
  readonly #troubles = new Map<string, string>();
  /** By network and MAC: the host that was last set for it. */
  readonly #placed = new Map<string, Map<string, string>>();
  /** Bridges on which guests' probes for duplicates are muted. */
  #muted = '';
  #muting: Promise<void> = Promise.resolve();

  constructor(parts: NetworkKeeperParts) {
    this.#parts = parts;
    this.#looking = this.#look();
  }

  /** All that are wanted, each time; in force when it returns, but for what `troubles` says. Undefined: as it was. */
  want(networks: readonly WantedNetwork[] | undefined): void {
    if (!networks) return;
    const text = JSON.stringify(networks);
    if (text === this.#last) return;
    this.#last = text;
    this.#wanted = networks;
    this.#keep();
  }

  troubles(): ReadonlyMap<string, string> {
    return this.#troubles;
  }

  /** Leaves everything as it is. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#looking, this.#muting]);
  }

  #keep(): void {
    const { host, log } = this.#parts;
    const wanted = this.#wanted ?? [];
    const bridges: number[] = [];
    const used = new Set<string>();
    for (const network of wanted) {
      let trouble: string | undefined;
      try {
        const kind = kindOfNetwork(network.name, network.spec);
        used.add(network.spec.bridge);
        if (kind.kind === 'routed') bridges.push(this.#makeRouted(network, kind));
        if (kind.kind === 'vxlan') used.add(vxlanDevice(kind.vni));
        if (kind.kind === 'vxlan') trouble = this.#makeVxlan(network, kind);
      } catch (error) {
        trouble = formatError(error);
      }
      if (trouble !== undefined && trouble !== this.#troubles.get(network.name)) log.error({ network: network.name, trouble }, 'A network is not as it should be on this host');
      if (trouble === undefined) this.#troubles.delete(network.name);
      else this.#troubles.set(network.name, trouble);
    }
    const names = new Set(wanted.map(({ name }) => name));
    for (const known of [...this.#troubles.keys(), ...this.#placed.keys()]) {
      if (names.has(known)) continue;
      this.#troubles.delete(known);
      this.#placed.delete(known);
    }
    try {
      removeUnused(host, used);
    } catch (error) {
      log.error({ error: formatError(error) }, 'What a network left on this host could not be removed; it is tried again');
    }
    this.#mute(bridges.toSorted((a, b) => a - b));
  }

  /** Index of the bridge. */
  #makeRouted({ name, spec, nics }: WantedNetwork, { mac, gateways }: Routed): number {
    const { host, log } = this.#parts;
    const changed = forwardPackets(host);
    if (changed.length > 0) log.info({ network: name, changed }, 'This host forwards packets from now on, as a routed network needs it');
    return ensureRoutedNetwork(host, {
      name, bridge: spec.bridge, mtu: spec.mtu ?? 1500, mac, gateways: gateways.map(({ address }) => address),
      answerFor: nics.flatMap(({ addresses }) => addresses.map(parseIpAddress)),
    }).index;
  }

  /** What is not as it should be although it works, in words. */
  #makeVxlan({ name, spec, peers, nics }: WantedNetwork, { vni, port }: Vxlan): string | undefined {
    const { host, address } = this.#parts;
    const hosts = peers.map(parseIpAddress).filter(({ family }) => family === address.family);
    const wide = spec.mtu ?? 1500;
    const unrouted: IpAddress[] = [];
    const carried = Math.min(...hosts.map((peer) => {
      try {
        return routeMtu(host, peer) - tunnelOverhead(peer);
      } catch (error) {
        if (!(error instanceof KernelRefused)) throw error;
        // The others are reached all the same.
        unrouted.push(peer);
        return wide;
      }
    }), wide);
    const { device } = ensureVxlanNetwork(host, { name, bridge: spec.bridge, mtu: carried, vni, port, local: address });
    this.#flood(device.index, hosts);
    this.#place(device.index, name, nics);
    const foreign = peers.length - hosts.length;
    if (foreign > 0) return `${foreign} of its hosts have an address of the other IP version than this one, and cannot be reached: give all hosts addresses of one`;
    if (unrouted.length > 0) return `this host has no route to ${unrouted.join(', ')}, which use it too: add one`;
    if (carried >= wide) return undefined;
    return `its MTU is ${wide}, and between the hosts there is room for ${carried}: raise that of the hosts' devices by ${wide - carried}, or lower the network's to ${carried}`;
  }

  #flood(device: number, peers: readonly IpAddress[]): void {
    const { vxlan } = this.#parts.host;
    const there = vxlan.list(device).filter(({ mac }) => mac.equals(MacAddress.zero));
    for (const entry of there) if (!peers.some((peer) => peer.equals(entry.remote))) vxlan.remove(device, entry);
    for (const peer of peers) if (!there.some(({ remote }) => remote.equals(peer))) vxlan.flood(device, peer);
  }

  /**
   * What was heard on the wire is younger than what the server knows: a place is set when the server names another than it did, and
   * where nothing is known; never over what was learned since.
   */
  #place(device: number, network: string, nics: WantedNetwork['nics']): void {
    const { vxlan } = this.#parts.host;
    const before = this.#placed.get(network) ?? new Map<string, string>();
    const known = new Set(vxlan.list(device).map(({ mac }) => mac.toString()));
    const after = new Map<string, string>();
    for (const { mac: text, at } of nics) {
      const mac = MacAddress.parse(text);
      const key = mac.toString();
      if (at === undefined) continue;
      after.set(key, at);
      const moved = before.has(key) && before.get(key) !== at;
      if (moved || !known.has(key)) vxlan.set(device, { mac, remote: parseIpAddress(at) });
    }
    this.#placed.set(network, after);
  }

  #mute(bridges: readonly number[]): void {
    const text = bridges.join(' ');
    if (text === this.#muted) return;
    this.#muted = text;
    const { host, log } = this.#parts;
    this.#muting = this.#muting.then(() => muteProbesForDuplicates(host, bridges)).catch((error: unknown) => {
      this.#muted = '';
      log.warn({ error: formatError(error) }, 'Guests of routed networks may find their own IPv6 addresses taken when they look for duplicates');
    });
  }

  async #look(): Promise<void> {
    const { clock } = this.#parts;
    const { signal } = this.#closing;
    for (;;) {
      await clock.sleep(LOOK, signal);
      if (signal.aborted) return;
      if (this.#wanted) this.#keep();
    }
  }
}

/** Devices that no network of this host needs any more: a bridge goes when no guest's port is left on it. `used`: their names. */
function removeUnused({ links }: Host, used: ReadonlySet<string>): void {
  const all = links.list();
  const unused = new Set(all.filter((link) => networkOf(link) !== undefined && !used.has(link.name)));
  const bridgesInUse = new Set(all.filter((link) => !unused.has(link)).map(({ master }) => master).filter((master) => master !== 0));
  for (const { index, master } of unused) if (!bridgesInUse.has(index) && !bridgesInUse.has(master)) links.delete(index);
}
