/** What a host is to measure and judge: the policy with its defaults filled in, its own addresses and the others'. */
import type { PolicySpec } from '../model/cluster-policy.ts';
import { type AlertSpec, detectionDefaults } from '../model/detection-policy.ts';
import type { HostSpec } from '../model/host.ts';
import { parseRate } from '../model/quantity.ts';
import type { AlertPlan, WatchPlan } from '../model/watch-plan.ts';
import { pathAddresses } from './bfd-terms.ts';
import { durationOf } from './router-terms.ts';

/** The same declarations give the same plan, text by text, in whatever order they were written. undefined: there is no such host. */
export function watchPlan(host: string, hosts: ReadonlyMap<string, HostSpec>, policy: PolicySpec | undefined): WatchPlan | undefined {
  const own = hosts.get(host);
  if (!own) return undefined;
  const local = pathAddresses(own);
  const peers = [...hosts].filter(([name]) => name !== host).sort(byName).flatMap(([name, spec]) => {
    const addresses = [...pathAddresses(spec)].filter(([path, address]) => local.get(path)?.family === address.family);
    return addresses.length === 0 ? [] : [{ host: name, addresses: texts(addresses) }];
  });
  const detect = { ...detectionDefaults.detect, ...policy?.detect };
  const monitor = { ...detectionDefaults.monitor, ...policy?.monitor };
  const quality = { ...detectionDefaults.quality, ...policy?.quality };
  const { latency } = policy?.quality ?? {};
  return {
    host, local: texts([...local]), peers,
    paths: Object.fromEntries([...local.keys()].map((path) => [path, pathTerms(path, policy)])),
    detector: { falseAlarmsPerDay: detect.falseAlarmsPerDay, floor: durationOf(detect.floor), ceiling: durationOf(detect.ceiling) },
    probing: {
      enabled: monitor.probes, rate: monitor.rate, leastRate: monitor.leastRate, core: monitor.core, link: monitor.link,
      dwell: durationOf(monitor.dwell), timeout: durationOf(monitor.timeout), port: monitor.port,
      reflectTo: policy?.monitor?.reflectTo ?? [],
    },
    quality: {
      loss: { rising: quality.loss.rising, falling: quality.loss.falling },
      ...(latency === undefined ? {} : { latency: { rising: durationOf(latency.rising), falling: durationOf(latency.falling) } }),
      history: quality.history,
      hold: durationOf(quality.hold), holdMost: durationOf(quality.holdMost), relapse: durationOf(quality.relapse),
    },
    alerts: Object.fromEntries(Object.entries(policy?.alerts ?? {}).sort(byName)
      .flatMap(([name, alert]) => (alert.host === undefined || alert.host === host ? [[name, alertPlan(alert)]] : []))),
  };
}

function pathTerms(path: string, policy: PolicySpec | undefined): WatchPlan['paths'][string] {
  const all = policy?.paths ?? {};
  const set = Object.hasOwn(all, path) ? all[path] : undefined;
  const { capacity, classes, mtu } = { ...detectionDefaults.paths, mtu: undefined, ...set };
  return { capacity: parseRate(capacity), classes: [...classes], ...(mtu === undefined ? {} : { mtu }) };
}

function alertPlan({ metric, rising, falling, hold, severity, on }: AlertSpec): AlertPlan {
  return {
    metric, rising, falling, hold: durationOf(hold ?? detectionDefaults.alert.hold), severity: severity ?? detectionDefaults.alert.severity,
    ...(on === undefined ? {} : { on }),
  };
}

const texts = (addresses: readonly (readonly [string, { toString(): string }])[]): Record<string, string> =>
  Object.fromEntries(addresses.map(([path, address]) => [path, address.toString()]));
const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);
