/** What the plan of a move has to know of both hosts, asked of them. What does not change while they run is asked once. */
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { bytes } from '../base/units.ts';
import type { Host } from '../host/host.ts';
import { describeHost } from '../host/self.ts';
import { probeFeatures } from '../host/features.ts';
import type { Vm } from '../model/vm.ts';
import type { HostFacts, KernelFeature, MoveFacts } from '../policy/plan.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { MacAddress } from '../wire/mac-address.ts';
import type { MigrationAbilities } from '../vm/migration-abilities.ts';
import { queryInstalledQemu } from '../vm/qemu-facts.ts';
import { fedByTunnel } from './move-source.ts';
import type { KernelGuest } from './kernel-guest.ts';

interface Lasting {
  readonly qemu: MigrationAbilities;
  readonly cpu: string;
  readonly missingFeatures: readonly KernelFeature[];
}

const known = new WeakMap<Host, Promise<Lasting>>();

/** Asks a host what lasts: some 100 ms, better spent when an agent starts than in its first move. */
export async function getToKnow(host: Host): Promise<void> {
  await lasting(host);
}

/** Of a host, for this VM. */
export async function hostFacts(host: Host, vm: Vm): Promise<HostFacts> {
  return {
    name: host.name,
    ...(await lasting(host)),
    freeMemory: bytes(describeHost(host).freeMemory),
    bridges: new Map(host.links.list().filter((l) => l.kind === 'bridge').map((l) => [l.name, { mtu: l.mtu, mac: MacAddress.of(l.address).toString() }])),
    disks: new Map(vm.disks.map(({ path }) => path).filter(readable).map((path) => [path, inode(path)])),
  };
}

/** Of the way to the other host, and of earlier moves of this guest that still end. */
export function pathFacts(guest: KernelGuest, to: IpAddress): Pick<MoveFacts, 'pathMtu' | 'outerFamily' | 'draining'> {
  const { host, taps } = guest;
  return {
    pathMtu: routeMtu(host, to),
    outerFamily: to.family,
    draining: taps.some((tap) => fedByTunnel(host, tap) !== undefined),
  };
}

/** What the route promises, learned or configured; else its device. Throws KernelRefused when there is none. */
export function routeMtu(host: Host, to: IpAddress): number {
  const { mtu, device } = host.addresses.route(to);
  return mtu > 0 ? mtu : (host.links.list().find(({ index }) => index === device)?.mtu ?? 0);
}

/** Asked once. */
export function lasting(host: Host): Promise<Lasting> {
  const answer = known.get(host) ?? ask(host);
  known.set(host, answer);
  return answer;
}

async function ask(host: Host): Promise<Lasting> {
  const needed: readonly KernelFeature[] = ['vxlan', 'clsact', 'u32', 'mirred'];
  const features = probeFeatures(host);
  return {
    qemu: await queryInstalledQemu(),
    cpu: cpuText(readFileSync('/proc/cpuinfo', 'utf8')),
    missingFeatures: needed.filter((name) => !features.some((f) => f.name === name && f.present)),
  };
}

/** Model and features of the first processor: equal texts are equal CPUs to a guest. */
function cpuText(cpuinfo: string): string {
  const field = (name: string): string => new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(cpuinfo)?.[1] ?? '?';
  return `${field('model name')}, stepping ${field('stepping')}, ${field('flags')}`;
}

function readable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function inode(path: string): number | undefined {
  const status = statSync(path);
  return status.isFile() ? status.ino : undefined;
}
