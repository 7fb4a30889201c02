/** Over HTTP: reports of BFD, paths and monitors, history, metrics, paths by name, events since. */
import { strict as assert } from 'node:assert';
import test from 'node:test';
import { AgentClient } from '../../../src/api/agent-client.ts';
import type { AgentReport, HistoryOrder } from '../../../src/api/agent-protocol.ts';
import { HttpClient } from '../../../src/api/client.ts';
import { MOST_PHI } from '../../../src/protocol/failure-detector.ts';
import { bfdStatus, bfdTransition, counters, opinion, pathReport, turn } from './detection-parts.ts';
import { agentIdentity, ask, startFixture, until } from './http-fixture.ts';

const report: AgentReport = {
  instance: 'i', sequence: 1, vms: [], moves: [],
  host: {
    agent: { version: '0', instance: 'i', startedAt: 0, cpuTime: 0, residentMemory: 0 }, qemu: '', kernel: '', cpu: '', cpus: 1, accelerators: [], memory: 0, freeMemory: 0, bridges: {},
    missingFeatures: [],
  },
  sessions: { up: bfdStatus, 'h2/main': { ...bfdStatus, echo: { active: true, interval: 50 } } },
  opinions: [opinion('h2', { main: 'heard', storage: 'silent' }), opinion('h3', { main: 'unknown' }, { hearsOthers: false })],
  monitor: { paths: [pathReport('h2', 'main', 'unfit', 'loss')], counters, alerts: [{ alert: 'a', on: 'h2/main', state: 'on', since: 1, value: 0.03, last: 0.1, because: 'x', severity: 'alarm' }], troubles: [] },
  turns: [turn(1, 'h2', 'main', 'fit', 'down')], transitions: [bfdTransition(1, 'h2/main', 'up', 'down')],
};

test('a report of all that an agent can say is taken, and one that says more than is known is refused', async (t) => {
  const { plane, authority, port } = await startFixture(t);
  const to = { port, ...(await agentIdentity(authority, 'h1')) };
  const send = async (body: unknown): Promise<number> => (await ask(to, 'POST', '/agent/v1/report', JSON.stringify(body))).status;
  assert.equal(await send(report), 200);
  assert.deepEqual(plane.reports.at(-1)?.report, JSON.parse(JSON.stringify(report)));
  const [first, ...others] = report.opinions ?? [];
  const dead = { ...first, paths: first?.paths.map((path) => ({ ...path, phi: MOST_PHI })) };
  assert.equal(await send({ ...report, opinions: [dead, ...others] }), 200, 'the largest suspicion there is');
  const bad: readonly object[] = [
    { turns: [{ ...turn(1, 'h2', 'main', 'fit', 'down'), more: 'x' }] }, { transitions: [{ ...bfdTransition(1, 'x', 'up', 'down'), rule: 'x'.repeat(9000) }] },
    { transitions: [{ ...bfdTransition(1, '../x', 'up', 'down') }] }, { sessions: { 'a/b/c': bfdStatus } }, { opinions: [{ ...first, peer: 'NO' }] }, { opinions: [{ ...first, more: 1 }] },
    { monitor: { ...report.monitor, paths: [{ ...pathReport('h2', 'main'), source: 'x y' }] } }, { monitor: { ...report.monitor, troubles: Array.from({ length: 300 }, () => 'x') } },
  ];
  for (const part of bad) assert.equal(await send({ ...report, ...part }), 400, JSON.stringify(part).slice(0, 80));
});

test('history: asked through the client, passed on to the agent, answered by it', async (t) => {
  const { plane, authority, port, url, socketPath } = await startFixture(t);
  plane.put('Host', 'h1');
  const client = new HttpClient({ socketPath });
  t.after(() => client.close());
  const query = { host: 'h1', series: 'nic/web 1/0/rx'.replace(' ', '-'), from: 1000, to: 2000, points: 7 };
  const answer = await client.history(query);
  assert.deepEqual([answer.kind, answer.data[0]?.value], ['gauge', 2.5]);
  assert.ok(plane.calls.includes(`history ${JSON.stringify(query)}`));
  for (const wrong of ['', '?series=x&from=1&to=2', '?series=x&from=1&to=2&points=0', '?series=a%20b&from=1&to=2&points=1', '?series=x&from=-1&to=2&points=1']) {
    assert.equal((await ask({ socketPath }, 'GET', `/v1/hosts/h1/history${wrong}`)).status, 400, wrong);
  }

  const orders: HistoryOrder[] = [];
  const agent = new AgentClient(url, await agentIdentity(authority, 'h1'), { onHistory: (order) => orders.push(order) });
  const stop = new AbortController();
  const listening = (async () => { for await (const _ of agent.wanted(stop.signal)) if (stop.signal.aborted) return; })();
  t.after(async () => {
    stop.abort();
    await listening;
    agent.close();
  });
  await until(t, () => (plane.historyTold.get('h1')?.size ?? 0) > 0 && plane.open > 0);
  const id = 'A'.repeat(43);
  await until(t, () => {
    // Whoever has not been told yet what is wanted is not asked.
    for (const told of plane.historyTold.get('h1') ?? []) told({ id, query });
    return orders.length > 0;
  });
  assert.deepEqual(orders[0], { id, query });
  await agent.answerHistory(id, { ...query, kind: 'ratio', data: [{ at: 1, span: 2, count: 0, value: null, min: null, max: null }] });
  await agent.answerHistory(id, { code: 'MONITOR_NO_SERIES', message: 'none' });
  assert.deepEqual(plane.historyAnswers.map(({ host, id: of }) => [host, of]), [['h1', id], ['h1', id]]);
  const to = { port, ...(await agentIdentity(authority, 'h1')) };
  assert.equal((await ask(to, 'POST', `/agent/v1/history/${id}`, '{"data":[]}')).status, 400);
  assert.equal((await ask({ socketPath }, 'POST', `/agent/v1/history/${id}`, '{"code":"X","message":""}')).status, 403, 'not for administrators');
});

test('metrics are for administrators, count what was asked for, and escape what they print', async (t) => {
  const { authority, port, socketPath } = await startFixture(t);
  await ask({ socketPath }, 'GET', '/v1/vms/nosuch');
  await ask({ socketPath }, 'GET', '/v1/vms/nosuch2');
  const { status, type, body } = await ask({ socketPath }, 'GET', '/metrics');
  assert.equal(status, 200);
  assert.match(type, /^text\/plain; version=0\.0\.4/);
  assert.match(body, /^# HELP godwit_vms VMs\.\n# TYPE godwit_vms gauge\ngodwit_vms\{state="a\\"b"\} 2\n/);
  assert.match(body, /\ngodwit_http_requests_total\{method="GET",route="\/v1\/vms\/:name",status="404"\} 2\n/);
  assert.equal((await ask({ port, ...(await agentIdentity(authority, 'h1')) }, 'GET', '/metrics')).status, 403);
  assert.equal((await ask({ port, ca: authority.certificate }, 'GET', '/metrics')).status, 401);
});

test('a path is found by its name, as long as names may be; events since', async (t) => {
  const { plane, socketPath } = await startFixture(t);
  const client = new HttpClient({ socketPath });
  t.after(() => client.close());
  const name = ['a', 'b', 'c'].map((letter) => letter.repeat(40)).join('/');
  plane.put('Path', name, { from: 'a' });
  assert.equal((await client.get('Path', name)).name, name);
  await client.list('Event', { since: 12.5, last: 3 });
  assert.ok(plane.calls.includes('list Event {"last":3,"since":13}'), plane.calls.join());
  assert.equal((await ask({ socketPath }, 'GET', '/v1/events?since=yesterday')).status, 400);
  const document = (await ask({ socketPath }, 'GET', '/openapi.json')).json;
  for (const path of ['/v1/paths', '/v1/paths/{name}', '/v1/bfdsessions', '/v1/hosts/{name}/history', '/agent/v1/history/{id}', '/metrics']) {
    assert.ok(Object.hasOwn(document['paths'] as object, path), path); // the document's own form
  }
});
