/** /metrics: the format by its grammar, names by Prometheus' conventions, and the numbers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { request } from 'node:http';
import fc from 'fast-check';
import { Metrics } from '../../../src/monitor/metrics.ts';
import { labelText, LatencyHistogram, Metric } from '../../../src/monitor/metrics-exposition.ts';
import { serveMetrics } from '../../../src/monitor/metrics-server.ts';
import { parseExposition, type ParsedFamily } from './exposition-parser.ts';
import { classFigures, counterReport, linkFigures, nicFigures, pathReport } from './reports.ts';

const HOUR = 3_600_000;
const HISTORY = { bytes: 1000, count: 3 };

/** Of one sample; undefined: there is none. */
function valueOf(families: Map<string, ParsedFamily>, name: string, labels: Record<string, string> = {}): number | undefined {
  const found = [...families.values()].flatMap(({ samples }) => samples).filter((sample) =>
    sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value));
  assert.ok(found.length <= 1, `${name} is ${found.length}`);
  return found[0]?.value;
}

/** Everything there can be, twice, a second apart. */
function full(): Metrics {
  const metrics = new Metrics('1.2.3', 'v24');
  const rtt = { min: 1, mean: 2, max: 3, p50: 2, p90: 3, p99: 3, jitter: 0.5 };
  for (const at of [1000, 2000]) {
    metrics.answered({ peer: 'h2', path: 'main', dscp: 46, rtt: 0.2, at });
    metrics.answered({ peer: 'h2', path: 'main', dscp: 46, rtt: 40_000, at });
    const classes = [classFigures({
      dscp: 46, sent: 10, answered: 6, lost: { forward: 2, backward: 1, unknown: 1 }, late: 1, duplicates: 2, reordered: { forward: 3, backward: 4 },
      rtt, oneWay: { forward: 0.5, backward: 1.5 }, marking: { atReflector: 0, returned: 46 },
    })];
    const quality = { state: 'unfit', since: 0, loss: 0.04, slowLoss: 0.01, suspicious: true } as const;
    metrics.second([pathReport('h2', at, { classes, quality, mtu: { wanted: 9000, passes: 1500, blackHole: true } })], counterReport(at, {
      links: [linkFigures('eth0', { rxBytes: 100, txDrops: 3, capacity: 1e6, utilization: 0.5, queues: [{ class: '1:10', bytes: 5, packets: 1, drops: 2, backlog: 7 }] })],
      nics: [nicFigures('web', 1, { txBytes: 50 })],
      tcp: [{ what: 'peer', to: 'h2', rtt: 3, rttVariation: 1, retransmitted: 1, sent: 20, deliveryRate: 5, congestionWindow: 10 }, { what: 'peer', to: 'h3', rtt: 5, rttVariation: 1, retransmitted: 0, sent: 5, deliveryRate: 5, congestionWindow: 10 }],
      host: { softirq: 0.25, backlogDrops: 1, squeezed: 2, lateness: 4, cost: 0.01 },
    }), [{ alert: 'loss', on: 'h2/main', state: 'on', since: 0, value: 1, last: 1, because: '', severity: 'alarm' }], HISTORY, at);
  }
  return metrics;
}

test('the numbers, in base units', () => {
  const families = parseExposition(full().text(2000));
  const path = { peer: 'h2', path: 'main' };
  for (const [name, labels, value] of [
    ['godwit_build_info', { version: '1.2.3', node: 'v24' }, 1],
    ['godwit_path_probes_sent_total', { ...path, dscp: '46' }, 20], ['godwit_path_probes_answered_total', path, 12],
    ['godwit_path_probes_lost_total', { direction: 'forward' }, 4], ['godwit_path_probes_lost_total', { direction: 'backward' }, 2],
    ['godwit_path_probes_lost_total', { direction: 'unknown' }, 2], ['godwit_path_probes_late_total', path, 2],
    ['godwit_path_probes_duplicated_total', path, 4], ['godwit_path_probes_reordered_total', { direction: 'backward' }, 8],
    ['godwit_path_jitter_seconds', path, 0.0005], ['godwit_path_one_way_delay_seconds', { direction: 'backward' }, 0.0015],
    ['godwit_path_dscp_rewritten', path, 1], ['godwit_path_loss_ratio', path, 0.04], ['godwit_path_state', { state: 'unfit' }, 1],
    ['godwit_path_state', { state: 'fit' }, 0], ['godwit_path_mtu_bytes', path, 1500], ['godwit_path_mtu_black_hole', path, 1],
    ['godwit_link_receive_bytes_total', { link: 'eth0' }, 200], ['godwit_link_transmit_drops_total', { link: 'eth0' }, 6],
    ['godwit_link_capacity_bytes_per_second', {}, 1e6], ['godwit_link_utilization_ratio', {}, 0.5],
    ['godwit_queue_drops_total', { link: 'eth0', class: '1:10' }, 4], ['godwit_queue_backlog_bytes', {}, 7],
    ['godwit_nic_transmit_bytes_total', { vm: 'web', nic: '1' }, 100],
    ['godwit_tcp_connections', { what: 'peer' }, 2], ['godwit_tcp_rtt_seconds', { what: 'peer' }, 0.005],
    ['godwit_tcp_segments_sent_total', {}, 50], ['godwit_tcp_segments_retransmitted_total', {}, 2],
    ['godwit_host_softirq_ratio', {}, 0.25], ['godwit_host_squeezed_total', {}, 4], ['godwit_monitor_lateness_seconds', {}, 0.004],
    ['godwit_monitor_cpu_seconds_total', {}, 0.02], ['godwit_history_bytes', {}, 1000], ['godwit_history_series', {}, 3],
    ['godwit_alert_on', { alert: 'loss', on: 'h2/main', severity: 'alarm' }, 1],
    ['godwit_path_rtt_seconds_count', path, 4], ['godwit_path_rtt_seconds_sum', path, 80.0004],
    ['godwit_path_rtt_seconds_bucket', { le: '0.0002' }, 2], ['godwit_path_rtt_seconds_bucket', { le: '0.0001' }, 0],
    ['godwit_path_rtt_seconds_bucket', { le: '26.2144' }, 2], ['godwit_path_rtt_seconds_bucket', { le: '+Inf' }, 4],
  ] as const) assert.equal(valueOf(families, name, labels), value, name);
});

test('names by the conventions: a prefix, base units, _total for counters and for nothing else', () => {
  for (const [name, { type, help }] of parseExposition(full().text(2000))) {
    assert.match(name, /^godwit_[a-z_]+$/);
    assert.equal(name.endsWith('_total'), type === 'counter', name);
    assert.doesNotMatch(name, /_(?:ms|milliseconds|bits|kb|percent)(?:_|$)/);
    assert.ok(help.endsWith('.'), help);
  }
});

test('labels are of a few kinds; no address and no connection is one', () => {
  const allowed = new Set(['peer', 'path', 'dscp', 'direction', 'state', 'le', 'link', 'class', 'vm', 'nic', 'what', 'alert', 'on', 'severity', 'version', 'node']);
  const families = parseExposition(full().text(2000));
  const used = new Set([...families.values()].flatMap(({ samples }) => samples.flatMap(({ labels }) => Object.keys(labels))));
  assert.deepEqual([...used].filter((label) => !allowed.has(label)), []);
  assert.ok(![...families.values()].some(({ samples }) => samples.some(({ labels }) => Object.values(labels).some((value) => value.startsWith('10.0.0')))));
});

test('what went: gauges after a minute, counters of a VM after an hour; what stays goes on', () => {
  const metrics = full();
  const told = (now: number): Map<string, ParsedFamily> => {
    metrics.second([], counterReport(now, { links: [linkFigures('eth0', { rxBytes: 1 })] }), [], HISTORY, now);
    return parseExposition(metrics.text(now));
  };
  const soon = told(2000 + HOUR / 2);
  assert.equal(valueOf(soon, 'godwit_nic_transmit_bytes_total', { vm: 'web' }), 100);
  assert.equal(valueOf(soon, 'godwit_path_loss_ratio'), undefined);
  const later = told(2001 + HOUR);
  assert.ok(!later.has('godwit_nic_transmit_bytes_total') && !later.has('godwit_path_rtt_seconds') && !later.has('godwit_queue_drops_total'));
  assert.equal(valueOf(later, 'godwit_link_receive_bytes_total'), 202);
});

test('a clock that jumps adds one second, not a year', () => {
  const metrics = new Metrics('1');
  for (const at of [1000, 1e12, 500, 1500]) metrics.second([], counterReport(at, { links: [linkFigures('eth0', { rxBytes: 10 })] }), [], HISTORY, at);
  assert.equal(valueOf(parseExposition(metrics.text(1500)), 'godwit_link_receive_bytes_total'), 40);
});

test('any label and help text comes out as it went in', () => {
  const hard = fc.string({ unit: fc.oneof(fc.constantFrom('\\', '"', '\n', 'n', '{', '}', ',', '=', ' ', 'é'), fc.string({ minLength: 1, maxLength: 1 })) }).filter((text) => !text.includes('\r'));
  fc.assert(fc.property(fc.uniqueArray(hard, { maxLength: 5 }), fc.double({ noNaN: true }).map((value) => value + 0), (texts, value) => {
    const metric = new Metric('gauge', 'x', `help ${texts.join('')}`);
    for (const text of texts) metric.set(labelText({ a: text, b: 'c' }), value, 0);
    const lines = metric.lines(0);
    if (texts.length === 0) assert.deepEqual(lines, []);
    else assert.deepEqual(parseExposition(`${lines.join('\n')}\n`).get('x')?.samples.map(({ labels, value }) => [labels['a'], value]), texts.map((text) => [text, value]));
  }));
});

test('a histogram: cumulative, rising, all of it in the last one', () => {
  fc.assert(fc.property(fc.array(fc.double({ min: 0.001, max: 100_000, noNaN: true }), { minLength: 1 }), (latencies) => {
    const histogram = new LatencyHistogram('x', 'X.');
    for (const latency of latencies) histogram.observe('k', () => ({}), latency, 0);
    const samples = parseExposition(`${histogram.lines(0).join('\n')}\n`).get('x')?.samples ?? [];
    const buckets = samples.filter(({ name }) => name === 'x_bucket').map(({ labels, value }) => [Number(labels['le']?.replace('+Inf', 'Infinity')), value] as const);
    assert.equal(buckets.length, 21);
    for (const [upper, count] of buckets) assert.equal(count, latencies.filter((latency) => latency <= upper * 1000 * (1 + 1e-12)).length);
    assert.deepEqual(buckets.map(([upper]) => upper), buckets.map(([upper]) => upper).toSorted((a, b) => a - b));
    assert.equal(samples.find(({ name }) => name === 'x_count')?.value, latencies.length);
  }));
});

test('the server: GET /metrics and nothing else', async () => {
  const server = await serveMetrics({ address: '127.0.0.1', port: 0 }, () => 'x 1\n');
  const ask = async (method: string, path: string, body = ''): Promise<{ status: number | undefined; type: string | undefined; text: string }> => {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number | undefined; type: string | undefined; text: string }>();
    request({ port: server.port, host: '127.0.0.1', method, path, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => (text += part)).on('end', () => resolve({ status: response.statusCode, type: response.headers['content-type'], text }));
    }).on('error', reject).end(body);
    return promise;
  };
  try {
    assert.deepEqual(await ask('GET', '/metrics'), { status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', text: 'x 1\n' });
    assert.equal((await ask('GET', '/metrics?x=1')).status, 200);
    assert.deepEqual([(await ask('HEAD', '/metrics')).text, (await ask('POST', '/metrics', 'x'.repeat(100_000))).status, (await ask('GET', '/')).status], ['', 405, 404]);
    await assert.rejects(serveMetrics({ address: '127.0.0.1', port: server.port }, () => ''), { code: 'MONITOR_METRICS', message: /127\.0\.0\.1 port \d+: give --metrics/ });
  } finally {
    await server.close();
  }
});
