/** A resource as fields and sections, for `describe`. */
import type { AnyResource, ResourceOf } from '../api/api.ts';
import { kindOfNetwork } from '../model/network.ts';
import { unreachable } from '../base/error.ts';
import { addressSections, seenColumns } from './address-description.ts';
import { bfdSections } from './bfd-description.ts';
import { hostSections } from './host-description.ts';
import { reference } from './kinds.ts';
import { outcomeOf } from './migration-outcome.ts';
import { pathSections } from './path-description.ts';
import { policySections } from './policy-description.ts';
import { migrationState, networkGateways } from './resource-table.ts';
import { routerSections } from './router-description.ts';
import { type Section, ago, commas, fields, labels, tableOrNone } from './section.ts';
import { left, right } from './table.ts';
import { formatBytes, formatMs, formatRate, wrap } from './text.ts';

/** Of the resource alone; `now` in ms since the epoch. */
export function sectionsOf(resource: AnyResource, now: number): Section[] {
  switch (resource.kind) {
    case 'Host': return hostSections(resource, now);
    case 'Network': return network(resource);
    case 'Vm': return vm(resource, now);
    case 'VirtualRouter': return routerSections(resource, now);
    case 'BfdSession': return bfdSections(resource, now);
    case 'Path': return pathSections(resource, now);
    case 'Address': return addressSections(resource, now);
    case 'Migration': return migration(resource, now);
    case 'Event': return event(resource, now);
    case 'Policy': return policySections(resource);
    default: return unreachable(resource);
  }
}

function network(n: ResourceOf['Network']): Section[] {
  const { bridge, mtu = 1500, guard } = n.spec;
  const made = kindOfNetwork(n.name, n.spec);
  return [{
    lines: fields([
      ['Name', n.name], ['Labels', labels(n)], ['Kind', made.kind],
      ['Bridge', made.kind === 'bridge' ? bridge : `${bridge}, made by Godwit`], ['MTU', mtu],
      ['Gateway', networkGateways(n).join(', ')], ['Gateway MAC', made.kind === 'routed' ? made.mac.toString() : undefined],
      ['VNI', made.kind === 'vxlan' ? `${made.vni}, UDP port ${made.port}` : undefined],
      ['Guard', guard ? 'of every NIC that does not say otherwise' : undefined], ['Path', n.spec.path],
    ]),
  }];
}

function vm(v: ResourceOf['Vm'], now: number): Section[] {
  const { spec, status: s } = v;
  const nics = (spec.nics ?? []).map((nic, i) => [i, nic.network, nic.mac, commas(nic.addresses ?? [])]);
  const seen = seenColumns(s?.nics ?? [], spec.nics ?? []);
  const disks = (spec.disks ?? []).map((disk) => [disk.path, disk.format, disk.shared === false ? 'no' : 'yes']);
  return [
    {
      lines: fields([
        ['Name', v.name], ['Labels', labels(v)], ['State', s?.state ?? 'not placed yet'], ['Why', s?.reason],
        ['Host', s?.placement?.host ?? 'none'], ['Since', ago(s?.since, now)],
        ['Placement', s?.placement && `epoch ${s.placement.epoch}, start ${s.placement.start}`], ['Migration', s?.migration],
        ['Wanted', `${spec.running === false ? 'stopped' : 'running'}${spec.host === undefined ? '' : `, first on ${spec.host}`}`],
        ['CPUs', `${spec.cpus} (${spec.cpuModel ?? 'host'})`], ['Memory', spec.memory],
        ['Machine', `${spec.machine ?? 'q35'}, ${spec.accelerator ?? 'kvm'}`],
        ['Kernel', spec.boot?.kernel], ['Initrd', spec.boot?.initrd],
      ]),
    },
    { title: 'NICs',
      lines: tableOrNone([right('NIC'), left('NETWORK'), left('MAC'), left('ADDRESSES'), ...seen.columns],
      nics.map((nic, i) => [...nic, ...seen.cells(i)])) },
    { title: 'Disks', lines: tableOrNone([left('PATH'), left('FORMAT'), left('SHARED')], disks) },
  ];
}

function migration(m: ResourceOf['Migration'], now: number): Section[] {
  const s = m.status;
  const p = s?.end ? undefined : s?.progress;
  const outcome = outcomeOf(m);
  const took = s?.startedAt !== undefined && s.endedAt !== undefined ? formatMs(s.endedAt - s.startedAt) : undefined;
  return [
    {
      lines: fields([
        ['Name', m.name], ['VM', m.spec.vm], ['From', s?.from], ['To', m.spec.to], ['Dry run', m.spec.dryRun ? 'yes' : undefined],
        ['State', migrationState(m)], ['Step', s && s.phase !== migrationState(m) ? s.phase : undefined],
        [s?.phase === 'queued' ? 'Waits' : 'Note', s?.end ? undefined : s?.reason],
        ['Asked for', ago(s?.createdAt, now)], ['Began', ago(s?.startedAt, now)], ['Ended', ago(s?.endedAt, now)], ['Took', took],
        ['Cancelled', s?.cancel && !s.end ? 'asked for' : undefined], ['Decision', s?.decision], ['Move', s?.move],
      ]),
    },
    ...(p === undefined ? [] : [{
      title: 'Copy', lines: fields([
        ['Copied', `${Math.floor(p.fraction * 100)} %, pass ${p.pass}`],
        ['Sent', `${formatBytes(p.transferred)} at ${formatRate(p.throughput)}`],
        ['Left', `${formatBytes(p.remaining)}, ${p.timeLeft === undefined ? 'time left unknown' : `${formatMs(p.timeLeft)} to go`}`],
        ['Dirty rate', formatRate(p.dirtyRate)], ['Slow', p.slow],
      ]),
    }]),
    ...(outcome === undefined ? [] : [{
      title: 'Outcome', lines: [
        ...wrap(outcome.text), ...(outcome.why === undefined ? [] : wrap(outcome.why, 'Why: ')),
        ...(outcome.todo === undefined ? [] : wrap(outcome.todo, 'What to do: ')),
        ...(outcome.notes ?? []).flatMap((note) => wrap(note, '- ')),
      ],
    }]),
  ];
}

const event = (e: ResourceOf['Event'], now: number): Section[] => [{
  lines: fields([
    ['Name', e.name], ['At', ago(e.spec.at, now)], ['Severity', e.spec.severity], ['Reason', e.spec.reason],
    ['About', reference(e.spec.about.kind, e.spec.about.name)], ['Host', e.spec.host], ['Message', e.spec.message],
    ['Evidence', e.spec.evidence && `godwit why ${e.name}`],
  ]),
}];
