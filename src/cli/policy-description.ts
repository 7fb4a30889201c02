/** The policy as sections, for `describe`: what holds, whether said or by default. */
import type { ResourceOf } from '../api/api.ts';
import { announcePolicy, movePolicy, silentAfter } from '../model/cluster-policy.ts';
import { type AlertSpec, detectionDefaults } from '../model/detection-policy.ts';
import { perDay } from './path-description.ts';
import { qualityTerms } from './quality-terms.ts';
import { type Section, fields, tableOrNone } from './section.ts';
import { left, right } from './table.ts';
import { count, formatMs, formatShare } from './text.ts';

export function policySections({ name, spec, revision }: ResourceOf['Policy']): Section[] {
  const moves = movePolicy(spec);
  const announce = announcePolicy(spec);
  return [
    { lines: fields([['Name', name], ['Declared', revision === 0 ? 'no: all of it is by default' : undefined]]) },
    {
      title: 'Moves', lines: fields([
        ['Last pass', `${formatMs(moves.lastPass)}; ${formatMs(moves.lastPassLate)} after ${formatMs(moves.patience)}`],
        ['Longest copy', formatMs(moves.maxCopy)],
        ['Longest pause', formatMs(moves.maxPause)], ['Longest emptying', formatMs(moves.maxEmptying)],
        ['Announced', announce.count === 0 ? 'by the move alone'
          : `again ${count(announce.count, 'time')} after a move, the first after ${formatMs(announce.interval)}, the gaps doubled`],
        ['Drain', `until ${formatMs(moves.quiet)} without a frame, at most ${formatMs(moves.maxDrain)}`],
        ['Moves of one VM', `${moves.movesPerVm} in 3 minutes`],
      ]),
    },
    { title: 'Hosts', lines: fields([['Silent after', formatMs(silentAfter(spec))]]) },
    ...detection(spec),
  ];
}

function detection(spec: ResourceOf['Policy']['spec']): Section[] {
  const detect = { ...detectionDefaults.detect, ...spec.detect };
  const monitor = { ...detectionDefaults.monitor, ...spec.monitor };
  const act = { ...detectionDefaults.act, ...spec.act };
  const { loss, latency, hold, holdMost, relapse } = qualityTerms(spec);
  return [
    {
      title: 'Detection', lines: fields([
        ['BFD', detect.bfd ? `between hosts, every ${detect.interval} x ${detect.multiplier}` : 'not between hosts'],
        ['False alarms', `${perDay(detect.falseAlarmsPerDay)} a day and path at most; silent after ${detect.floor} to ${detect.ceiling}`],
        ['Dead', detect.bfd ? `when ${detect.observers} hosts or more have a vote and all miss it`
          : 'no host is ever called so: verdicts come from the sessions between hosts'],
      ]),
    },
    {
      title: 'Probes', lines: fields([
        ['Rate', monitor.probes
          ? `${monitor.rate} a second, path and class, at least ${monitor.leastRate}; else they take turns of ${monitor.dwell}` : 'none'],
        ['Budget', `${formatShare(monitor.core)} of a core, ${formatShare(monitor.link)} of a path's capacity`],
        ['Lost after', monitor.timeout],
        ['Port', `UDP ${monitor.port}${spec.monitor?.reflectTo?.length ? `, answers also ${spec.monitor.reflectTo.join(', ')}` : ''}`],
      ]),
    },
    {
      title: 'Paths', lines: [
        ...fields([
          ['Loss', `out at ${formatShare(loss.rising)}, back at ${formatShare(loss.falling)}`],
          ['Latency', latency ? `out at ${formatMs(latency.rising)}, back at ${formatMs(latency.falling)}` : 'not judged'],
          ['Hold', `${formatMs(hold)}, doubled when it falls again within ${formatMs(relapse)}, at most ${formatMs(holdMost)}`],
        ]),
        ...Object.entries(spec.paths ?? {}).map(([path,
          { capacity = detectionDefaults.paths.capacity, classes = detectionDefaults.paths.classes, mtu }]) =>
          `${path}: ${capacity}, DSCP ${classes.join(', ')}${mtu === undefined ? '' : `, MTU ${mtu}`}`),
      ],
    },
    {
      title: 'Actions', lines: fields([
        ['Path', act.path], ['Bandwidth', act.bandwidth], ['Target', act.target], ['Evacuate', act.evacuate], ['Priority', act.priority],
        ['At most', `${act.limit} of a kind on a host (of paths: on one between two hosts) in ${act.within}`],
      ]),
    },
    ...(spec.alerts ? [{ title: 'Alerts', lines: alertTable(spec.alerts) }] : []),
    ...(spec.webhooks ? [{ title: 'Webhooks', lines: [...spec.webhooks] }] : []),
  ];
}

const alertTable = (alerts: Readonly<Record<string, AlertSpec>>): readonly string[] => tableOrNone(
  [left('NAME'), left('METRIC'), right('ON-AT'), right('OFF-AT'), left('HOLD'), left('SEVERITY'), left('OF')],
  Object.entries(alerts).map(([name, a]) => [
    name, a.metric, a.rising, a.falling, a.hold ?? detectionDefaults.alert.hold, a.severity ?? detectionDefaults.alert.severity,
    [a.host, a.on].filter((part) => part !== undefined).join(' ') || 'all',
  ]),
);
