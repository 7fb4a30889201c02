/** The agent's end, with children that are streams. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import { type Milliseconds, ms } from '../../../src/base/units.ts';
import { MonitorClient } from '../../../src/monitor/monitor-client.ts';
import type { MonitorMessage } from '../../../src/monitor/monitor-protocol.ts';
import { type MonitorChild, monitorLog } from '../../../src/monitor/monitor-spawn.ts';
import { noCounters, watchPlan } from './memory-monitors.ts';

class Child implements MonitorChild {
  readonly pid = 1;
  readonly input = new PassThrough();
  readonly output = new PassThrough();
  readonly exited: Promise<string>;
  readonly heard: unknown[] = [];
  readonly signals: string[] = [];
  end: (how: string) => void = () => undefined;

  constructor() {
    this.exited = new Promise((resolve) => (this.end = resolve));
    this.input.setEncoding('utf8').on('data', (text: string) => this.heard.push(...text.trim().split('\n').map((line): unknown => JSON.parse(line))));
    this.input.on('end', () => this.end('ended with 0'));
  }

  kill(signal: string): void {
    this.signals.push(signal);
    this.end(`was ended by ${signal}`);
  }

  say(...messages: readonly (MonitorMessage | object)[]): void {
    for (const message of messages) this.output.write(`${JSON.stringify(message)}\n`);
  }
}

const hello = { kind: 'hello', monitor: 'm', pid: 1, version: '0' } as const;
const report = { kind: 'report', paths: [], counters: noCounters, alerts: [], troubles: [] } as const;
const query = { host: 'a', series: 'host/softirq', from: 0, to: 1, points: 10 };
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Played {
  readonly client: MonitorClient;
  readonly children: Child[];
  readonly ends: (readonly [how: string, again: number])[];
  readonly reports: unknown[];
  readonly turns: unknown[];
  /** Resolves when one more child was started. */
  started(count: number): Promise<Child>;
}

async function withClient(test: (played: Played) => Promise<void>, { runDir = '/', ...options }: { readonly silence?: Milliseconds; readonly patience?: Milliseconds; readonly runDir?: string } = {}): Promise<void> {
  const children: Child[] = [];
  const ends: (readonly [how: string, again: number])[] = [];
  const [reports, turns]: [unknown[], unknown[]] = [[], []];
  let onStart: () => void = () => undefined;
  const client = new MonitorClient({
    spawn: { runDir, stateDir: '/' }, patience: ms(5), ...options,
    onReport: (message) => void reports.push(message), onTurn: (turn) => void turns.push(turn), onEnd: (...end) => void ends.push(end),
    start: () => {
      const child = new Child();
      children.push(child);
      onStart();
      return child;
    },
  });
  const started = (count: number): Promise<Child> => new Promise((resolve) => {
    onStart = () => {
      const child = children[count - 1];
      if (child) resolve(child);
    };
    onStart();
  });
  try {
    await test({ client, children, ends, reports, turns, started });
  } finally {
    await client.close();
  }
}

describe('the agent\'s end of a monitor', () => {
  it('tells the plan when it is greeted, and each new monitor again', async () => {
    await withClient(async ({ client, ends, started }) => {
      const first = await started(1);
      client.plan(watchPlan('a'), []);
      await settled();
      assert.deepEqual(first.heard, []);
      first.say(hello);
      await settled();
      const told = { kind: 'plan', plan: watchPlan('a'), nics: [] };
      assert.deepEqual(first.heard, [told]);
      first.end('ended with 1');
      const second = await started(2);
      assert.deepEqual(ends, [['ended with 1', 5]]);
      second.say(hello);
      await settled();
      assert.deepEqual(second.heard, [told]);
    });
  });

  it('waits twice as long each time', async () => {
    await withClient(async ({ ends, started }) => {
      for (let n = 1; n <= 4; n++) (await started(n)).end('ended with 1');
      await started(5);
      assert.deepEqual(ends.map(([, again]) => again), [5, 10, 20, 40]);
    });
  });

  it('hands on reports and turns, and passes over what it does not know', async () => {
    await withClient(async ({ reports, turns, ends, started }) => {
      const child = await started(1);
      child.say(hello, { kind: 'news' }, report, { kind: 'turn', turn: { sequence: 1 } });
      await settled();
      assert.deepEqual([reports, turns, ends], [[report], [{ sequence: 1 }], []]);
    });
  });

  it('replaces one that speaks another language', async () => {
    for (const words of ['{\n', '[]\n', '{"kind":"report"}\n']) {
      await withClient(async ({ ends, started }) => {
        const child = await started(1);
        child.output.write(words);
        await started(2);
        assert.deepEqual(child.signals, ['SIGKILL']);
        assert.match(ends[0]?.[0] ?? '', /^Agent and monitor do not understand each other: .*\[MONITOR_LINE_INVALID\]/);
      });
    }
  });

  it('replaces one that says nothing', async () => {
    await withClient(async ({ ends, started }) => {
      const child = await started(1);
      child.say(hello);
      await started(2);
      assert.deepEqual(child.signals, ['SIGKILL']);
      assert.equal(ends[0]?.[0], 'said nothing for 0.02 s');
    }, { silence: ms(20) });
  });

  it('does not take its own sleep for the silence of the monitor', async () => {
    await withClient(async ({ started, reports, ends }) => {
      const child = await started(1);
      child.say(hello);
      await settled();
      // What came meanwhile is read after the timers that are due.
      setImmediate(() => child.say(report));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2100);
      await settled();
      await settled();
      assert.deepEqual([reports, child.signals, ends], [[report], [], []]);
    }, { silence: ms(2000) });
  });

  it('says what the monitor wrote last, when it ended by itself', async () => {
    const runDir = mkdtempSync(join(tmpdir(), 'godwit-monitor-'));
    try {
      const log = monitorLog(runDir);
      writeFileSync(log, 'of another\n');
      await withClient(async ({ ends, started }) => {
        (await started(1)).end('ended with 1');
        const second = await started(2);
        appendFileSync(log, `first\n${'x'.repeat(5000)}\nerror: no address\n`);
        second.end('ended with 1');
        await started(3);
        assert.deepEqual(ends.map(([how]) => how), ['ended with 1', 'ended with 1 (error: no address)']);
      }, { runDir });
    } finally {
      rmSync(runDir, { recursive: true });
    }
  });

  it('asks, and gives each its own answer', async () => {
    await withClient(async ({ client, started }) => {
      await assert.rejects(client.query(query), { code: 'MONITOR_UNREACHABLE' });
      const child = await started(1);
      child.say(hello);
      await settled();
      const asked = [client.query(query), client.query(query), client.query(query)];
      await settled();
      assert.deepEqual(child.heard, [1, 2, 3].map((id) => ({ kind: 'query', id, query })));
      const history = { ...query, kind: 'gauge', data: [] };
      child.say({ kind: 'answer', id: 2, history }, { kind: 'no-answer', id: 1, code: 'MONITOR_NO_SERIES', message: 'no such' });
      await assert.rejects(asked[0] ?? Promise.resolve(), { code: 'MONITOR_NO_SERIES', message: 'no such' });
      assert.deepEqual(await asked[1], history);
      child.end('ended with 1');
      await assert.rejects(asked[2] ?? Promise.resolve(), { code: 'MONITOR_UNREACHABLE' });
    });
  });
});
