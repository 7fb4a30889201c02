/** What is wrong with a host's paths, with what names a path, and with the policy's detection, or only odd. */
import type { PolicySpec } from '../model/cluster-policy.ts';
import { detectionDefaults } from '../model/detection-policy.ts';
import type { HostSpec } from '../model/host.ts';
import { MAIN_PATH } from '../model/path.ts';
import { isLinkLocal } from '../wire/vrrp.ts';
import { type Problem, intervalFault, isHostAddress } from './bfd-check.ts';
import { pathAddresses } from './bfd-terms.ts';
import type { Complain } from './router-check.ts';
import { addressOf, durationOf } from './router-terms.ts';

const collected = (check: (complain: Complain) => void): readonly Problem[] => {
  const problems: Problem[] = [];
  check((severity, path, message) => problems.push({ severity, path, message }));
  return problems;
};

/** @param hosts all; the host's own declaration among them is left out */
export const checkHostPaths = (
  name: string, spec: HostSpec, hosts: ReadonlyMap<string, HostSpec>,
): readonly Problem[] => collected((complain) => {
  const others = [...hosts].filter(([other]) => other !== name).sort(([a], [b]) => (a < b ? -1 : 1));
  const owners = new Map(others.flatMap(([other, theirs]) =>
    [...pathAddresses(theirs)].map(([path, address]) => [address.toString(), { other, path }] as const)));
  for (const [path, text] of Object.entries(spec.paths ?? {})) {
    const at = `/spec/paths/${path}`;
    const address = addressOf(text);
    if (path === MAIN_PATH) complain('error', at,
      `path ${MAIN_PATH} is that of the host's address: take it out here, or call it something else`);
    else if (!address || !isHostAddress(address)) complain('error', at, `${JSON.stringify(text)} is no IP address that a host can have`);
    else if (address.family === 6 && isLinkLocal(address)) complain('error', at,
      `${text} is link-local, and means nothing without an interface: name a routed address`);
    else checkFamily(path, at, address.family, others, complain);
  }
  const mine = new Map<string, string>();
  for (const [path, address] of pathAddresses(spec)) {
    const at = path === MAIN_PATH ? '/spec/address' : `/spec/paths/${path}`;
    const [before, owner] = [mine.get(address.toString()), owners.get(address.toString())];
    mine.set(address.toString(), path);
    if (before !== undefined) complain('error', at, `${address} is its path ${before} too: each path has an address of its own`);
    else if (owner) complain('error', at, `${address} is ${owner.other}'s on path ${owner.path}: each host has its own addresses`);
  }
});

function checkFamily(path: string, at: string, family: 4 | 6, others: readonly (readonly [string, HostSpec])[], complain: Complain): void {
  const odd = others.find(([, theirs]) => (pathAddresses(theirs).get(path)?.family ?? family) !== family);
  if (odd) complain('error', at,
    `${odd[0]} has an IPv${family === 4 ? 6 : 4} address on path ${path}: those of a path reach each other, so give all hosts one of ` +
    `the same family`);
}

/** Whether anybody has the path that is named at `at`. */
export function checkPathNamed(path: string, at: string, hosts: ReadonlyMap<string, HostSpec>): readonly Problem[] {
  const known = new Set([...hosts.values()].flatMap(({ paths = {} }) => Object.keys(paths)));
  if (path === MAIN_PATH || hosts.size === 0 || known.has(path)) return [];
  const names = [MAIN_PATH, ...[...known].sort()].join(', ');
  const message = `no host has a path ${path}: give hosts one (paths of their declaration), or name one of ${names}`;
  return [{ severity: 'warning', path: at, message }];
}

/** @param hosts undefined: not known, so what names one is not looked at */
export const checkDetection = (
  spec: PolicySpec, hosts: ReadonlyMap<string, HostSpec> | undefined,
): readonly Problem[] => collected((complain) => {
  const { detect = {}, quality = {}, monitor = {}, alerts = {}, paths = {} } = spec;
  const fault = detect.interval === undefined ? undefined : intervalFault(detect.interval);
  if (fault !== undefined) complain('error', '/spec/detect/interval', fault);
  const [floor, ceiling] = [detect.floor ?? detectionDefaults.detect.floor, detect.ceiling ?? detectionDefaults.detect.ceiling];
  if (durationOf(floor) > durationOf(ceiling)) {
    complain('error', detect.floor === undefined ? '/spec/detect/ceiling' : '/spec/detect/floor',
      `a floor of ${floor} above a ceiling of ${ceiling} leaves nothing between: swap them`);
  }
  const [rate, least] = [monitor.rate ?? detectionDefaults.monitor.rate, monitor.leastRate ?? detectionDefaults.monitor.leastRate];
  if (least > rate) complain('error', monitor.leastRate === undefined ? '/spec/monitor/rate' : '/spec/monitor/leastRate',
    `at least ${least} probes a second are more than the ${rate} that are wanted`);
  for (const key of ['dwell', 'timeout'] as const) {
    if (monitor[key] !== undefined && durationOf(monitor[key]) < 100) complain('error',
      `/spec/monitor/${key}`, `${monitor[key]} is too short for any probe: give at least 100ms`);
  }
  const { latency } = quality;
  const thresholds = [
    ['/spec/quality/loss', quality.loss],
    ['/spec/quality/latency', latency && { rising: durationOf(latency.rising), falling: durationOf(latency.falling) }],
    ...Object.entries(alerts).map(([name, alert]) => [`/spec/alerts/${name}`, alert] as const),
  ] as const;
  for (const [at, limits] of thresholds) {
    if (limits && limits.falling >= limits.rising) complain('error', `${at}/falling`,
      'the falling threshold lies below the rising one: between the two nothing turns, or it would flap');
  }
  (monitor.reflectTo ?? []).forEach((text, n) => {
    const [address = '', length] = text.split('/');
    const parsed = addressOf(address);
    if (!parsed || (length !== undefined && Number(length) > parsed.bytes().length * 8)) complain('error',
      `/spec/monitor/reflectTo/${n}`, `${JSON.stringify(text)} is no address and no prefix: write one like 192.0.2.0/24`);
  });
  (spec.webhooks ?? []).forEach((text, n) => {
    if (!URL.canParse(text)) complain('error',
      `/spec/webhooks/${n}`, `${JSON.stringify(text)} is no URL: write one like https://alerts.example.org/godwit`);
  });
  if (!hosts) return;
  for (const { severity, path, message } of Object.keys(paths).flatMap((name) => checkPathNamed(name, `/spec/paths/${name}`, hosts))) {
    complain(severity, path, message);
  }
  for (const [name, { host }] of Object.entries(alerts)) {
    if (host !== undefined && hosts.size > 0 && !hosts.has(host)) complain('warning',
      `/spec/alerts/${name}/host`, `there is no host ${host}: nobody judges this alert`);
  }
});
