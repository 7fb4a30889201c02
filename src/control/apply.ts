/** `godwit apply`: every document is checked, all faults of all of them are told at once, and all of them are stored, or none. */
import type { Applied, Declaration, Fault } from '../api/api.ts';
import { ApiError } from '../api/api.ts';
import { type Declared, checkDocument } from '../api/check-document.ts';
import { nearest } from '../api/nearest.ts';
import type { BfdSessionSpec } from '../model/bfd-session.ts';
import { type PolicySpec, silentAfter } from '../model/cluster-policy.ts';
import { detectionDefaults } from '../model/detection-policy.ts';
import type { HostSpec } from '../model/host.ts';
import type { NetworkSpec } from '../model/network.ts';
import { checkNetwork } from './network-check.ts';
import { parseRate, parseSize } from '../model/quantity.ts';
import type { VirtualRouterSpec } from '../model/virtual-router.ts';
import { type VmSpec, VmSpecError, resolveVm } from '../model/vm-spec.ts';
import { type BfdSurroundings, type Problem, checkBfdSession, checkBfdTracks } from '../policy/bfd-check.ts';
import { checkDetection, checkHostPaths } from '../policy/path-check.ts';
import { checkVirtualRouter } from '../policy/router-plan.ts';
import { parseIpAddress } from '../wire/ip-address.ts';
import type { Draft, View } from './draft.ts';
import { invalid } from './errors.ts';
import { record } from './events.ts';
import { policyOf } from './lookup.ts';
import type { Labels, Table, Tables, VmRecord } from './records.ts';
import { checkGuards } from './guards.ts';
import { halted, ordered } from './vms.ts';
import { isWantedRunning } from './vm-state.ts';

type Complain = (document: number, path: string, message: string) => void;

/** What documents may refer to: what is declared beside them, and what they declare themselves. */
export interface Context {
  readonly networks: ReadonlyMap<string, NetworkSpec>;
  readonly routers: ReadonlyMap<string, VirtualRouterSpec>;
  readonly hosts: ReadonlyMap<string, HostSpec>;
  readonly sessions: ReadonlyMap<string, BfdSessionSpec>;
  readonly policy: PolicySpec | undefined;
  /** They are all there is to look at: that they refer to something else is no fault. */
  readonly alone: boolean;
}
type Numbered = Declared & { readonly document: number };

/** Less is a slip. Bytes. */
const LEAST_MEMORY = 2 ** 20;
/** ms. */
const LEAST_SILENCE = 100;

/** Throws ApiError CONTROL_INVALID with every fault. `now`: ms since the epoch; `alone`: see Context. */
export function apply(draft: Draft, documents: readonly Declaration[], now: number, alone = false): readonly Applied[] {
  const faults: Fault[] = [];
  const complain: Complain = (document, path, message) => faults.push({ document, path, message });

  const declared: Numbered[] = [];
  documents.forEach((document, n) => {
    const checked = checkDocument(document);
    if ('kind' in checked) declared.push({ ...checked, document: n });
    else for (const { path, message } of checked) complain(n, path, message);
  });
  twice(declared, complain);
  const context = contextOf(draft, declared, alone);
  for (const d of declared) checkMeaning(draft, d, context, complain);
  checkAddresses(draft, declared, complain);
  checkGuards(draft, declared, complain);

  const applied = declared.map((d) => write(draft, d, now, complain));
  // Thrown out of the draft: what it has been written so far is not stored.
  if (faults.length > 0) throw invalid(faults.sort((a, b) => a.document - b.document));
  return applied;
}

/** `view`: with or without what is declared, which counts before what is there. */
export function contextOf(view: View, declared: readonly Declared[], alone: boolean): Context {
  const specs = <T extends 'hosts' | 'networks' | 'routers' | 'bfdsessions'>(table: T): [string, Tables[T]['spec']][] => view.rows(table).map(({ name, record: { spec } }) => [name, spec]);
  const hosts = new Map(specs('hosts'));
  const networks = new Map(specs('networks'));
  const routers = new Map(specs('routers'));
  const sessions = new Map(specs('bfdsessions'));
  let policy = policyOf(view);
  for (const { kind, declared: d } of declared) {
    if (kind === 'Host') hosts.set(d.name, d.spec);
    else if (kind === 'Network') networks.set(d.name, d.spec);
    else if (kind === 'VirtualRouter') routers.set(d.name, d.spec);
    else if (kind === 'BfdSession') sessions.set(d.name, d.spec);
    else if (kind === 'Policy') policy = d.spec;
  }
  return { hosts, networks, routers, sessions, policy, alone };
}

function twice(declared: readonly Numbered[], complain: Complain): void {
  const first = new Map<string, number>();
  for (const { kind, declared: { name }, document } of declared) {
    const before = first.get(`${kind} ${name}`);
    if (before === undefined) first.set(`${kind} ${name}`, document);
    else complain(document, '/name', `${kind} ${name} is declared twice: document ${before + 1} declares it too`);
  }
}

/** What the schema cannot know. */
function checkMeaning(view: View, d: Numbered, context: Context, complain: Complain): void {
  const { document } = d;
  const refuse = (problems: readonly Problem[]): void => {
    for (const { severity, path, message } of problems) if (severity === 'error') complain(document, path, message);
  };
  switch (d.kind) {
    case 'Host': {
      const { name, spec } = d.declared;
      if (!context.alone && !view.get('hosts', name)) {
        const meant = nearest(name, view.rows('hosts').map((h) => h.name));
        complain(document, '/name', `there is no host ${name}: ${meant === undefined ? '' : `did you mean ${meant}? `}a host comes by joining: \`godwit token create\`, then \`godwit agent join\` on it`);
      }
      if (!isAddress(spec.address)) complain(document, '/spec/address', `${JSON.stringify(spec.address)} is no IP address`);
      if (spec.maxBandwidth !== undefined && parseRate(spec.maxBandwidth) < 1) complain(document, '/spec/maxBandwidth', 'with nothing no move would ever end: give it some, like 1Gbit/s');
      refuse(checkHostPaths(name, spec, context.hosts));
      return;
    }
    case 'Network': {
      const { name, spec } = d.declared;
      if (spec.gateway !== undefined && !isAddress(spec.gateway)) complain(document, '/spec/gateway', `${JSON.stringify(spec.gateway)} is no IP address`);
      checkNetwork(view, name, spec, context.networks, (path, message) => complain(document, path, message));
      return;
    }
    case 'Policy':
      if (d.declared.name !== 'default') complain(document, '/name', 'there is one policy, and its name is default');
      if (silentAfter(d.declared.spec) < LEAST_SILENCE) complain(document, '/spec/hosts/silentAfter', 'shorter than an agent takes to report: 5s is usual');
      refuse(checkDetection(d.declared.spec, undefined));
      return;
    case 'Vm': {
      const { name, spec } = d.declared;
      checkVm(document, name, spec, context, complain);
      if (spec.host !== undefined) checkHost(view, spec.host, document, '/spec/host', ', or none', context, complain);
      if (view.get('vms', name)?.deleting) complain(document, '/name', `${name} is being deleted: declare it anew when it is gone`);
      return;
    }
    case 'VirtualRouter': {
      const { name, spec } = d.declared;
      for (const host of Object.keys(spec.hosts)) checkHost(view, host, document, `/spec/hosts/${host}`, '', context, complain);
      refuse(checkVirtualRouter(name, spec, context.routers, addressesOf(spec, context)));
      refuse(checkBfdTracks(spec, context.sessions, context.alone));
      return;
    }
    case 'BfdSession': {
      const { name, spec } = d.declared;
      for (const host of Object.keys(spec.hosts)) checkHost(view, host, document, `/spec/hosts/${host}`, '', context, complain);
      refuse(checkBfdSession(name, spec, bfdSurroundings(context)));
    }
  }
}

function checkHost(view: View, host: string, document: number, path: string, orElse: string, { alone }: Context, complain: Complain): void {
  if (alone || view.get('hosts', host)) return;
  const hosts = view.rows('hosts').map((h) => h.name);
  const meant = nearest(host, hosts);
  complain(document, path, `there is no host ${host}: ${meant === undefined ? `name one of ${hosts.join(', ') || 'those that will have joined'}${orElse}` : `did you mean ${meant}?`}`);
}

export function bfdSurroundings({ sessions, hosts, routers, policy, alone }: Context): BfdSurroundings {
  return { sessions, hosts, routers, alone, betweenHosts: policy?.detect?.bfd ?? detectionDefaults.detect.bfd };
}

/** Undefined while some of its hosts are not known: that is told for itself. */
export function addressesOf(spec: VirtualRouterSpec, { hosts }: Context): ((host: string) => string | undefined) | undefined {
  return Object.keys(spec.hosts).every((host) => hosts.has(host)) ? (host) => hosts.get(host)?.address : undefined;
}

function checkVm(document: number, name: string, spec: VmSpec, { networks, alone }: Context, complain: Complain): void {
  if (parseSize(spec.memory) < LEAST_MEMORY) complain(document, '/spec/memory', `${spec.memory} is too little for any guest`);
  // One NIC after the other: each is told for itself, and a network that is not there does not hide the next fault.
  (spec.nics ?? []).forEach((nic, n) => {
    const network = networks.get(nic.network);
    if (!network && !alone) {
      const meant = nearest(nic.network, [...networks.keys()]);
      complain(document, `/spec/nics/${n}/network`, `there is no network ${nic.network}: ${meant === undefined ? `declare it, or name one of ${[...networks.keys()].join(', ') || 'those you declare'}` : `did you mean ${meant}?`}`);
    }
    (nic.addresses ?? []).forEach((address, a) => {
      if (!isAddress(address)) complain(document, `/spec/nics/${n}/addresses/${a}`, `${JSON.stringify(address)} is no IP address`);
    });
    if (!network || (nic.addresses ?? []).some((a) => !isAddress(a))) return;
    try {
      resolveVm(name, { ...spec, nics: [nic] }, networks);
    } catch (error) {
      if (!(error instanceof VmSpecError)) throw error;
      complain(document, error.path.replace('/nics/0', `/nics/${n}`), error.message);
    }
  });
}

function isAddress(text: string): boolean {
  try {
    parseIpAddress(text);
    return true;
  } catch {
    return false;
  }
}

/** On one network each MAC and each address is one NIC's. */
function checkAddresses(view: View, declared: readonly Numbered[], complain: Complain): void {
  const vms = declared.flatMap((d) => (d.kind === 'Vm' ? [{ name: d.declared.name, spec: d.declared.spec, document: d.document }] : []));
  const mine = new Set(vms.map((vm) => vm.name));
  const owners = new Map<string, string>();
  const claim = (key: string, owner: string): string | undefined => {
    const before = owners.get(key);
    if (before === undefined) owners.set(key, owner);
    return before;
  };
  for (const { name, record: vm } of view.rows('vms')) {
    if (!mine.has(name)) for (const nic of vm.spec.nics ?? []) for (const key of keys(nic)) claim(key.key, name);
  }
  for (const { name, spec, document } of vms) {
    (spec.nics ?? []).forEach((nic, n) => {
      for (const { key, path, text } of keys(nic)) {
        const other = claim(key, name);
        if (other !== undefined) complain(document, `/spec/nics/${n}${path}`, `${text} is ${other === name ? 'there twice' : `${other}'s`} on network ${nic.network}: each may be there once`);
      }
    });
  }
}

type NicSpec = NonNullable<VmSpec['nics']>[number];

function keys(nic: NicSpec): readonly { readonly key: string; readonly path: string; readonly text: string }[] {
  return [
    { key: `${nic.network} ${nic.mac.toLowerCase()}`, path: '/mac', text: nic.mac },
    // Equal addresses have equal texts once parsed; what is none is told elsewhere.
    ...(nic.addresses ?? []).flatMap((text, n) => (isAddress(text) ? [{ key: `${nic.network} ${parseIpAddress(text).toString()}`, path: `/addresses/${n}`, text }] : [])),
  ];
}

function write(draft: Draft, d: Numbered, now: number, complain: Complain): Applied {
  switch (d.kind) {
    case 'Host': {
      return put(draft, 'hosts', d, now, () => {
        const before = draft.get('hosts', d.declared.name);
        if (!before) return;
        const { labels: _, ...rest } = before;
        draft.put('hosts', d.declared.name, { ...rest, ...labelsOf(d), spec: d.declared.spec });
      });
    }
    case 'Network': return put(draft, 'networks', d, now, () => draft.put('networks', d.declared.name, { ...labelsOf(d), spec: d.declared.spec }));
    case 'VirtualRouter': {
      return put(draft, 'routers', d, now, () => {
        const { labels: _, ...rest } = draft.get('routers', d.declared.name) ?? {};
        draft.put('routers', d.declared.name, { ...rest, ...labelsOf(d), spec: d.declared.spec });
      });
    }
    case 'BfdSession': {
      return put(draft, 'bfdsessions', d, now, () => {
        const { labels: _, ...rest } = draft.get('bfdsessions', d.declared.name) ?? {};
        draft.put('bfdsessions', d.declared.name, { ...rest, ...labelsOf(d), spec: d.declared.spec });
      });
    }
    case 'Policy': return put(draft, 'policies', d, now, () => draft.put('policies', d.declared.name, { ...labelsOf(d), spec: d.declared.spec }));
    case 'Vm': return put(draft, 'vms', d, now, () => writeVm(draft, d.declared.name, d.declared.spec, labelsOf(d), now, (message) => complain(d.document, '/spec/running', message)));
    default: return d satisfies never;
  }
}

function put(draft: Draft, table: Extract<Table, 'hosts' | 'networks' | 'vms' | 'routers' | 'bfdsessions' | 'policies'>, { kind, declared: { name } }: Numbered, now: number, store: () => void): Applied {
  const before = draft.get(table, name);
  store();
  const change = before === undefined ? 'created' : draft.get(table, name) === before ? 'unchanged' : 'changed';
  if (change !== 'unchanged') {
    record(draft, { at: now, severity: 'info', about: { kind, name }, reason: change === 'created' ? 'Created' : 'Changed', message: `${kind} ${name} is ${change}` });
  }
  return { kind, name, change };
}

function writeVm(draft: Draft, name: string, spec: VmSpec, labels: { readonly labels?: Labels }, now: number, complain: (message: string) => void): void {
  const before = draft.get('vms', name);
  const runs = spec.running !== false;
  if (!before) {
    draft.put('vms', name, { ...labels, spec, status: { state: 'stopped', since: now }, ...(runs ? { startWanted: {} } : {}) });
    return;
  }
  const { labels: _, ...rest } = before;
  let next: VmRecord = { ...rest, ...labels };
  if (runs && !isWantedRunning(before)) {
    try {
      next = ordered(name, next);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      complain(error.message);
    }
  } else if (!runs && isWantedRunning(before)) next = halted(next, false);
  draft.put('vms', name, { ...next, spec });
}

const labelsOf = ({ declared: { labels } }: Declared): { readonly labels?: Labels } => (labels === undefined ? {} : { labels });
