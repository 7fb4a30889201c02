/** `godwit describe`: everything that is known of one thing, and what happened to it last. */
import { type AnyResource, type Api, ApiError, type ResourceOf } from '../api/api.ts';
import type { PolicySpec } from '../model/cluster-policy.ts';
import type { Kind } from '../model/resource.ts';
import { sectionsOf } from './description.ts';
import { isAbout } from './event-about.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { type Io, print, styleOfOut } from './io.ts';
import { type Target, nameOf } from './kinds.ts';
import { judgementSection } from './path-description.ts';
import { lastHour } from './path-history.ts';
import { pathRank } from './path-words.ts';
import { formatReceipt } from './receipt.ts';
import { resourceTable, sorted } from './resource-table.ts';
import { isRouterTransition, transitionLines } from './router-transitions.ts';
import { type Section, formatSections, tableOrNone } from './section.ts';

/** Read back this far for those about one thing … */
const EVENTS_READ = 2000;
/** … and this many are shown. */
const EVENTS_SHOWN = 10;
const MIGRATIONS_SHOWN = 5;
const TRANSITIONS_SHOWN = 10;

export async function describe(api: Api, io: Io, target: Target): Promise<ExitCode> {
  const { kind } = target;
  const name = nameOf(target, 'describe');
  const resource = await found(api, target.kind, name);
  const now = io.clock.now();
  const sections: Section[] = [...sectionsOf(resource, now), ...await related(api, io, resource, now)];
  if (resource.kind === 'Migration' && resource.status?.receipt) {
    sections.push({ title: 'Receipt', lines: formatReceipt(resource.status.receipt, undefined, styleOfOut(io)).split('\n') });
  }
  if (kind !== 'Event') {
    // A router that is left alone has its last transition far back.
    const events = await api.list('Event', kind === 'VirtualRouter' ? {} : { last: EVENTS_READ });
    const about = events.filter((event) => isAbout(event, kind, name));
    if (kind === 'VirtualRouter') {
      // Its transitions have a section of their own.
      sections.push({ title: "Transitions (times are the hosts' own)",
        lines: transitionLines(about, now, TRANSITIONS_SHOWN, styleOfOut(io)) });
    }
    sections.push(rows('Events', 'Event',
      sorted(about.filter(({ spec }) => !(spec.evidence && isRouterTransition(spec.evidence)))).slice(-EVENTS_SHOWN), now));
  }
  print(io, formatSections(sections).join('\n'));
  return exitCodes.fine;
}

/** The policy `default` holds, by its defaults, where none was declared. Fails with ApiError. */
async function found(api: Api, kind: Kind, name: string): Promise<AnyResource> {
  try {
    return await api.get(kind, name);
  } catch (error) {
    if (kind !== 'Policy' || name !== 'default' || !(error instanceof ApiError) || error.status !== 404) throw error;
    return { kind, name, revision: 0, spec: {} };
  }
}

/** What else hangs on it. */
async function related(api: Api, io: Io, resource: AnyResource, now: number): Promise<Section[]> {
  const { kind, name } = resource;
  switch (kind) {
    case 'Host': {
      const routers = (await api.list('VirtualRouter')).filter(({ spec }) => Object.hasOwn(spec.hosts, name));
      const sessions = (await api.list('BfdSession')).filter(({ spec }) => Object.hasOwn(spec.hosts, name));
      return [
        rows('VMs', 'Vm', (await api.list('Vm')).filter(({ status }) => status?.placement?.host === name), now),
        ...(routers.length > 0 ? [rows('Routers', 'VirtualRouter', routers, now)] : []),
        ...(sessions.length > 0 ? [rows('BFD sessions', 'BfdSession', sessions, now)] : []),
        ...pathsOf(name, await api.list('Path'), now),
      ];
    }
    case 'Network':
      return [rows('VMs', 'Vm', (await api.list('Vm')).filter(({ spec }) => spec.nics?.some((nic) => nic.network === name)), now)];
    case 'Vm': {
      const moves = sorted((await api.list('Migration')).filter(({ spec }) => spec.vm === name));
      return [rows('Migrations', 'Migration', moves.slice(-MIGRATIONS_SHOWN), now)];
    }
    case 'Path':
      return [...judgementSection(resource, await policyOf(api), now), ...await lastHour(api, resource, now, styleOfOut(io))];
    default:
      return [];
  }
}

/** Those that are not fine, from and to it. */
function pathsOf(host: string, all: readonly ResourceOf['Path'][], now: number): Section[] {
  const paths = all.filter(({ spec }) => spec.from === host || spec.to === host);
  const sick = paths.filter((path) => pathRank(path) !== 'fine');
  if (paths.length === 0) return [];
  if (sick.length === 0) return [{ title: 'Paths', lines: [`all ${paths.length} from and to it are fine`] }];
  return [rows(`Paths, ${sick.length} of ${paths.length} not fine`, 'Path', sick, now)];
}

/** undefined: none was declared. */
async function policyOf(api: Api): Promise<PolicySpec | undefined> {
  return (await api.list('Policy')).find(({ name }) => name === 'default')?.spec;
}

/** A table of others that belong to it. */
function rows<K extends Kind>(title: string, kind: K, resources: readonly ResourceOf[K][], now: number): Section {
  const table = resourceTable(kind, false);
  return { title, lines: tableOrNone(table.columns, sorted(resources).map((r) => table.row(r, now))) };
}
