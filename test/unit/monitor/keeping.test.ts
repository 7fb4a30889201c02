/** What the monitor's loop tells is what can be asked for: history, /metrics, alerts; also after a start. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { WatchPlan } from '../../../src/model/watch-plan.ts';
import { type OpenKeeping, openKeeping } from '../../../src/monitor/keeping.ts';
import { parseExposition } from './exposition-parser.ts';
import { classFigures, counterReport, linkFigures, nicFigures, pathReport } from './reports.ts';

const START = Date.UTC(2030, 0, 1);

async function withKeeping(test: (open: (metrics?: boolean) => Promise<OpenKeeping>, stateDir: string) => Promise<void>): Promise<void> {
  const stateDir = await mkdtemp(join(tmpdir(), 'godwit-keeping-'));
  try {
    await test((metrics) => openKeeping({ stateDir, version: '1', now: () => START, ...(metrics === true && { metrics: { address: '127.0.0.1', port: 0 } }) }), stateDir);
  } finally {
    await rm(stateDir, { recursive: true });
  }
}

const plan: WatchPlan = {
  host: 'h1', local: { main: '10.0.0.1' }, peers: [], paths: {}, detector: { falseAlarmsPerDay: 1, floor: 1, ceiling: 1 },
  probing: { enabled: true, rate: 10, leastRate: 1, core: 1, link: 1, dwell: 1, timeout: 1, port: 862, reflectTo: [] },
  quality: { loss: { rising: 1, falling: 0 }, history: 400, hold: 1, holdMost: 1, relapse: 1 },
  alerts: { late: { metric: 'host.lateness', rising: 10, falling: 1, hold: 0, severity: 'alarm' } },
};

test('every series by its name', () => withKeeping(async (open) => {
  const keeping = await open();
  for (const [i, rtt] of [1, 2, 6].entries()) keeping.answered({ peer: 'h2', path: 'main', dscp: 0, rtt, at: START + i });
  const classes = [
    classFigures({ sent: 10, answered: 5, lost: { forward: 2, backward: 2, unknown: 1 } }), classFigures({ dscp: 46, sent: 10, answered: 9, lost: { forward: 0, backward: 1, unknown: 0 } }),
  ];
  keeping.second([pathReport('h2', START, { classes }), pathReport('h3', START, { classes: [classFigures({ sent: 0, answered: 0 })] })], counterReport(START, {
    links: [linkFigures('eth0', { rxBytes: 100, txBytes: 200 })], nics: [nicFigures('web', 1, { rxBytes: 3, txBytes: 4 })], host: { softirq: 0.5, lateness: 2 },
  }), START);
  await keeping.close();
  const again = await open();
  for (const [series, kind, value, count] of [
    ['path/h2/main/rtt', 'gauge', 3, 3], ['path/h2/main/loss-forward', 'ratio', 0.1, 20], ['path/h2/main/loss-backward', 'ratio', 0.15, 20],
    ['path/h2/main/loss', 'ratio', 0.3, 20], ['link/eth0/rx', 'gauge', 100, 1], ['link/eth0/tx', 'gauge', 200, 1], ['nic/web/1/rx', 'gauge', 3, 1],
    ['nic/web/1/tx', 'gauge', 4, 1], ['host/softirq', 'gauge', 0.5, 1], ['host/lateness', 'gauge', 2, 1],
  ] as const) {
    const history = await again.query({ host: 'h1', series, from: START, to: START + 1000, points: 10 });
    assert.deepEqual([history.kind, ...history.data.map((point) => [point.value, point.count])], [kind, [value, count]], series);
  }
  await assert.rejects(again.query({ host: 'h1', series: 'path/h3/main/loss', from: START, to: START + 1000, points: 10 }), { code: 'MONITOR_NO_SERIES' });
  await again.close();
}));

test('alerts by the plan; /metrics over HTTP; nothing served without it', () => withKeeping(async (open) => {
  const [keeping, mute] = [await open(true), await open()];
  try {
    assert.equal(mute.metricsPort, undefined);
    keeping.plan(plan);
    assert.deepEqual(keeping.second([], counterReport(START, { host: { lateness: 20 } }), START).map(({ alert, on, state }) => [alert, on, state]), [['late', 'h1', 'on']]);
    keeping.answered({ peer: 'h2', path: 'main', dscp: 46, rtt: 3, at: START });
    const families = parseExposition(await (await fetch(`http://127.0.0.1:${keeping.metricsPort}/metrics`)).text());
    assert.equal(families.get('godwit_alert_on')?.samples[0]?.value, 1);
    assert.deepEqual(families.get('godwit_path_rtt_seconds')?.samples.at(-1), { name: 'godwit_path_rtt_seconds_count', labels: { peer: 'h2', path: 'main', dscp: '46' }, value: 1 });
  } finally {
    await keeping.close();
    await mute.close();
  }
  await assert.rejects(fetch(`http://127.0.0.1:${keeping.metricsPort}/metrics`));
}));

test('a state directory that is none: that is told, and it is kept in memory', () => withKeeping(async (open, stateDir) => {
  await writeFile(join(stateDir, 'history'), 'mine');
  const keeping = await open();
  assert.equal(keeping.troubles.length, 1);
  assert.match(keeping.troubles[0] ?? '', /history cannot be used \(.*EEXIST.*\): it is in memory alone until the agent is started again$/);
  keeping.second([], counterReport(START, { host: { softirq: 0.5 } }), START);
  assert.equal((await keeping.query({ host: 'h1', series: 'host/softirq', from: START, to: START + 1000, points: 1 })).data[0]?.value, 0.5);
  await keeping.close();
  assert.equal(await readFile(join(stateDir, 'history'), 'utf8'), 'mine');
}));

test('a port that is taken: that is told, paths are judged all the same, and it is served when the port is free', () => withKeeping(async (open, stateDir) => {
  const first = await open(true);
  const metrics = { address: '127.0.0.1', port: first.metricsPort ?? 0 };
  let now = START;
  const keeping = await openKeeping({ stateDir: join(stateDir, 'other'), version: '1', now: () => now, metrics });
  keeping.plan(plan);
  assert.equal(keeping.second([], counterReport(START, { host: { lateness: 20 } }), START).length, 1);
  assert.match(keeping.troubles.join(), /^\/metrics cannot be served on 127\.0\.0\.1 port \d+: give --metrics/);
  await first.close();
  keeping.second([], counterReport(START + 1000), now = START + 1000);
  await setImmediate();
  assert.equal(keeping.metricsPort, undefined, 'not at once again');
  keeping.second([], counterReport(START + 10_000), now = START + 10_000);
  while (keeping.metricsPort === undefined) await setImmediate();
  assert.equal((await fetch(`http://127.0.0.1:${metrics.port}/metrics`)).status, 200);
  assert.deepEqual(keeping.troubles, []);
  await keeping.close();
}));
