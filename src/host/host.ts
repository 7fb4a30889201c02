/**
 * host/: what one Linux host can do for a VM's network: interfaces, taps, bridge ports, tunnels, redirects, addresses, routes,
 * neighbours, over netlink and without a process per command. It decides nothing. `Host` is one namespace with everything in this
 * room bound to it.
 */
import type { Native, Netns } from '../native/native.ts';
import { Addresses } from './address.ts';
import { Bridges } from './bridge.ts';
import { type Link, Links } from './link.ts';
import { type Macvlan, createMacvlan, ensureMacvlan } from './macvlan.ts';
import { Monitor, type NetworkChange } from './monitor.ts';
import { Neighbours } from './neighbour.ts';
import { Netlink } from './netlink.ts';
import { Routes } from './route.ts';
import { SourceGuards } from './source-guard.ts';
import { TrafficControl } from './traffic-control.ts';
import { type Tunnel, createTunnel } from './tunnel.ts';
import { VxlanForwarding } from './vxlan-network.ts';
import { type VmTap, type VmTapOptions, createVmTap } from './vm-tap.ts';

export class Host {
  readonly name: string;
  readonly native: Native;
  readonly netns: Netns;
  readonly links: Links;
  readonly bridges: Bridges;
  readonly traffic: TrafficControl;
  readonly addresses: Addresses;
  readonly routes: Routes;
  readonly neighbours: Neighbours;
  readonly guards: SourceGuards;
  readonly vxlan: VxlanForwarding;
  readonly #netlink: Netlink;

  /** `netns` stays the caller's; `close` ends the netlink socket. */
  constructor(name: string, native: Native, netns: Netns) {
    this.name = name;
    this.native = native;
    this.netns = netns;
    this.#netlink = new Netlink(native, netns);
    this.links = new Links(this.#netlink);
    this.bridges = new Bridges(this.#netlink);
    this.traffic = new TrafficControl(this.#netlink);
    this.addresses = new Addresses(this.#netlink);
    this.routes = new Routes(this.#netlink);
    this.neighbours = new Neighbours(this.#netlink);
    this.guards = new SourceGuards(this);
    this.vxlan = new VxlanForwarding(this.#netlink);
  }

  createVmTap(options: VmTapOptions): VmTap {
    return createVmTap(this, options);
  }

  createTunnel(tunnel: Tunnel): Link {
    return createTunnel(this, tunnel);
  }

  createMacvlan(macvlan: Macvlan): Link {
    return createMacvlan(this, macvlan);
  }

  ensureMacvlan(macvlan: Macvlan): Link {
    return ensureMacvlan(this, macvlan);
  }

  /** Tells what changes in this namespace, until the monitor is closed: that is the caller's to do. */
  monitor(listener: (change: NetworkChange) => void): Monitor {
    return new Monitor(this, listener);
  }

  close(): void {
    this.#netlink.close();
  }
}
