/** A resource as fields and sections, for `describe`. */
import type { AnyResource, ResourceOf } from '../api/api.ts';
import { announcePolicy, movePolicy, silentAfter } from '../model/cluster-policy.ts';
import { hostDefaults } from '../model/host.ts';
import { kindOfNetwork } from '../model/network.ts';
import { unreachable } from '../base/error.ts';
import { addressSections, seenColumns } from './address-description.ts';
import { reference } from './kinds.ts';
import { outcomeOf } from './migration-outcome.ts';
import { migrationState, networkGateways } from './resource-table.ts';
import { routerSections } from './router-description.ts';
import { type Section, ago, commas, fields, labels, tableOrNone } from './section.ts';
import { left, right } from './table.ts';
import { count, formatBytes, formatMs, formatRate, wrap } from './text.ts';

/** Of the resource alone; `now` in ms since the epoch. */
export function sectionsOf(resource: AnyResource, now: number): Section[] {
  switch (resource.kind) {
    case 'Host': return host(resource, now);
    case 'Network': return network(resource);
    case 'Vm': return vm(resource, now);
    case 'VirtualRouter': return routerSections(resource, now);
    case 'Address': return addressSections(resource, now);
    case 'Migration': return migration(resource, now);
    case 'Event': return event(resource, now);
    case 'Policy': return policy(resource);
    default: return unreachable(resource);
  }
}

function host(h: ResourceOf['Host'], now: number): Section[] {
  const s = h.status;
  return [
    {
      lines: fields([
        ['Name', h.name], ['Labels', labels(h)], ['State', s?.state ?? 'never reported'], ['Last report', ago(s?.lastReport, now)],
        ['Address', h.spec.address], ['Peer port', h.spec.peerPort ?? hostDefaults.peerPort],
        ['Bandwidth', `${h.spec.maxBandwidth ?? hostDefaults.maxBandwidth} for all moves, per direction`],
        ['Moves', `${h.spec.moves ?? hostDefaults.moves} at a time`],
      ]),
    },
    ...(s === undefined ? [] : [
      {
        title: 'Machine', lines: fields([
          ['CPU', `${s.cpus} x ${s.cpu}`], ['Memory', `${formatBytes(s.memory)}, ${formatBytes(s.freeMemory)} free`],
          ['Accelerators', commas(s.accelerators)], ['QEMU', s.qemu], ['Kernel', s.kernel],
          ['Bridges', commas(Object.entries(s.bridges).map(([name, { mtu }]) => `${name} (MTU ${mtu})`))],
          ['Lacks', s.missingFeatures.join(', ')],
        ]),
      },
      {
        title: 'Agent', lines: fields([
          ['Version', s.agent.version], ['Started', ago(s.agent.startedAt, now)],
          ['Cost', `${formatMs(s.agent.cpuTime)} of CPU, ${formatBytes(s.agent.residentMemory)} of memory`],
        ]),
      },
    ]),
  ];
}

function network(n: ResourceOf['Network']): Section[] {
  const { bridge, mtu = 1500, guard } = n.spec;
  const made = kindOfNetwork(n.name, n.spec);
  return [{
    lines: fields([
      ['Name', n.name], ['Labels', labels(n)], ['Kind', made.kind], ['Bridge', made.kind === 'bridge' ? bridge : `${bridge}, made by Godwit`], ['MTU', mtu],
      ['Gateway', networkGateways(n).join(', ')], ['Gateway MAC', made.kind === 'routed' ? made.mac.toString() : undefined],
      ['VNI', made.kind === 'vxlan' ? `${made.vni}, UDP port ${made.port}` : undefined],
      ['Guard', guard ? 'of every NIC that does not say otherwise' : undefined],
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
    { title: 'NICs', lines: tableOrNone([right('NIC'), left('NETWORK'), left('MAC'), left('ADDRESSES'), ...seen.columns], nics.map((nic, i) => [...nic, ...seen.cells(i)])) },
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
  ]),
}];

function policy({ name, spec }: ResourceOf['Policy']): Section[] {
  const moves = movePolicy(spec);
  const announce = announcePolicy(spec);
  return [
    { lines: fields([['Name', name]]) },
    {
      title: 'Moves', lines: fields([
        ['Last pass', `${formatMs(moves.lastPass)}; ${formatMs(moves.lastPassLate)} after ${formatMs(moves.patience)}`],
        ['Longest copy', formatMs(moves.maxCopy)],
        ['Longest pause', formatMs(moves.maxPause)], ['Longest emptying', formatMs(moves.maxEmptying)],
        ['Announced', announce.count === 0 ? 'by the move alone' : `again ${count(announce.count, 'time')} after a move, the first after ${formatMs(announce.interval)}, the gaps doubled`],
        ['Drain', `until ${formatMs(moves.quiet)} without a frame, at most ${formatMs(moves.maxDrain)}`],
        ['Moves of one VM', `${moves.movesPerVm} in 3 minutes`],
      ]),
    },
    { title: 'Hosts', lines: fields([['Silent after', formatMs(silentAfter(spec))]]) },
  ];
}
