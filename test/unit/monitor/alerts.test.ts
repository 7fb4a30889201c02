/** Which figure of which thing an alert is about, and what is said of it. Figures are told once a second. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CounterReport } from '../../../src/model/counters.ts';
import type { AlertMetric } from '../../../src/model/detection-policy.ts';
import type { PathReport } from '../../../src/model/path.ts';
import type { AlertPlan, AlertReport } from '../../../src/model/watch-plan.ts';
import { Alerts } from '../../../src/monitor/alerts.ts';
import { classFigures, counterReport, linkFigures, nicFigures, pathReport } from './reports.ts';

const plan = (metric: AlertMetric, rising: number, falling: number, more: Partial<AlertPlan> = {}): AlertPlan =>
  ({ metric, rising, falling, hold: 3000, severity: 'warning', ...more });
const rtt = (mean: number, jitter = 0): NonNullable<PathReport['window']['rtt']> => ({ min: mean, mean, max: mean, p50: mean, p90: mean, p99: mean, jitter });
const withLoss = (peer: string, loss: number): PathReport => pathReport(peer, 0, {
  classes: [classFigures({ sent: 10, answered: 9, lost: { forward: 1, backward: 0, unknown: 0 } })], quality: { state: 'fit', since: 0, loss, slowLoss: 0, suspicious: false },
});

/** The last second's reports. */
function run(alerts: Alerts, seconds: number, paths: readonly PathReport[], counters: Omit<CounterReport, 'at' | 'host'> & { host?: Partial<CounterReport['host']> }, from = 0): readonly AlertReport[] {
  let last: readonly AlertReport[] = [];
  for (let second = 0; second < seconds; second++) last = alerts.second(paths, counterReport(from + second * 1000, counters), from + second * 1000);
  return last;
}
const NOTHING = { links: [], nics: [], tcp: [] };
const tcp = (sent: number, retransmitted: number): CounterReport['tcp'][number] =>
  ({ what: 'peer', to: 'h2', rtt: 1, rttVariation: 1, sent, retransmitted, deliveryRate: 1, congestionWindow: 10 });

test('loss: by path, judged by the average of probes, told with its numbers', () => {
  const alerts = new Alerts();
  alerts.plan('h1', { loss: plan('path.loss', 0.02, 0.01) });
  assert.deepEqual(run(alerts, 3, [withLoss('h2', 0.031), withLoss('h3', 0.019)], NOTHING), []);
  assert.deepEqual(run(alerts, 1, [withLoss('h2', 0.031), withLoss('h3', 0.019)], NOTHING, 3000), [{
    alert: 'loss', on: 'h2/main', state: 'on', since: 3000, value: 0.031, last: 0.1, severity: 'warning',
    because: 'path.loss of h2/main 3.1 %, limit 2 %, for 3 s',
  }]);
});

test('a path of which nothing ever came back has lost everything', () => {
  const alerts = new Alerts();
  alerts.plan('h1', { loss: plan('path.loss', 0.02, 0.01) });
  const dead = pathReport('h2', 0, {
    classes: [classFigures({ answered: 0, lost: { forward: 0, backward: 0, unknown: 10 } })],
    quality: { state: 'unknown', since: 0, loss: 0, slowLoss: 0, suspicious: false },
  });
  assert.deepEqual(run(alerts, 4, [dead], NOTHING).map(({ on, value, last }) => [on, value, last]), [['h2/main', 1, 1]]);
});

const sick = {
  paths: [pathReport('h2', 0, { classes: [classFigures({ rtt: rtt(5, 2) }), classFigures({ dscp: 46, rtt: rtt(9, 4) })] }), pathReport('h3', 0, { classes: [classFigures({ rtt: rtt(1, 0.1) })] })],
  links: [linkFigures('eth0', { utilization: 0.9, rxDrops: 2, txDrops: 3, rxErrors: 4, txErrors: 1, queues: [{ class: '1:', bytes: 0, packets: 0, drops: 10, backlog: 0 }, { class: '1:10', bytes: 0, packets: 0, drops: 10, backlog: 0 }] }), linkFigures('eth1')],
  nics: [nicFigures('web', 0), nicFigures('web', 1, { rxDrops: 5, txDrops: 2 })],
  tcp: [tcp(90, 2), tcp(10, 3)],
  host: { softirq: 0.5, lateness: 12 },
};

for (const [metric, on, value, words] of [
  ['path.rtt', 'h2/main', 9, '9 ms'], ['path.jitter', 'h2/main', 4, '4 ms'], ['link.utilization', 'eth0', 0.9, '90 %'], ['link.drops', 'eth0', 15, '15/s'],
  ['link.errors', 'eth0', 5, '5/s'], ['nic.drops', 'web/1', 7, '7/s'], ['host.softirq', 'h1', 0.5, '50 %'], ['host.lateness', 'h1', 12, '12 ms'],
  ['tcp.retransmits', 'h1', 0.05, '5 %'],
] as const) {
  test(`${metric} of ${on} is ${words}`, () => {
    const alerts = new Alerts();
    alerts.plan('h1', { a: plan(metric, value, 0), above: plan(metric, value * 1.01, 0) });
    const { paths, ...counters } = sick;
    const reports = run(alerts, 4, paths, counters);
    assert.deepEqual(reports.map(({ alert, on, state, value, last }) => ({ alert, on, state, value, last })), [{ alert: 'a', on, state: 'on', value, last: value }]);
    assert.equal(reports[0]?.because, `${metric} of ${on} ${words}, limit ${words}, for 3 s`);
  });
}

test('nothing measured is no figure: no capacity, no probe, few segments', () => {
  const alerts = new Alerts();
  alerts.plan('h1', { u: plan('link.utilization', 0, 0), r: plan('path.rtt', 0, 0), l: plan('path.loss', 0, 0), t: plan('tcp.retransmits', 0, 0) });
  const silent = pathReport('h2', 0, { classes: [classFigures({ sent: 0, answered: 0 })] });
  assert.deepEqual(run(alerts, 10, [silent], { links: [linkFigures('eth0')], nics: [], tcp: [tcp(15, 15)] }), []);
});

test('an alert on one thing is on no other', () => {
  const alerts = new Alerts();
  alerts.plan('h1', { loss: plan('path.loss', 0.02, 0.01, { on: 'h3/main' }) });
  assert.deepEqual(run(alerts, 4, [withLoss('h2', 1), withLoss('h3', 1)], NOTHING).map(({ on }) => on), ['h3/main']);
});

test('off is told for a minute, with its numbers', () => {
  const alerts = new Alerts();
  alerts.plan('h1', { drops: plan('link.drops', 10, 0) });
  const link = (rxDrops: number): Omit<CounterReport, 'at' | 'host'> => ({ ...NOTHING, links: [linkFigures('eth0', { rxDrops })] });
  assert.equal(run(alerts, 4, [], link(20))[0]?.state, 'on');
  const [off] = run(alerts, 30, [], link(0), 4000);
  assert.deepEqual([off?.state, off?.value, off?.last], ['off', 0, 0]);
  assert.match(off?.because ?? '', /^link\.drops of eth0 0\/s, limit 0\/s, for 3 s$/);
  const since = off?.since ?? assert.fail();
  assert.equal(run(alerts, 1, [], link(0), since + 59_999).length, 1);
  assert.deepEqual(run(alerts, 1, [], link(0), since + 60_000), []);
});

test('what went is off, and says so; what is there and not measured stays as it is', () => {
  const alerts = new Alerts();
  alerts.plan('h1', { nic: plan('nic.drops', 1, 0), loss: plan('path.loss', 0.02, 0.01) });
  const nics = [nicFigures('web', 0, { rxDrops: 5 })];
  assert.deepEqual(run(alerts, 4, [withLoss('h2', 1)], { ...NOTHING, nics }).map(({ state }) => state), ['on', 'on']);
  const unmeasured = pathReport('h2', 0, { classes: [classFigures({ sent: 0, answered: 0 })] });
  const after = run(alerts, 10, [unmeasured], NOTHING, 4000);
  assert.deepEqual(after.map(({ alert, state }) => [alert, state]), [['nic', 'off'], ['loss', 'on']]);
  assert.match(after[0]?.because ?? '', /^nic\.drops of web\/0 is no longer measured/);
  assert.deepEqual(run(alerts, 70, [unmeasured], NOTHING, 14_000).map(({ alert }) => alert), ['loss']);
});

test('the same plan again changes nothing; a changed alert begins anew, and one that went is not told of', () => {
  const alerts = new Alerts();
  const [loss, drops] = [plan('path.loss', 0.02, 0.01), plan('nic.drops', 1, 0)];
  alerts.plan('h1', { loss, drops });
  const nics = [nicFigures('web', 0, { rxDrops: 5 })];
  run(alerts, 4, [withLoss('h2', 1)], { ...NOTHING, nics });
  alerts.plan('h1', { loss: { ...loss }, drops: { ...drops } });
  assert.equal(run(alerts, 1, [withLoss('h2', 1)], { ...NOTHING, nics }, 4000).length, 2);
  alerts.plan('h1', { drops: { ...drops, hold: 5000 } });
  assert.deepEqual(run(alerts, 1, [withLoss('h2', 1)], { ...NOTHING, nics }, 5000), []);
});
