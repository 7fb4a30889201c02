/** What a move needs of a host's kernel, found out by trying it: devices of unique names, never up, removed in any case. */
import { constants, accessSync } from 'node:fs';
import { GodwitError } from '../base/error.ts';
import { SystemError } from '../native/native.ts';
import { parseIpAddress } from '../wire/ip-address.ts';
import type { Host } from './host.ts';
import { KernelRefused } from './netlink.ts';
import type { Attribute } from './netlink-message.ts';
import { tunnelAttributes } from './tunnel.ts';

export type FeatureName = 'tap' | 'bridge' | 'vxlan' | 'clsact' | 'u32' | 'mirred' | 'packet-socket' | 'vhost-net';

export interface Feature {
  readonly name: FeatureName;
  readonly present: boolean;
  /** What the kernel said; empty when it did it. */
  readonly words: string;
  /** What is lost without. */
  readonly cost: string;
}

/** In the order in which they are tried: the later ones need a device of the earlier ones. */
const costs: Readonly<Record<FeatureName, string>> = {
  tap: 'no guest can be run: enable CONFIG_TUN (IFF_VNET_HDR), give access to /dev/net/tun',
  bridge: 'no guest can be attached to a network: enable CONFIG_BRIDGE',
  vxlan: 'a move loses the frames of its pause: enable CONFIG_VXLAN',
  clsact: 'a move loses the frames of its pause: enable CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_ACT',
  u32: 'a move loses the frames of its pause: enable CONFIG_NET_CLS_U32',
  mirred: 'a move loses the frames of its pause: enable CONFIG_NET_ACT_MIRRED',
  'packet-socket': 'held frames cannot be brought back when a move is rolled back: enable CONFIG_PACKET',
  'vhost-net': 'guests are moved all the same; their frames pass through QEMU, at a higher cost in CPU: enable CONFIG_VHOST_NET',
};

const VHOST_NET = '/dev/vhost-net';
const LOOPBACK = 1;
let probes = 0;

/** Throws only what is no answer of the kernel's. */
export function probeFeatures(host: Host): Feature[] {
  const { native, netns, links, traffic } = host;
  // At most 15 characters: a process number has at most 7 digits.
  const name = (kind: string): string => `gf${process.pid}-${probes % 1000}${kind}`;
  probes++;
  const features: Feature[] = [];
  const devices: number[] = [];
  // Undoes everything even where undoing one thing fails.
  using undo = new DisposableStack();

  function attempt(feature: FeatureName, what: () => void): void {
    const words = refusal(what);
    features.push({ name: feature, present: words === undefined, words: words ?? '', cost: costs[feature] });
  }
  /** Tries something on one of the devices made so far. */
  function attemptOnDevice(feature: FeatureName, what: (device: number) => void): void {
    attempt(feature, () => {
      const [device] = devices;
      if (device === undefined) throw new NothingToTry();
      what(device);
    });
  }

  function create(kind: string, attributes: readonly Attribute[]): void {
    const { index } = links.create(name(kind[0] ?? ''), kind, attributes);
    undo.defer(() => links.delete(index));
    devices.push(index);
  }

  attempt('tap', () => {
    const tap = native.createTap(netns, { name: name('t'), vnetHeader: true });
    undo.defer(() => tap.close());
    devices.push(links.get(tap.name).index);
  });
  attempt('bridge', () => create('bridge', []));
  attempt('vxlan', () => {
    const [local, remote] = [parseIpAddress('127.0.0.1'), parseIpAddress('127.0.0.2')];
    create('vxlan', tunnelAttributes({ vni: 0xff0000 | (process.pid & 0xffff), local, remote }));
  });
  attemptOnDevice('clsact', (device) => traffic.attach(device));
  attemptOnDevice('u32', (device) => traffic.classify(device, { hook: 'ingress', preference: 1, match: 'group' }));
  attemptOnDevice('mirred', (device) => traffic.redirect(device, { hook: 'ingress', preference: 2, match: 'group', to: device }));
  attempt('packet-socket', () => {
    native.packetSocket(netns, { ifindex: devices[0] ?? LOOPBACK, protocol: 0, vnetHeader: true, bypassQdisc: true }).close();
  });
  attempt('vhost-net', () => accessSync(VHOST_NET, constants.R_OK | constants.W_OK));
  return features;
}

class NothingToTry extends GodwitError {
  constructor() {
    super('HOST_NO_DEVICE_TO_TRY', 'not tried: no device could be made to try it on');
  }
}

function refusal(what: () => void): string | undefined {
  try {
    what();
    return undefined;
  } catch (error) {
    if (error instanceof KernelRefused || error instanceof SystemError || error instanceof NothingToTry) return error.message;
    if (error instanceof Error && 'code' in error && 'syscall' in error) return error.message;
    throw error;
  }
}
