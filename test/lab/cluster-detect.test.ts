/** Detection from end to end: three hosts with two paths each, whose agents, pulses and monitors tell a server what they see. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { LabCluster } from '../../src/lab/cluster.ts';
import { networkDeclaration } from '../../src/lab/lab-declarations.ts';
import { SECOND_PATH, sweep } from '../../src/lab/topology.ts';
import type { EventResource, VerdictReport } from '../../src/model/event.ts';
import { MAIN_PATH, type PathResource } from '../../src/model/path.ts';
import { LONG, copying, ended, limit, runVm, runs } from './cluster-fixture.ts';
import { native } from './move-fixture.ts';

let opened: LabCluster | undefined;
const cluster = (): LabCluster => {
  assert.ok(opened, 'the cluster is open');
  return opened;
};

before(async () => {
  sweep();
  opened = await LabCluster.open(native, { hosts: 3, networks: ['a'], secondPath: true });
  await opened.api.apply([
    networkDeclaration('a'),
    // A busy machine must not decide whether a move goes back, nor whether a path is sick: paths here are cut, not bad.
    {
      kind: 'Policy', name: 'default', spec: {
        moves: { maxPause: '5s', maxEmptying: '5s' }, detect: { floor: '500ms' }, quality: { loss: { rising: 0.5, falling: 0.2 }, hold: '1s', holdMost: '1s' },
      },
    },
  ]);
});
after(() => opened?.close());

const paths = (): Promise<readonly PathResource[]> => cluster().api.list('Path');
const nameOf = ({ spec: { from, to, path } }: PathResource): string => `${from}/${to}/${path}`;
const namespaceOf = (name: string): string => cluster().lab.hosts.find((host) => host.name === name)?.namespace ?? '';

/** The port of the switch that a host's path is at has a cable, or none. */
function plug(path: string, host: string, plugged: boolean): void {
  const { links } = cluster().lab.switch;
  const network = path === MAIN_PATH ? 'm' : 'n';
  links.set(links.get(`${network}-${host}`).index, { master: plugged ? links.get(`br-${network}`).index : 0 });
}

/** What comes from another host on `main` is dropped without a word, at both; the server is reached all the same. */
function cutMain(host: string, cut: boolean): void {
  for (const [i, { name, address, namespace }] of cluster().lab.hosts.entries()) {
    const others = cluster().lab.hosts.filter((_, other) => other !== i);
    const from = name === host ? others.map((other) => String(other.address)) : [String(cluster().lab.hosts.find((one) => one.name === host)?.address)];
    const rules = `table inet cut {\nchain in {\ntype filter hook prerouting priority raw\nip saddr { ${from.join(', ')} } ip daddr ${address} drop\n}\n}`;
    execFileSync('ip', ['netns', 'exec', namespace, 'nft', '-f', '-'], { input: cut ? rules : 'delete table inet cut' });
  }
}

/** Bytes, since the device was made. */
function sentBy(host: string, device: string): number {
  const text = execFileSync('ip', ['-n', namespaceOf(host), '-s', '-j', 'link', 'show', 'dev', device], { encoding: 'utf8' });
  const bytes = Number(/"tx":\{"bytes":(\d+)/.exec(text)?.[1]);
  assert.ok(bytes >= 0, text);
  return bytes;
}

/** Every pair hears the other on every path, and what is measured is fit. */
async function allFit(): Promise<void> {
  await cluster().until('all paths are fit', async () => {
    const now = await paths();
    const fit = now.filter(({ status }) => status?.report.quality.state === 'fit' && status.heard === 'heard' && status.inUse);
    assert.equal(fit.length, 12, now.map((path) => `${nameOf(path)} ${path.status?.report.quality.state} ${path.status?.heard} ${path.status?.inUse} ${path.status?.because ?? ''}`).join('\n'));
    return true;
  }, LONG);
}

const events = async (after: number): Promise<readonly EventResource[]> => (await cluster().api.list('Event')).slice(after);
const count = async (): Promise<number> => (await cluster().api.list('Event')).length;

/** The first verdict on `host` that is told as `verdict`, after so many events. */
async function verdict(after: number, host: string, wanted: VerdictReport['verdict']): Promise<VerdictReport> {
  let found: VerdictReport | undefined;
  await cluster().until(`${host} is told to be ${wanted}`, async () => {
    for (const { spec: { evidence } } of await events(after)) {
      if (evidence && 'kind' in evidence && evidence.kind === 'verdict' && evidence.verdict.host === host && evidence.verdict.verdict === wanted) found ??= evidence.verdict;
    }
    return found !== undefined;
  }, LONG);
  assert.ok(found);
  return found;
}

/** This host's agent, pulse and monitor, by what the kernel says. */
function processes(host: string): { readonly agent: number; readonly pulse: number; readonly monitor: number } {
  const pids = execFileSync('ip', ['netns', 'pids', namespaceOf(host)], { encoding: 'utf8' }).split('\n').filter(Boolean).map(Number);
  const only = (what: string, ends: string): number => {
    const [pid, ...others] = pids.filter((one) => words(one).some((word) => word.endsWith(ends)));
    assert.ok(pid !== undefined && others.length === 0, `${host} has ${others.length + (pid === undefined ? 0 : 1)} of ${what}`);
    return pid;
  };
  return { agent: cluster().pid(`agent ${host}`), pulse: only('pulse', '/pulse/daemon.ts'), monitor: only('monitor', '/monitor/daemon.ts') };
}

function words(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

test('every pair of hosts is measured and heard on both paths, and all are fit', { timeout: LONG }, async () => {
  await allFit();
  for (const path of await paths()) {
    const { spec: { source, destination }, status } = path;
    assert.deepEqual([source.split('.')[1], destination.split('.')[1]], path.spec.path === SECOND_PATH ? ['80', '80'] : ['79', '79'], nameOf(path));
    assert.ok((status?.report.window.answered ?? 0) > 0 && (status?.timeout ?? 0) > 0, nameOf(path));
  }
});

test('what a host measured can be asked of the server, and what it did not is refused', { timeout: LONG }, async () => {
  const to = Date.now();
  const { kind, data } = await cluster().api.history({ host: 'h1', series: `path/h2/${SECOND_PATH}/rtt`, from: to - 60_000, to, points: 60 });
  assert.equal(kind, 'gauge');
  assert.ok(data.some(({ count, value }) => count > 0 && value !== null && value > 0), JSON.stringify(data));
  await assert.rejects(cluster().api.history({ host: 'h1', series: 'path/h9/main/rtt', from: to - 60_000, to, points: 60 }), { code: 'CONTROL_HISTORY_UNKNOWN', message: /Nothing was measured as path\/h9\/main\/rtt; there are path/ });
});

test('agent and pulse that stand still for a while: the others are not dead to them, and they say that they slept', { timeout: 2 * LONG }, async () => {
  // It stands before the tests that cut: of one host and path only so many events a minute are told (control/event-limit.ts).
  await allFit();
  const { agent, pulse } = processes('h3');
  const before = await count();
  for (const pid of [agent, pulse]) process.kill(pid, 'SIGSTOP');
  const stopped = performance.now();
  await verdict(before, 'h3', 'dead');
  const woken = await count();
  const slept = performance.now() - stopped;
  for (const pid of [agent, pulse]) process.kill(pid, 'SIGCONT');
  await verdict(woken, 'h3', 'fine');
  await allFit();
  const told = await events(before);
  const mine = told.flatMap(({ spec: { host, evidence } }) => (host === 'h3' && evidence && 'kind' in evidence && evidence.kind === 'session' ? [evidence.transition] : []));
  assert.ok(mine.length > 0, JSON.stringify(told.map(({ spec: { host, reason, message } }) => [host, reason, message])));
  assert.deepEqual(mine.filter(({ diagnostic }) => diagnostic === 'detection-expired'), [], 'it did not take its own sleep for their silence');
  const accused = told.flatMap(({ spec: { evidence } }) => (evidence && 'kind' in evidence && evidence.kind === 'verdict' ? [evidence.verdict] : []))
    .filter(({ host, verdict: found }) => host !== 'h3' && found !== 'fine');
  assert.deepEqual(accused, []);
  await cluster().until('h3 says that it slept', async () => {
    const { status } = await cluster().api.get('Host', 'h1');
    return status?.verdict !== undefined && (status.verdict.worstLateness > slept / 2 || 'h3' in status.verdict.abstained);
  }, LONG);
});

test('a path of one host that is cut: told with evidence, out of use to everybody else, the other path is not; back when it heals', { timeout: 2 * LONG }, async () => {
  const before = await count();
  plug(SECOND_PATH, 'h1', false);
  const { paths: sick, observers } = await verdict(before, 'h1', 'path-down');
  assert.deepEqual([sick, observers], [[SECOND_PATH], 2]);
  await cluster().until('it is out of use', async () => {
    const now = await paths();
    const out = now.filter(({ status }) => status?.inUse === false).map(nameOf).toSorted();
    assert.deepEqual(out, ['h1/h2/second', 'h1/h3/second', 'h2/h1/second', 'h3/h1/second']);
    return true;
  }, LONG);
  const told = await events(before);
  const turns = told.flatMap(({ spec: { host, evidence } }) => (evidence && 'kind' in evidence && evidence.kind === 'path' ? [{ host, ...evidence.turn }] : []));
  const down = turns.find(({ host, peer, path, to }) => host === 'h1' && peer === 'h2' && path === SECOND_PATH && to === 'down');
  assert.ok(down && down.because !== '' && down.window.sent > 0, JSON.stringify(turns));
  const sessions = told.flatMap(({ spec: { host, evidence } }) => (evidence && 'kind' in evidence && evidence.kind === 'session' ? [{ host, ...evidence.transition }] : []));
  assert.ok(sessions.some(({ host, session, to, down: known }) => host === 'h2' && session === `h1/${SECOND_PATH}` && to === 'down' && known !== undefined), JSON.stringify(sessions));
  plug(SECOND_PATH, 'h1', true);
  await allFit();
});

test('a host whose whole network is gone is dead, by two observers who say how much they listened; and is back', { timeout: 2 * LONG }, async () => {
  const before = await count();
  for (const path of [MAIN_PATH, SECOND_PATH]) plug(path, 'h3', false);
  const dead = await verdict(before, 'h3', 'dead');
  assert.deepEqual([dead.observers, dead.voters, dead.disagreed], [2, 2, []]);
  assert.ok(dead.probes > 0 && dead.arrivals > 0, JSON.stringify(dead));
  assert.deepEqual(dead.paths.toSorted(), [MAIN_PATH, SECOND_PATH]);
  const back = await count();
  for (const path of [MAIN_PATH, SECOND_PATH]) plug(path, 'h3', true);
  await verdict(back, 'h3', 'fine');
  await allFit();
});

test('a move while the main path is out goes by the other, and its bandwidth can be changed while it copies', { timeout: 3 * LONG }, async () => {
  const vm = await runVm(cluster(), 'web-1', 10, 'h1');
  cutMain('h1', true);
  try {
    await cluster().until('the main path is out of use', async () => (await cluster().api.get('Path', 'h1/h2/main')).status?.inUse === false, LONG);
    const before = { main: sentBy('h1', 'mig'), second: sentBy('h1', 'mig2') };
    // At this rate it would take many minutes.
    await limit(cluster(), 'h1', '50kB/s');
    const { name } = await cluster().api.migrate({ vm: vm.name, to: 'h2' });
    await copying(cluster(), name);
    await limit(cluster(), 'h1', '1GB/s');
    const { status } = await ended(cluster(), name);
    assert.deepEqual(status?.end, { kind: 'moved' });
    const sent = { main: sentBy('h1', 'mig') - before.main, second: sentBy('h1', 'mig2') - before.second };
    assert.ok(sent.second > 4 * sent.main && sent.second > 5e6, JSON.stringify(sent));
    await runs(cluster(), vm, 'h2');
  } finally {
    cutMain('h1', false);
  }
  await allFit();
});

test('a monitor ends with its agent, however that ends, and the next one runs another', { timeout: LONG }, async () => {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const { monitor } = processes('h2');
    await cluster().end('agent h2', signal);
    await cluster().until('the monitor has ended', async () => words(monitor).length <= 1, LONG);
    cluster().startAgent('h2');
    await cluster().until('another monitor runs', async () => processes('h2').monitor !== monitor, LONG);
  }
  await allFit();
});

test('a port that somebody else has is told of, and taken as soon as it is free', { timeout: LONG }, async () => {
  const troubles = async (): Promise<string> => (await cluster().api.get('Host', 'h2')).status?.troubles?.join('\n') ?? '';
  await cluster().end('agent h2');
  const script = `require('node:dgram').createSocket('udp4').bind(862, '0.0.0.0', () => console.log('bound'))`;
  const thief = spawn('ip', ['netns', 'exec', namespaceOf('h2'), process.execPath, '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(thief.stdout, 'data');
    cluster().startAgent('h2');
    await cluster().until('it is told', async () => /probes to \S+ port 862 are not answered: /.test(await troubles()), LONG);
  } finally {
    const exit = once(thief, 'exit');
    thief.kill();
    await exit;
  }
  await cluster().until('it is well again', async () => (await troubles()) === '', LONG);
  await allFit();
});
