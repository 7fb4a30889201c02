/** Virtual routers from end to end: declared at the server, run by the agents' pulses, used by a client, told to the administrator. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { LabCluster } from '../../src/lab/cluster.ts';
import type { RouterTransition, VirtualRouterSpec, VirtualRouterStatus } from '../../src/model/virtual-router.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { LONG, sharedCluster } from './cluster-fixture.ts';

const VIP = '10.77.0.254';
const VIRTUAL_MAC = '00:00:5e:00:01:33';
const cluster = sharedCluster(async (opened) => {
  for (const [i, { name, host }] of opened.lab.hosts.entries()) {
    host.addresses.add(host.links.get('br-a').index, parseIpAddress(`10.77.0.${201 + i}`), 24);
    mkdirSync(opened.scriptsDir(name), { recursive: true });
    script(opened, name, 'ready', `test ! -e ${join(opened.scriptsDir(name), 'not-ready')}`);
    script(opened, name, 'heard', `echo "$1 $2 $3" >> ${heardFile(opened, name)}`);
  }
});

const heardFile = (of: LabCluster, host: string): string => join(of.scriptsDir(host), 'heard.txt');
const notReady = (host: string): string => join(cluster().scriptsDir(host), 'not-ready');

function script(of: LabCluster, host: string, name: string, line: string): void {
  writeFileSync(join(of.scriptsDir(host), name), `#!/bin/sh\n${line}\n`, { mode: 0o755 });
}

const spec = (more: Partial<VirtualRouterSpec> = {}): VirtualRouterSpec => ({
  vrid: 51, addresses: [`${VIP}/24`], interface: 'br-a', interval: '100ms', notify: 'heard',
  hosts: { h1: { priority: 200, track: [{ script: 'ready', interval: '200ms', weight: -150 }] }, h2: { priority: 100 } },
  ...more,
});

const declare = (more: Partial<VirtualRouterSpec> = {}): Promise<unknown> => cluster().api.apply([{ kind: 'VirtualRouter', name: 'gw', spec: spec(more) }]);
const status = async (): Promise<VirtualRouterStatus | undefined> => (await cluster().api.get('VirtualRouter', 'gw')).status;

/** The server says so, for every host, and the kernels too: exactly one has the address. */
async function isActive(host: string): Promise<void> {
  await cluster().until(`${host} is Active, and alone`, async () => {
    const now = await status();
    return now?.active.join() === host && Object.entries(now.hosts).every(([name, { state }]) => state === (name === host ? 'active' : 'backup'));
  }, LONG);
  assert.deepEqual(cluster().lab.hosts.filter(({ name }) => hasAddress(name)).map(({ name }) => name), [host]);
}

function hasAddress(name: string): boolean {
  const host = cluster().lab.hosts.find((one) => one.name === name)?.host;
  return host?.addresses.list().some(({ address }) => String(address) === VIP) ?? false;
}

function ping(): boolean {
  try {
    execFileSync('ip', ['netns', 'exec', cluster().lab.clientNamespace, 'ping', '-n', '-q', '-c', '1', '-W', '1', VIP], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** The pulses of this host's run directory, by what the kernel says. */
function pulses(name: string): number[] {
  const namespace = cluster().lab.hosts.find((one) => one.name === name)?.namespace ?? '';
  const pids = execFileSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' }).split('\n').filter(Boolean).map(Number);
  return pids.filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').some((word) => word.endsWith('/pulse/daemon.ts')));
}

function onlyPulse(name: string): number {
  const [pulse, ...others] = pulses(name);
  assert.ok(pulse !== undefined && others.length === 0, `${name} has ${others.length + (pulse === undefined ? 0 : 1)} pulses`);
  return pulse;
}

interface Told {
  readonly host: string | undefined;
  readonly transition: RouterTransition;
}

const told = async (): Promise<Told[]> =>
  (await cluster().api.list('Event')).flatMap(({ spec: { host, evidence } }) => (evidence && 'router' in evidence ? [{ host, transition: evidence }] : []));

/** All that was told so far, once it says the same as the kernels. */
async function settled(active: string): Promise<Told[]> {
  await isActive(active);
  const last = (all: readonly Told[], host: string): string | undefined => all.findLast((one) => one.host === host)?.transition.to;
  await cluster().until('the events say so, too', async () => {
    const all = await told();
    return cluster().lab.hosts.every(({ name }) => last(all, name) === (name === active ? 'active' : 'backup'));
  }, LONG);
  return told();
}

test('declared, it comes up on the host that is to have it, and a client reaches it by the virtual MAC', { timeout: LONG }, async () => {
  await declare();
  await isActive('h1');
  await cluster().until('the client is answered', async () => ping(), LONG);
  const { client } = cluster().lab;
  assert.equal(String(client.neighbours.mac(client.links.get('eth-a').index, parseIpAddress(VIP))), VIRTUAL_MAC);
  const now = await status();
  assert.ok(now);
  for (const host of Object.values(now.hosts)) assert.deepEqual(host.counters.dropped, {}, 'each accepts what the other sends');
  assert.deepEqual(now.hosts['h1']?.tracks.map(({ up, weight }) => ({ up, weight })), [{ up: true, weight: -150 }]);
});

test('an agent that is killed and started anew changes nothing, and nothing is told twice', { timeout: LONG }, async () => {
  const [before, pulse] = [await settled('h1'), onlyPulse('h1')];
  await cluster().end('agent h1');
  assert.ok(ping(), 'it goes on without its agent');
  const killed = await cluster().api.get('Host', 'h1');
  cluster().startAgent('h1');
  await cluster().until('the new agent has reported', async () => (await cluster().api.get('Host', 'h1')).status?.agent.instance !== killed.status?.agent.instance, LONG);
  assert.deepEqual(await settled('h1'), before);
  assert.equal(onlyPulse('h1'), pulse);
});

test('a pulse that is killed: its address is taken back, the other host takes over, and the next pulse takes it again', { timeout: LONG }, async () => {
  const [before, killed] = [await settled('h1'), onlyPulse('h1')];
  process.kill(killed, 'SIGKILL');
  const takenOver = async (): Promise<Told | undefined> => (await told()).slice(before.length).find(({ host, transition }) => host === 'h2' && transition.to === 'active');
  await cluster().until('h2 has taken over', async () => (await takenOver()) !== undefined, LONG);
  // Told by the agent in the dead pulse's name: nobody waited for three intervals of silence.
  const [last] = (await takenOver())?.transition.adverts ?? [];
  assert.deepEqual({ from: last?.from, priority: last?.priority }, { from: '10.77.0.201', priority: 0 });
  await isActive('h1');
  assert.notEqual(onlyPulse('h1'), killed);
});

test('a tracked script that fails: the other host is better now, until it succeeds again; hooks hear of each change', { timeout: LONG }, async () => {
  rmSync(heardFile(cluster(), 'h1'), { force: true });
  writeFileSync(notReady('h1'), '');
  await isActive('h2');
  assert.equal((await status())?.hosts['h1']?.effectivePriority, 50);
  rmSync(notReady('h1'));
  await isActive('h1');
  await cluster().until('the hook was run for both', async () => existsSync(heardFile(cluster(), 'h1'))
    && readFileSync(heardFile(cluster(), 'h1'), 'utf8') === 'gw backup 50\ngw active 200\n');
});

test('declared otherwise: what changed is in force, and nobody moved', { timeout: LONG }, async () => {
  const before = await settled('h1');
  await declare({ interval: '200ms' });
  await cluster().until('both send and expect the new interval', async () => {
    const hosts = Object.values((await status())?.hosts ?? {});
    return hosts.length === 2 && hosts.every(({ interval, active }) => interval === 200 && (active === undefined || active.interval === 200));
  }, LONG);
  assert.deepEqual(await settled('h1'), before);
  assert.ok(ping());
});

test('agent and pulse killed at once: the kernel takes the address back, and the other host has it', { timeout: LONG }, async () => {
  const pulse = onlyPulse('h1');
  await cluster().end('agent h1');
  process.kill(pulse, 'SIGKILL');
  await cluster().until('h1 has it no more, h2 has it', async () => !hasAddress('h1') && hasAddress('h2'), LONG);
  await cluster().until('the client is answered', async () => ping(), LONG);
  cluster().startAgent('h1');
  await isActive('h1');
});

test('deleted: no address and no device is left, and no pulse where it has no sessions either', { timeout: LONG }, async () => {
  await cluster().api.remove('VirtualRouter', 'gw');
  await cluster().api.apply([{ kind: 'Policy', name: 'default', spec: { detect: { bfd: false } } }]);
  await cluster().until('nothing is left', async () => cluster().lab.hosts.every(({ name, host }) =>
    !hasAddress(name) && pulses(name).length === 0 && !host.links.list().some((link) => link.name.startsWith('gvr'))), LONG);
});
