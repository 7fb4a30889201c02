/** BFD, paths and verdicts in the control plane: what is wanted of hosts, and what becomes of what they say. */
import { strict as assert } from 'node:assert';
import test from 'node:test';
import { pathName } from '../../../src/model/path.ts';
import { parseJoinToken } from '../../../src/trust/join-token.ts';
import { ControlWorld, codeOf } from './world.ts';
import { bfdStatus, bfdTransition, counters, opinion, pathReport, turn } from './detection-parts.ts';

const three = ['host-a', 'host-b', 'host-c'];

async function opened(t: { after(fn: () => Promise<void>): void }, hosts: readonly string[] = three): Promise<ControlWorld> {
  const world = await ControlWorld.open(hosts);
  t.after(() => world.close());
  return world;
}

/** Each hears all others, but those that nobody hears. */
async function talk(world: ControlWorld, seconds: number, missed: readonly string[] = [], talkers: readonly string[] = three): Promise<void> {
  for (const host of talkers) {
    world.agent(host).detection = {
      opinions: three.filter((peer) => peer !== host).map((peer) => opinion(peer, { main: missed.includes(peer) ? 'silent' : 'heard' })),
    };
  }
  await world.live(seconds * 1000, talkers);
}

test('each host is told its sessions and what to watch, once, in whatever order things are written', async (t) => {
  const world = await opened(t);
  await world.plane.apply([
    { kind: 'BfdSession', name: 'up', spec: { peer: '10.0.0.254', hosts: { 'host-a': {} }, interface: 'eth0' } },
    { kind: 'Host', name: 'host-a', spec: { address: '10.0.0.1', paths: { storage: '10.1.0.1' } } },
    { kind: 'Host', name: 'host-b', spec: { address: '10.0.0.2', paths: { storage: '10.1.0.2' } } },
    { kind: 'Policy', name: 'default', spec: { detect: { interval: '50ms' }, monitor: { rate: 10 }, alerts: { x: { metric: 'path.loss', rising: 0.1, falling: 0.01 } } } },
  ]);
  const a = await world.agent('host-a').wanted();
  assert.deepEqual(a.sessions?.map(({ name, interval }) => [name, interval]), [['host-b/main', 50], ['host-b/storage', 50], ['host-c/main', 50], ['up', 300]]);
  assert.deepEqual(a.watch?.peers, [{ host: 'host-b', addresses: { main: '10.0.0.2', storage: '10.1.0.2' } }, { host: 'host-c', addresses: { main: '10.0.0.3' } }]);
  assert.deepEqual((await world.agent('host-c').wanted()).sessions?.map(({ name }) => name), ['host-a/main', 'host-b/main']);

  const stop = new AbortController();
  const told = world.plane.wanted('host-a', stop.signal)[Symbol.asyncIterator]();
  await told.next();
  let again = 0;
  const more = (async () => {
    if (!(await told.next()).done) again++;
  })();
  // The same with its keys turned, and a label so that it is written.
  await world.plane.apply([{ kind: 'Policy', name: 'default', labels: { x: 'y' }, spec: { alerts: { x: { falling: 0.01, rising: 0.1, metric: 'path.loss' } }, monitor: { rate: 10 }, detect: { interval: '50ms' } } }]);
  await world.live(2000);
  assert.equal(again, 0, 'nothing changed');
  await world.plane.apply([{ kind: 'Policy', name: 'default', spec: { detect: { interval: '60ms' } } }]);
  await more;
  assert.equal(again, 1);
  stop.abort();
});

test('what is declared is checked, and what others need is not removed', async (t) => {
  const world = await opened(t);
  const faults = async (...documents: Parameters<typeof world.plane.apply>[0]): Promise<string> =>
    world.plane.apply(documents).then(() => 'it went well', (error: Error) => error.message);
  const session = { kind: 'BfdSession', name: 's', spec: { peer: '10.0.0.254', hosts: { 'host-a': {}, 'host-b': {} }, interface: 'eth0' } };
  const router = { kind: 'VirtualRouter', name: 'r', spec: { vrid: 1, addresses: ['10.0.0.9/24'], interface: 'eth0', hosts: { 'host-a': {}, 'host-b': {} }, track: [{ bfd: 's' }] } };
  assert.match(await faults(router), /\/spec\/track\/0\/bfd: there is no BfdSession s/);
  assert.match(await faults({ ...session, spec: { ...session.spec, hosts: { 'host-x': {} } } }), /\/spec\/hosts\/host-x: there is no host host-x/);
  assert.match(await faults({ kind: 'Host', name: 'host-a', spec: { address: '10.0.0.1', paths: { s: '10.0.0.2' } } }), /\/spec\/paths\/s: 10.0.0.2 is host-b's on path main/);
  assert.match(await faults({ kind: 'Policy', name: 'default', spec: { quality: { loss: { rising: 0.1, falling: 0.2 } } } }), /\/spec\/quality\/loss\/falling/);
  assert.equal(await faults(router, session), 'it went well', 'both at once');
  assert.match(await faults({ ...session, spec: { ...session.spec, hosts: { 'host-a': {} } } }), /VirtualRouter r hangs on this session on host-b/);
  assert.equal(await codeOf(world.plane.remove('BfdSession', 's')), 'CONTROL_IN_USE');
  await assert.rejects(world.plane.admit('host-d', { address: '10.0.0.4', paths: { x: '10.0.0.1' } }, 'nosuch', 'x'), { code: 'CONTROL_TOKEN_INVALID' }, 'a stranger learns nothing');
  const { id, secret } = parseJoinToken((await world.plane.createToken(60_000)).token);
  await assert.rejects(world.plane.admit('host-d', { address: '10.0.0.4', paths: { x: '10.0.0.1' } }, id, secret), { code: 'CONTROL_INVALID' });
  await world.plane.admit('host-d', { address: '10.0.0.4', paths: { x: '10.1.0.4' } }, id, secret);
  await world.plane.remove('VirtualRouter', 'r');
  assert.equal(await codeOf(world.plane.remove('Host', 'host-a')), 'CONTROL_IN_USE');
  await world.plane.remove('BfdSession', 's');
  await world.plane.remove('Host', 'host-a');
  assert.equal(await codeOf(world.plane.remove('Path', 'a/b/main')), 'CONTROL_NOT_DELETABLE');
  assert.deepEqual((await world.plane.check([{ kind: 'Network', name: 'n', spec: { bridge: 'br0', path: 'nosuch' } }])).map(({ path }) => path), ['/spec/path'], 'a warning: no host has it');
});

test('a declared session shows what its hosts say, and that a silent one says nothing', async (t) => {
  const world = await opened(t);
  await world.plane.apply([{ kind: 'BfdSession', name: 'up', spec: { peer: '10.0.0.254', hosts: { 'host-a': {} }, interface: 'eth0' } }]);
  const hosts = async (): Promise<readonly unknown[]> =>
    Object.entries((await world.plane.get('BfdSession', 'up')).status?.hosts ?? {}).map(([host, { state, reason, counters: { sent } }]) => [host, state, reason, sent]);
  assert.deepEqual(await hosts(), []);
  const a = world.agent('host-a');
  a.detection = { sessions: { up: bfdStatus, 'host-b/main': bfdStatus } };
  await a.report();
  const { revision } = await world.plane.get('BfdSession', 'up');
  a.detection = { sessions: { up: { ...bfdStatus, counters: { ...bfdStatus.counters, sent: 99 } } } };
  await a.report();
  assert.deepEqual(await hosts(), [['host-a', 'up', undefined, 99]]);
  assert.equal((await world.plane.get('BfdSession', 'up')).revision, revision, 'counters are not worth a write');
  await world.live(7000, ['host-b']);
  assert.deepEqual(await hosts(), [['host-a', 'unknown', 'host-a is silent: it was up when last heard', 10]]);
  await a.report();
  assert.deepEqual(await hosts(), [['host-a', 'up', undefined, 99]]);
  a.detection = { sessions: {} };
  await a.report();
  assert.deepEqual(await hosts(), []);
});

test('transitions and turns become events with their evidence, once, and are acknowledged', async (t) => {
  const world = await opened(t);
  await world.plane.apply([{ kind: 'BfdSession', name: 'up', spec: { peer: '10.0.0.254', hosts: { 'host-a': {} }, interface: 'eth0' } }]);
  const a = world.agent('host-a');
  a.transitions = [bfdTransition(1, 'up', 'down', 'init'), bfdTransition(2, 'up', 'init', 'up'), bfdTransition(3, 'host-b/main', 'up', 'down')];
  a.detection = { turns: [turn(1, 'host-b', 'main', 'fit', 'unfit')] };
  for (let n = 0; n < 2; n++) {
    const { transitions, turns } = await a.report();
    assert.deepEqual([transitions, turns], [{ pulse: 'p1', sequence: 3 }, { monitor: 'm1', sequence: 1 }]);
  }
  const events = (await world.plane.list('Event')).filter(({ spec }) => spec.evidence).map(({ spec }) => spec);
  assert.deepEqual(events.map(({ reason, about, severity }) => [reason, about.kind, about.name, severity]), [
    ['BfdUp', 'BfdSession', 'up', 'info'], ['BfdDown', 'Path', 'host-a/host-b/main', 'warning'], ['PathUnfit', 'Path', 'host-a/host-b/main', 'warning'],
  ]);
  assert.match(events[1]?.message ?? '', /up to down: .*silent for 301.2 ms of 300.0; 3 missing; diagnostic Control Detection Time Expired/);
  assert.match(events[2]?.message ?? '', /fit to unfit: loss 3.1 % of 65 probes/);
  await world.restart();
  await a.report();
  assert.equal((await world.plane.list('Event')).filter(({ spec }) => spec.evidence).length, 3, 'not told again by a server that starts');
});

test('a session that flaps does not push all other events out', async (t) => {
  const world = await opened(t);
  const a = world.agent('host-a');
  const told = async (): Promise<readonly string[]> => (await world.events()).filter((reason) => reason.startsWith('Bfd') || reason === 'EventsLeftOut');
  for (let n = 0; n < 50; n++) {
    a.transitions = [bfdTransition(2 * n + 1, 'host-b/main', 'up', 'down'), bfdTransition(2 * n + 2, 'host-b/main', 'init', 'up')];
    a.detection = { turns: [turn(n + 1, 'host-b', 'storage', 'fit', 'unfit')] };
    assert.deepEqual((await a.report()).transitions?.sequence, 2 * n + 2, 'acknowledged all the same');
    await world.clock.advance(1000);
  }
  assert.equal((await told()).length, 6);
  await world.clock.advance(12_000);
  const left = (await world.plane.list('Event')).filter(({ spec }) => spec.reason === 'EventsLeftOut').map(({ spec }) => [spec.about.name, spec.message]);
  assert.deepEqual(left.map(([name]) => name), ['host-a/host-b/main', 'host-a/host-b/storage']);
  assert.match(left[0]?.[1] ?? '', /94 more/);
  a.transitions = [bfdTransition(200, 'host-b/main', 'up', 'down')];
  await a.report();
  assert.equal((await told()).at(-1), 'BfdDown', 'a new minute');
});

test('a server that has just started calls nobody dead whose agent may be about to find it again', async (t) => {
  const world = await opened(t);
  const told = async (): Promise<readonly string[]> => (await world.plane.list('Event')).filter(({ spec }) => spec.reason === 'HostVerdict').map(({ spec }) => spec.message);
  // The others do not hear it, but the server does; that has long been told.
  await talk(world, 10, ['host-c']);
  assert.match((await told()).join(), /^host-c is path-down: /);
  await world.restart();
  await talk(world, 4, ['host-c'], ['host-a', 'host-b']);
  await talk(world, 10, ['host-c']);
  assert.equal((await told()).length, 1);
  await world.restart();
  await talk(world, 12, ['host-c'], ['host-a', 'host-b']);
  assert.match((await told()).at(-1) ?? '', /^host-c is dead: /);
});

test('a verdict is shown at once and told when it has held: dead when its agent is silent too; and taken back', async (t) => {
  const world = await opened(t);
  const verdict = async (host: string): Promise<string | undefined> => (await world.plane.get('Host', host)).status?.verdict?.verdict;
  const told = async (): Promise<readonly unknown[]> => (await world.plane.list('Event')).filter(({ spec }) => spec.reason === 'HostVerdict')
    .map(({ spec: { about, severity, evidence } }) => [about.name, severity, evidence && 'kind' in evidence && evidence.kind === 'verdict' ? evidence.verdict.verdict : '']);
  assert.equal(await verdict('host-c'), undefined, 'nobody says anything yet');
  await talk(world, 7);
  assert.equal(await verdict('host-c'), 'fine');
  assert.deepEqual(await told(), [], 'that all is well is no news');

  await talk(world, 1, ['host-c'], ['host-a', 'host-b']);
  assert.equal(await verdict('host-c'), 'path-down', 'its agent reported a moment ago');
  await talk(world, 3, ['host-c'], ['host-a', 'host-b']);
  assert.equal(await verdict('host-c'), 'dead');
  assert.deepEqual(await told(), [['host-c', 'alarm', 'dead']], 'path-down did not hold for long enough');
  const shown = (await world.plane.list('Host')).find(({ name }) => name === 'host-c')?.status?.verdict;
  assert.deepEqual([shown?.voters, shown?.observers, shown?.abstained, shown?.probes], [2, 2, {}, 20]);

  await world.restart();
  await talk(world, 4, ['host-c'], ['host-a', 'host-b']);
  assert.deepEqual((await told()).length, 1, 'a server that starts does not say it again');
  await talk(world, 4);
  assert.equal(await verdict('host-c'), 'fine');
  assert.equal((await told()).length, 1, 'not yet for long enough');
  await talk(world, 4);
  assert.deepEqual((await told()).at(-1), ['host-c', 'info', 'fine']);
});

test('what the monitor counts is there for who asks for one host', async (t) => {
  const world = await opened(t);
  const a = world.agent('host-a');
  a.detection = { monitor: { paths: [], counters, alerts: [], troubles: ['no clock'] } };
  await a.report();
  const { status } = await world.plane.get('Host', 'host-a');
  assert.deepEqual([status?.counters?.links[0]?.name, status?.troubles], ['eth0', ['no clock']]);
  const listed = (await world.plane.list('Host'))[0]?.status;
  assert.deepEqual([listed?.counters, listed?.troubles], [undefined, ['no clock']]);
});

test('paths are listed, got and watched; their figures are no change, their state is', async (t) => {
  const world = await opened(t);
  const a = world.agent('host-a');
  const say = async (...paths: Parameters<typeof pathReport>[]): Promise<void> => {
    a.detection = { opinions: [opinion('host-b', { main: 'heard' })], monitor: { paths: paths.map((path) => pathReport(...path)), counters, alerts: [], troubles: [] } };
    await a.report();
    await world.clock.advance(1000);
  };
  await say(['host-b', 'main'], ['host-c', 'main', 'unfit', 'loss 3 %'], ['gone', 'main']);
  const name = pathName({ from: 'host-a', to: 'host-b', path: 'main' });
  assert.deepEqual((await world.plane.list('Path')).map((path) => path.name), [name, 'host-a/host-c/main'], 'of a host that is not there nothing is shown');
  const { spec, status, revision } = await world.plane.get('Path', name);
  assert.deepEqual([spec.to, status?.heard, status?.phi, status?.falseAlarmsPerDay, status?.inUse], ['host-b', 'heard', 0.2, 0.01, true]);
  await say(['host-b', 'main'], ['host-c', 'main', 'unfit', 'loss 4 %']);
  assert.equal((await world.plane.get('Path', name)).revision, revision);

  const stop = new AbortController();
  const watched: string[] = [];
  const watching = (async () => {
    for await (const event of world.plane.watch('Path', stop.signal)) {
      watched.push(event.kind === 'put' ? `${event.resource.name} ${event.resource.status?.report.quality.state}` : event.kind === 'delete' ? `- ${event.name}` : 'synced');
    }
  })();
  await say(['host-b', 'main'], ['host-c', 'main', 'unfit']);
  await say(['host-b', 'main', 'down']);
  await say(['host-b', 'main', 'down']);
  stop.abort();
  await world.clock.advance(1000);
  await watching;
  assert.deepEqual(watched, ['host-a/host-b/main fit', 'host-a/host-c/main unfit', 'synced', '- host-a/host-c/main', 'host-a/host-b/main down']);
  await world.live(7000, ['host-b', 'host-c']);
  const silent = (await world.plane.get('Path', name)).status;
  assert.deepEqual([silent?.report.quality.state, silent?.heard], ['unknown', 'unknown']);
  assert.match(silent?.report.quality.because ?? '', /host-a is silent: this is what it said .* ago \(down\)/);
  assert.equal(await codeOf(world.plane.get('Path', 'host-a/host-b/nosuch')), 'CONTROL_NOT_FOUND');
});

test('a host\'s history: asked of its agent, answered by it alone, and not waited for longer than 5 s', async (t) => {
  const world = await opened(t);
  const query = { host: 'host-a', series: 'path/host-b/main/rtt', from: 1, to: 2, points: 10 };
  assert.equal(await codeOf(world.plane.history({ ...query, host: 'host-x' })), 'CONTROL_NOT_FOUND');
  assert.equal(await codeOf(world.plane.history({ ...query, to: 1 })), 'API_INVALID');
  assert.equal(await codeOf(world.plane.history({ ...query, points: 2001 })), 'API_INVALID');
  assert.equal(await codeOf(world.plane.history(query)), 'CONTROL_HISTORY_SILENT', 'no agent is there');
  const orders: string[] = [];
  const off = world.plane.onHistory('host-a', ({ id }) => orders.push(id));
  const asked = world.plane.history(query);
  await world.clock.advance(1);
  const [first = ''] = orders;
  const data = [{ at: 1, span: 1, count: 1, value: 2, min: null, max: 2 }];
  assert.throws(() => world.plane.answerHistory('host-b', first, { ...query, kind: 'gauge', data }), { code: 'CONTROL_NOT_FOUND' });
  world.plane.answerHistory('host-a', first, { ...query, host: 'other', kind: 'gauge', data });
  assert.deepEqual(await asked, { ...query, kind: 'gauge', data });
  assert.throws(() => world.plane.answerHistory('host-a', first, { ...query, kind: 'gauge', data }), { code: 'CONTROL_NOT_FOUND' }, 'once');

  const answered = async (code: string): Promise<string> => {
    const result = codeOf(world.plane.history(query));
    await world.clock.advance(1);
    world.plane.answerHistory('host-a', orders.at(-1) ?? '', { code, message: 'so' });
    return result;
  };
  assert.equal(await answered('MONITOR_NO_SERIES'), 'CONTROL_HISTORY_UNKNOWN');
  assert.equal(await answered('MONITOR_UNREACHABLE'), 'CONTROL_HISTORY_SILENT');
  const late = codeOf(world.plane.history(query));
  await world.clock.advance(5000);
  assert.equal(await late, 'CONTROL_HISTORY_SILENT');
  const open = codeOf(world.plane.history(query));
  await world.clock.advance(1);
  await world.restart();
  assert.equal(await open, 'CONTROL_HISTORY_SILENT', 'nobody waits for a server that is gone');
  off();
});

test('events since, and metrics of bounded labels', async (t) => {
  const world = await opened(t);
  await talk(world, 3);
  const later = world.clock.now();
  await world.clock.advance(1000);
  await world.plane.apply([{ kind: 'Network', name: 'n', spec: { bridge: 'br0' } }]);
  assert.deepEqual((await world.plane.list('Event', { since: later })).map(({ spec }) => spec.reason), ['Created']);
  assert.equal((await world.plane.list('Event', { since: later + 5000 })).length, 0);
  assert.equal((await world.plane.list('Network', { since: later + 5000 })).length, 1, 'of events alone');
  const all = new Map(world.plane.metrics().map(({ name, samples }) => [name, samples]));
  assert.deepEqual(all.get('godwit_hosts')?.map(({ labels, value }) => [labels['state'], value]), [['ready', 3], ['silent', 0], ['unknown', 0]]);
  assert.equal(all.get('godwit_host_verdict')?.filter(({ value }) => value === 1).map(({ labels }) => labels['verdict']).join(), 'fine,fine,fine');
  assert.deepEqual(all.get('godwit_events_total')?.find(({ labels }) => labels['reason'] === 'HostJoined'), { labels: { reason: 'HostJoined', severity: 'info' }, value: 3 });
});
