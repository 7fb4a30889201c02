/** What virtual routers that are declared do to each other: on one host, on one link, in one group. */
import { type VirtualRouterSpec, routerDefaults } from '../model/virtual-router.ts';
import { isLinkLocal } from '../wire/vrrp.ts';
import type { Complain } from './router-check.ts';
import { deviceOf, durationOf, familyOf, prefixedOf, tracksOf } from './router-terms.ts';

type Others = ReadonlyMap<string, VirtualRouterSpec>;

export function checkOthers(name: string, spec: VirtualRouterSpec, all: Others, complain: Complain): void {
  const others = new Map([...all].filter(([other]) => other !== name).sort(([a], [b]) => (a < b ? -1 : 1)));
  for (const [other, theirs] of others) {
    checkVrid(spec, other, theirs, complain);
    checkAddresses(spec, other, theirs, complain);
    checkScripts(spec, other, theirs, complain);
    if (spec.group !== undefined && theirs.group === spec.group) checkGroup(spec, other, theirs, complain);
  }
}

const commonHosts = (a: VirtualRouterSpec, b: VirtualRouterSpec): readonly string[] =>
  Object.keys(a.hosts).filter((host) => Object.hasOwn(b.hosts, host)).sort();

/** A host tells routers on one interface apart by VRID and family alone. On other hosts of the same link they would hear each other. */
function checkVrid(spec: VirtualRouterSpec, other: string, theirs: VirtualRouterSpec, complain: Complain): void {
  if (spec.vrid !== theirs.vrid || familyOf(spec) !== familyOf(theirs)) return;
  const host = commonHosts(spec, theirs).find((h) => deviceOf(spec, h) === deviceOf(theirs, h));
  if (host !== undefined) {
    complain('error', '/spec/vrid',
      `VirtualRouter ${other} has VRID ${spec.vrid} on ${deviceOf(spec, host) ?? 'the same interface'} of ${host} too: take another one`);
    return;
  }
  const devices = new Set(Object.keys(theirs.hosts).map((h) => deviceOf(theirs, h)));
  const device = Object.keys(spec.hosts).map((h) => deviceOf(spec, h)).find((d) => d !== undefined && devices.has(d));
  if (device !== undefined) {
    complain('warning', '/spec/vrid',
      `VirtualRouter ${other} has VRID ${spec.vrid} on ${device} of other hosts: if that is the same network, take another one`);
  }
}

function checkAddresses(spec: VirtualRouterSpec, other: string, theirs: VirtualRouterSpec, complain: Complain): void {
  const taken = new Set(theirs.addresses.flatMap((text) => prefixedOf(text)?.address.toString() ?? []));
  const sameLink = commonHosts(spec, theirs).some((host) => deviceOf(spec, host) === deviceOf(theirs, host));
  spec.addresses.forEach((text, n) => {
    const address = prefixedOf(text)?.address;
    // A link-local address is another one on every link.
    if (!address || !taken.has(address.toString()) || (isLinkLocal(address) && !sameLink)) return;
    complain('error', `/spec/addresses/${n}`, `${address} is VirtualRouter ${other}'s too: each address belongs to one`);
  });
}

/** A script runs once on a host, for all routers that hang on it. */
function checkScripts(spec: VirtualRouterSpec, other: string, theirs: VirtualRouterSpec, complain: Complain): void {
  for (const host of commonHosts(spec, theirs)) {
    for (const { track, path } of tracksOf(spec, host)) {
      if (track.kind !== 'script') continue;
      const twin = tracksOf(theirs, host).map((t) => t.track).find((t) => t.kind === 'script' && t.script === track.script);
      if (twin?.kind !== 'script') continue;
      const differs = (['interval', 'timeout', 'rise', 'fall'] as const).filter((key) => twin[key] !== track[key]);
      if (differs.length > 0) {
        complain('error', path,
          `VirtualRouter ${other} runs script ${track.script} with another ${differs.join(', ')}: it runs once on a host, for both, so write the same`);
      }
    }
  }
}

/** Members go together: what makes one of them move has to be the same for all, or they pull each other to and fro. */
function checkGroup(spec: VirtualRouterSpec, other: string, theirs: VirtualRouterSpec, complain: Complain): void {
  const member = `VirtualRouter ${other} of the same group ${spec.group}`;
  if ((spec.preempt ?? routerDefaults.preempt) !== (theirs.preempt ?? routerDefaults.preempt)) {
    complain('error', spec.preempt === undefined ? '/spec/group' : '/spec/preempt',
      `${member} has preempt: ${theirs.preempt ?? routerDefaults.preempt}: give all members the same`);
  }
  const delay = (s: VirtualRouterSpec): string => s.preemptDelay ?? routerDefaults.preemptDelay;
  if (durationOf(delay(spec)) !== durationOf(delay(theirs))) {
    complain('warning', spec.preemptDelay === undefined ? '/spec/group' : '/spec/preemptDelay',
      `${member} has preemptDelay: ${delay(theirs)}: the shorter one moves both`);
  }
  const common = commonHosts(spec, theirs);
  if (common.length !== Object.keys(spec.hosts).length || common.length !== Object.keys(theirs.hosts).length) {
    complain('warning', '/spec/hosts',
      `${member} is on other hosts: while a host that lacks one of them is Active, nobody may be Active of the one it lacks`);
  }
  for (const host of common) {
    const [own, priority] = [spec, theirs].map((s) => s.hosts[host]?.priority ?? routerDefaults.priority);
    if (own === priority) continue;
    complain('error', spec.hosts[host]?.priority === undefined ? `/spec/hosts/${host}` : `/spec/hosts/${host}/priority`,
      `${member} has priority ${priority} on ${host}, this one ${own}: a host has one for a whole group, so give all members the same`);
  }
}
