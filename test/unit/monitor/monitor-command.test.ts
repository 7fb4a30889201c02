import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MonitorLineInvalid } from '../../../src/monitor/errors.ts';
import { readLines } from '../../../src/monitor/json-lines.ts';
import { parseMetricsAddress } from '../../../src/monitor/main.ts';
import { decodeCommand } from '../../../src/monitor/monitor-command.ts';
import { watchPlan } from './memory-monitors.ts';

const plan = { kind: 'plan', plan: watchPlan('a'), nics: [{ device: 'gt-1', vm: 'web', nic: 0 }] } as const;

describe('a command to the monitor', () => {
  it('comes through JSON as it was', () => {
    const query = { kind: 'query', id: 1, query: { host: 'a', series: 'host/softirq', from: 0, to: 1, points: 10 } } as const;
    for (const command of [plan, query]) assert.deepEqual(decodeCommand(JSON.parse(JSON.stringify(command))), command);
  });

  it('is refused with the place of what is wrong', () => {
    const wrong = { ...plan, plan: { ...plan.plan, probing: { ...plan.plan.probing, port: 0 } } };
    assert.throws(() => decodeCommand(wrong), (error) => error instanceof MonitorLineInvalid && /\/plan\/probing\/port/.test(error.message));
  });

  it('is refused, and never anything else, where a field is another', () => {
    const leaves = (value: unknown, at: readonly string[] = []): string[][] => (typeof value === 'object' && value !== null
      ? Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...at, key])) : [[...at]]);
    const changed = (value: unknown, [first, ...rest]: readonly string[], to: unknown): unknown => {
      if (first === undefined) return to;
      if (Array.isArray(value)) return value.map((inner, at) => (String(at) === first ? changed(inner, rest, to) : inner));
      return { ...Object(value), [first]: changed(Reflect.get(Object(value), first), rest, to) };
    };
    for (const path of leaves(plan)) {
      for (const to of [null, {}, [], true, 'x'.repeat(300), -1.5]) {
        const value = changed(plan, path, to);
        if (path.join() === 'plan,probing,enabled' && to === true) continue;
        assert.throws(() => decodeCommand(value), MonitorLineInvalid, `${path.join('.')} = ${JSON.stringify(to)}`);
      }
    }
  });

  it('of any value at all is one or is refused', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => {
      assert.throws(() => decodeCommand(value), MonitorLineInvalid);
    }));
  });
});

describe('lines of JSON', () => {
  const read = async (pieces: readonly string[]): Promise<{ values: unknown[]; error: unknown }> => {
    const stream = new PassThrough();
    const values: unknown[] = [];
    let error: unknown;
    readLines(stream, (value) => void values.push(value), (met) => (error = met));
    const ended = new Promise((resolve) => stream.once('close', resolve));
    for (const piece of pieces) stream.write(piece);
    stream.end().resume();
    await ended;
    return { values, error };
  };

  it('come whole, however they are cut', async () => {
    await fc.assert(fc.asyncProperty(fc.array(fc.jsonValue(), { maxLength: 5 }), fc.array(fc.nat(200), { maxLength: 5 }), async (values, cuts) => {
      const text = values.map((value) => `${JSON.stringify(value)}\n`).join('');
      const at = [0, ...cuts.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b), text.length];
      const { values: came, error } = await read(at.slice(1).map((end, i) => text.slice(at[i], end)));
      assert.equal(error, undefined);
      assert.equal(JSON.stringify(came), JSON.stringify(values));
    }), { numRuns: 50 });
  });

  it('end with the first that is none', async () => {
    const { values, error } = await read(['1\n{\n2\n']);
    assert.deepEqual(values, [1]);
    assert.ok(error instanceof MonitorLineInvalid);
  });
});

describe('an address for metrics', () => {
  it('is an IP address and a port', () => {
    assert.deepEqual(parseMetricsAddress('127.0.0.1:9442'), { address: '127.0.0.1', port: 9442 });
    assert.deepEqual(parseMetricsAddress('[::1]:9442'), { address: '::1', port: 9442 });
    for (const text of ['', '9442', ':9442', 'localhost:1', '::1:9442', '127.0.0.1:0', '127.0.0.1:65536', '[127.0.0.1]:1']) {
      assert.throws(() => parseMetricsAddress(text), { code: 'MONITOR_METRICS_ADDRESS' }, text);
    }
  });
});
