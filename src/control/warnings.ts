/** What `config check` says beyond what `apply` refuses: it would be taken, and may not be what was meant. */
import type { Declaration, Fault } from '../api/api.ts';
import { type Declared, checkDocument } from '../api/check-document.ts';
import { type NetworkSpec, isMadeByGodwit } from '../model/network.ts';
import { parseDuration } from '../model/quantity.ts';
import { type VirtualRouterSpec, routerDefaults } from '../model/virtual-router.ts';
import type { VmSpec } from '../model/vm-spec.ts';
import { checkVirtualRouter } from '../policy/router-plan.ts';
import { type Problem, checkBfdSession } from '../policy/bfd-check.ts';
import { checkDetection, checkHostPaths, checkPathNamed } from '../policy/path-check.ts';
import { type Context, addressesOf, bfdSurroundings, contextOf } from './apply.ts';
import type { View } from './draft.ts';
import type { Liveness } from './liveness.ts';

type Warn = (path: string, message: string) => void;

/** Of documents that `apply` takes. `live`: what was measured last, where there are hosts that measure; without, documents stand alone. */
export function warningsOf(view: View, documents: readonly Declaration[], live?: Liveness): readonly Fault[] {
  const warnings: Fault[] = [];
  const declared = documents.map((document) => checkDocument(document));
  const context = contextOf(view, declared.filter((d): d is Declared => 'kind' in d), live === undefined);
  for (const [document, d] of declared.entries()) {
    if (!('kind' in d)) continue;
    const warn: Warn = (path, message) => warnings.push({ document, path, message });
    if (d.kind === 'VirtualRouter') warnOfRouter(view, d.declared.name, d.declared.spec, context, live, warn);
    else if (d.kind === 'BfdSession') warnings.push(...warned(document, checkBfdSession(d.declared.name, d.declared.spec, bfdSurroundings(context))));
    else if (d.kind === 'Host') warnings.push(...warned(document, checkHostPaths(d.declared.name, d.declared.spec, context.hosts)));
    else if (d.kind === 'Policy') warnings.push(...warned(document, checkDetection(d.declared.spec, context.hosts)));
    else if (d.kind === 'Network') {
      warnOfNetwork(view, d.declared.spec, warn);
      const { path } = d.declared.spec;
      if (path !== undefined) warnings.push(...warned(document, checkPathNamed(path, '/spec/path', context.hosts)));
    }
    else if (d.kind === 'Vm' && context.alone) warnOfVm(d.declared.spec, context, warn);
  }
  return warnings;
}

const warned = (document: number, problems: readonly Problem[]): readonly Fault[] =>
  problems.flatMap(({ severity, path, message }) => (severity === 'warning' ? [{ document, path, message }] : []));

function warnOfRouter(view: View, name: string, spec: VirtualRouterSpec, context: Context, live: Liveness | undefined, warn: Warn): void {
  for (const { severity, path, message } of checkVirtualRouter(name, spec, context.routers, addressesOf(spec, context))) {
    if (severity === 'warning') warn(path, message);
  }
  if (!live) return;
  const interval = parseDuration(spec.interval ?? routerDefaults.interval);
  const then = (spec.version ?? routerDefaults.version) === 3
    ? 'it will send more slowly, and its Backups wait the longer'
    : 'and Backups of version 2 do not learn that it sends more slowly: give it a longer interval, or use version 3';
  for (const host of Object.keys(spec.hosts)) {
    const smallest = holdable(view, host, live);
    if (smallest === undefined || smallest <= interval) continue;
    const path = spec.interval === undefined ? '/spec' : '/spec/interval';
    warn(path, `${host} cannot hold less than ${smallest.toFixed(0)} ms now, by its own measure: ${then}`);
  }
}

/** The smallest interval that this host has measured it can hold, ms; undefined when it takes part in no router yet. */
function holdable(view: View, host: string, live: Liveness): number | undefined {
  for (const { name, record: { status } } of view.rows('routers')) {
    const shown = status && Object.hasOwn(status.hosts, host) ? live.freshRouter(name, status).hosts[host] : undefined;
    if (shown && shown.state !== 'unknown') return shown.timing.smallestInterval;
  }
  return undefined;
}

function warnOfNetwork(view: View, spec: NetworkSpec, warn: Warn): void {
  if (isMadeByGodwit(spec)) return;
  const { bridge } = spec;
  const lacks = view.rows('hosts').filter(({ record: { status } }) => status && !Object.hasOwn(status.bridges, bridge));
  const without = lacks.map(({ name }) => name);
  if (without.length > 0) warn('/spec/bridge', `there is no bridge ${bridge} on ${without.join(', ')}: its VMs cannot run there`);
}

function warnOfVm(spec: VmSpec, { networks }: Context, warn: Warn): void {
  (spec.nics ?? []).forEach(({ network }, n) => {
    if (!networks.has(network)) warn(`/spec/nics/${n}/network`, `network ${network} is not in these files: it has to be declared already`);
  });
}
