import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reporter, type ReporterParts, type ServerLink } from '../../../src/agent/reporter.ts';
import type { AgentReport, ReportAnswer, Wanted } from '../../../src/api/agent-protocol.ts';
import { ApiError } from '../../../src/api/api.ts';
import { ManualClock, drain } from './manual-clock.ts';

const facts = { qemu: '10.0.2', kernel: '6.18', cpu: 'x', cpus: 2, accelerators: ['kvm'], memory: 1, freeMemory: 1, bridges: {}, missingFeatures: [] };
const away = new ApiError(0, 'API_UNREACHABLE', 'away');

class Server implements ServerLink {
  readonly clock = new ManualClock();
  readonly reports: { readonly at: number; readonly report: AgentReport }[] = [];
  readonly wants: Wanted[] = [];
  readonly acknowledged: string[] = [];
  readonly log: string[] = [];
  answer: () => Promise<ReportAnswer> = async () => ({ acknowledged: [] });
  fault: ApiError | undefined;
  asked = 0;
  readonly #end = new AbortController();
  readonly reporter: Reporter;
  readonly #running: Promise<void>;

  constructor(fault?: ApiError, more: Partial<ReporterParts> = {}) {
    this.fault = fault;
    if (fault) this.answer = () => Promise.reject(fault);
    const say = (level: string) => (fields: object, message: string): void => void this.log.push(`${level} ${'code' in fields ? String(fields.code) : ''} ${message}`);
    this.reporter = new Reporter({
      server: this, clock: this.clock, log: { info: say('info'), warn: say('warn'), error: say('error') }, instance: 'i',
      facts: async () => facts, agent: () => ({ version: '0', instance: 'i', startedAt: 0, cpuTime: 1, residentMemory: 1 }),
      vms: () => [], moves: () => [], want: (wanted) => this.wants.push(wanted), acknowledged: ({ acknowledged }) => this.acknowledged.push(...acknowledged), ...more,
    });
    this.#running = this.reporter.run(this.#end.signal);
  }

  report(report: AgentReport): Promise<ReportAnswer> {
    this.reports.push({ at: this.clock.monotonic(), report });
    return this.answer();
  }

  async *wanted(signal: AbortSignal): AsyncGenerator<Wanted> {
    this.asked++;
    if (this.fault) throw this.fault;
    yield { vms: [], moves: [] };
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
  }

  times(): number[] {
    return this.reports.map(({ at }) => Math.round(at));
  }

  async end(): Promise<void> {
    this.#end.abort();
    await this.#running;
    assert.equal(this.clock.sleepers, 0);
  }
}

test('reports once a second, each with a higher sequence', async () => {
  const server = new Server();
  await server.clock.advance(3500);
  await server.end();
  const [first] = server.times();
  assert.ok(first !== undefined && first <= 40);
  assert.deepEqual(server.times().slice(-3).map((t, i, all) => t - (all[i - 1] ?? t - 1000)), [1000, 1000, 1000]);
  assert.deepEqual(server.reports.map(({ report }) => report.sequence), server.reports.map((_, i) => i + 1));
  assert.deepEqual(server.wants, [{ vms: [], moves: [] }]);
});

test('a change is told at once, many changes at most every 20 ms', async () => {
  const server = new Server();
  await server.clock.advance(1500);
  const before = server.reports.length;
  server.reporter.changed();
  await drain();
  assert.equal(server.reports.length, before + 1);
  for (let i = 0; i < 100; i++) {
    server.reporter.changed();
    await server.clock.advance(1);
  }
  const burst = server.times().slice(before);
  assert.ok(burst.length >= 4 && burst.length <= 6, burst.join(' '));
  for (let i = 1; i < burst.length; i++) assert.ok((burst[i] ?? 0) - (burst[i - 1] ?? 0) >= 20);
  await server.end();
});

test('what changed while a report was under way is in another', async () => {
  const server = new Server();
  await server.clock.advance(500);
  const { promise, resolve } = Promise.withResolvers<ReportAnswer>();
  server.answer = () => promise;
  server.reporter.changed();
  await drain();
  const before = server.reports.length;
  server.reporter.changed();
  resolve({ acknowledged: ['web-1'] });
  await server.clock.advance(25);
  assert.equal(server.reports.length, before + 1);
  assert.ok(server.acknowledged.includes('web-1'));
  await server.end();
});

test('a server that is away: tried again within 2 s, logged once, and once when it is back', async () => {
  const server = new Server();
  server.answer = () => Promise.reject(away);
  await server.clock.advance(20_000);
  const gaps = server.times().map((t, i, all) => t - (all[i - 1] ?? 0)).slice(1);
  assert.ok(Math.max(...gaps) <= 2000 && Math.max(...gaps.slice(-3)) === 2000, gaps.join(' '));
  assert.equal(server.log.filter((line) => line.startsWith('warn API_UNREACHABLE')).length, 1);
  server.answer = async () => ({ acknowledged: [] });
  await server.clock.advance(4000);
  assert.equal(server.log.filter((line) => line.includes('is back')).length, 1);
  await server.end();
});

test('a report without an answer does not keep the next', async () => {
  const server = new Server();
  server.answer = () => new Promise(() => undefined);
  await server.clock.advance(12_000);
  assert.ok(server.reports.length >= 2);
  await server.end();
});

test('what the server cannot read is left out for a while, and the rest told at once: the host lives by it', async () => {
  const server = new Server(undefined, { monitor: () => ({ turns: [] }) });
  await server.clock.advance(1500);
  const fault = (path: string): Promise<never> => Promise.reject(new ApiError(400, 'API_INVALID', 'not as it should be', { faults: [{ document: 0, path, message: 'must be >= 0' }] }));
  server.answer = () => ('turns' in (server.reports.at(-1)?.report ?? {}) ? fault('/turns/0/at') : Promise.resolve({ acknowledged: [] }));
  const before = server.reports.length;
  server.reporter.changed();
  await drain();
  assert.deepEqual(server.reports.slice(before).map(({ report }) => 'turns' in report), [true, false]);
  await server.clock.advance(29_000);
  assert.ok(server.reports.slice(before + 1).every(({ report }) => !('turns' in report)));
  assert.ok(server.reports.length >= before + 29, 'once a second');
  await server.clock.advance(2000);
  assert.ok(server.reports.some(({ report }, i) => i > before + 2 && 'turns' in report), 'tried again');
  assert.equal(server.log.filter((line) => line.includes('cannot read a part')).length, 2);
  // What it cannot do without is another matter.
  server.answer = () => fault('/host/memory');
  server.reporter.changed();
  await server.clock.advance(100);
  const refused = server.reports.length;
  await server.clock.advance(29_000);
  assert.equal(server.reports.length, refused);
  await server.end();
});

test('a server that refuses: one clear error, tried every 30 s', async () => {
  const server = new Server(new ApiError(404, 'CONTROL_NOT_FOUND', 'There is no host'));
  await server.clock.advance(95_000);
  assert.ok(server.asked <= 4, `${server.asked}`);
  assert.ok(server.reports.length <= 5, `${server.reports.length}`);
  const errors = server.log.filter((line) => line.startsWith('error CONTROL_NOT_FOUND'));
  assert.equal(errors.length, 2); // one for reports, one for what is wanted
  assert.match(errors[0] ?? '', /refuses this agent; VMs run on/);
  await server.end();
});
