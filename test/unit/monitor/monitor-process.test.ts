/** Two monitors in memory, in virtual time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ms } from '../../../src/base/units.ts';
import { SystemError } from '../../../src/native/native.ts';
import { clockError } from '../../../src/wire/stamp-time.ts';
import { ADDRESS, watchPlan, withMonitors } from './memory-monitors.ts';

const PROBE = 52;

describe('a monitor', () => {
  it('says who it is, and every second what it found', async () => {
    await withMonitors(async (monitors) => {
      const [a] = [monitors.start('a', watchPlan('a')), monitors.start('b', watchPlan('b'))];
      await monitors.network.advance(3500);
      assert.deepEqual(a.told.map(({ kind }) => kind), ['hello', 'report', 'report', 'report']);
      const { classes, window, rate, mtu, quality, at, peer, path } = a.last();
      assert.deepEqual([peer, path, at, rate, mtu, quality.state], ['b', 'main', 3000, 100, { wanted: 1500, passes: 1500, blackHole: false }, 'fit']);
      assert.deepEqual([classes[0]?.sent, classes[0]?.answered, window.answered], [100, 100, 300]);
      assert.equal(a.answers.length, 350);
      assert.ok(a.answers.every((answer) => answer.peer === 'b' && answer.path === 'main' && answer.dscp === 0));
      assert.deepEqual(a.turns(), []);
    });
  });

  it('says in which direction probes are lost, and that the path is sick, within 3 s at 3 %', async () => {
    for (const direction of ['forward', 'backward'] as const) {
      await withMonitors(async (monitors) => {
        const [a, b] = [monitors.start('a', watchPlan('a')), monitors.start('b', watchPlan('b', { peers: [{ host: 'a', addresses: { main: ADDRESS.a } }] }))];
        await monitors.network.advance(2000);
        let [seen, dropped] = [0, 0];
        monitors.wire = (data, from, { port }) => {
          const wanted = data.length === PROBE && (direction === 'forward' ? from === 'a' && port === 862 : from === 'b' && port !== 862);
          if (!wanted || ++seen % 33 !== 0) return true;
          dropped++;
          return false;
        };
        await monitors.network.advance(3000);
        monitors.wire = () => true;
        await monitors.network.advance(2000);
        assert.ok(dropped >= 8);
        const { forward, backward, unknown } = a.last().window.lost;
        assert.deepEqual({ forward, backward, unknown }, { forward: 0, backward: 0, unknown: 0, [direction]: dropped });
        const seconds = a.reports().flatMap(({ classes }) => classes.map(({ lost }) => lost[direction]));
        assert.equal(seconds.reduce((sum, count) => sum + count, 0), dropped);
        const [turn, ...more] = a.turns();
        assert.deepEqual([turn?.to, turn?.sequence, turn?.monitor, more], ['unfit', 1, 'monitor-a', []]);
        assert.ok(turn !== undefined && turn.at <= 2000 + 3000 + 1000, `at ${turn?.at}`);
        assert.deepEqual(b.turns(), []);
      });
    }
  });

  it('is not disturbed by the same plan, and begins anew where something is another', async () => {
    await withMonitors(async (monitors) => {
      const a = monitors.start('a', watchPlan('a'));
      monitors.start('b', watchPlan('b'));
      await monitors.network.advance(2000);
      a.monitor.command({ kind: 'plan', plan: watchPlan('a'), nics: [] });
      await monitors.network.advance(1000);
      assert.deepEqual([a.last().window.answered, a.last().classes[0]?.answered], [300, 100]);
      const paths = { main: { capacity: 125_000_000, classes: [46, 0] } };
      a.monitor.command({ kind: 'plan', plan: watchPlan('a', { paths }), nics: [] });
      await monitors.network.advance(2000);
      assert.deepEqual(a.last().classes.map(({ dscp, answered, marking }) => ({ dscp, answered, marking })),
        [46, 0].map((dscp) => ({ dscp, answered: 100, marking: { atReflector: dscp, returned: dscp } })));
      a.monitor.command({ kind: 'plan', plan: watchPlan('a', { peers: [] }), nics: [] });
      const before = a.answers.length;
      await monitors.network.advance(2000);
      assert.equal(a.answers.length, before);
      assert.deepEqual(a.told.findLast(({ kind }) => kind === 'report'), { ...a.told.at(-1), paths: [] });
    });
  });

  it('claims one-way delays only where both clocks are set', async () => {
    await withMonitors(async (monitors) => {
      const [a, b] = [monitors.start('a', watchPlan('a')), monitors.start('b', watchPlan('b'))];
      b.ground.clockError = clockError(true, ms(2));
      await monitors.network.advance(3000);
      assert.equal(a.last().classes[0]?.oneWay, undefined);
      a.ground.clockError = clockError(true, ms(1));
      await monitors.network.advance(3000);
      const { oneWay } = a.last().classes[0] ?? {};
      assert.ok(oneWay?.error !== undefined && oneWay.error >= 3 && oneWay.error < 3.1);
    });
  });

  it('tells what it cannot do, and goes on with the rest; tries again every second', async () => {
    await withMonitors(async (monitors) => {
      const plan = watchPlan('a', {
        local: { main: ADDRESS.a, alt: '198.51.100.1' }, paths: { main: { capacity: 1e9, classes: [0] }, alt: { capacity: 1e9, classes: [0] } },
        peers: [{ host: 'b', addresses: { main: ADDRESS.b, alt: 'nowhere' } }],
        probing: { ...watchPlan('a').probing, reflectTo: ['10.0.0.0/99'] },
      });
      const a = monitors.start('a', plan);
      monitors.start('b', watchPlan('b'));
      await monitors.network.advance(1500);
      const troubles = a.told.flatMap((message) => (message.kind === 'report' ? [message.troubles] : [])).at(-1) ?? [];
      assert.deepEqual(troubles.map((text) => text.replace(/: .*/, '')), [
        'reflectTo 10.0.0.0/99', 'probes to 198.51.100.1 port 862 are not answered', 'nothing can be probed from 198.51.100.1',
        '"nowhere" is no IP address',
      ]);
      assert.equal(a.last().path, 'main');
      assert.equal(new Set(a.lines).size, a.lines.length, 'each is logged once');
      monitors.network.addAddress('a', 'e0', Uint8Array.of(198, 51, 100, 1), 24);
      await monitors.network.advance(2000);
      const after = a.told.flatMap((message) => (message.kind === 'report' ? [message.troubles] : [])).at(-1) ?? [];
      assert.deepEqual(after.map((text) => text.replace(/:.*/, '')), ['reflectTo 10.0.0.0/99', '"nowhere" is no IP address']);
    });
  });

  it('tells of answers that it cannot read, as long as it cannot', async () => {
    await withMonitors(async (monitors) => {
      let broken = true;
      const native = monitors.native.bind(monitors);
      monitors.native = (name) => {
        const inner = native(name);
        return {
          ...inner, udpSocket: (netns, options) => {
            const socket = inner.udpSocket(netns, options);
            const receive = socket.receiveMany.bind(socket);
            socket.receiveMany = (most) => {
              if (broken && name === 'a' && options.port !== 862) throw new SystemError('recvmmsg', 105, 'ENOBUFS', 'no buffer space');
              return receive(most);
            };
            return socket;
          },
        };
      };
      const a = monitors.start('a', watchPlan('a'));
      const told = (): readonly string[] | undefined => a.told.findLast((message) => message.kind === 'report')?.troubles;
      await monitors.network.advance(1500);
      assert.match(told()?.join() ?? '', /^answers to 192\.0\.2\.11 cannot be read: .*ENOBUFS/);
      broken = false;
      await monitors.network.advance(1000);
      assert.deepEqual(told(), []);
    });
  });

  it('goes on as before when it is told what it cannot read, and says so until it can again', async () => {
    await withMonitors(async (monitors) => {
      const [a] = [monitors.start('a', watchPlan('a')), monitors.start('b', watchPlan('b'))];
      const told = (): unknown => a.told.findLast((message) => message.kind === 'report')?.troubles;
      await monitors.network.advance(1500);
      const plan = { ...watchPlan('a'), alerts: { late: { metric: 'host.newer', rising: 1, falling: 1, hold: 0, severity: 'info' } } };
      a.monitor.hear({ kind: 'plan', plan, nics: [] });
      a.monitor.hear({ kind: 'query', id: 7, query: { points: 0 } });
      a.monitor.hear('?');
      a.monitor.hear({ kind: 'plan', plan, nics: [] });
      assert.deepEqual(a.told.flatMap((message) => (message.kind === 'no-answer' ? [[message.id, message.code]] : [])), [[7, 'MONITOR_LINE_INVALID']]);
      await monitors.network.advance(1000);
      assert.match(String(told()), /^what is to be watched now cannot be read, and it goes on as before: .*\/plan\/alerts\/late\/metric/);
      assert.equal(a.last().classes[0]?.answered, 100);
      a.monitor.hear({ kind: 'plan', plan: watchPlan('a'), nics: [] });
      await monitors.network.advance(1000);
      assert.deepEqual(told(), []);
    });
  });

  it('answers questions about what it keeps, or says why not', async () => {
    await withMonitors(async (monitors) => {
      const a = monitors.start('a');
      const query = { host: 'a', series: 'host/softirq', from: 0, to: 1, points: 10 };
      a.monitor.command({ kind: 'query', id: 7, query });
      a.monitor.command({ kind: 'query', id: 8, query: { ...query, series: 'x' } });
      await monitors.network.advance(1);
      assert.deepEqual(a.told.slice(1), [
        { kind: 'answer', id: 7, history: { ...query, kind: 'gauge', data: [] } },
        { kind: 'no-answer', id: 8, code: 'MONITOR_NO_SERIES', message: 'no x' },
      ]);
    });
  });

  it('probes a path that is sick more often, out of what is kept for that', async () => {
    await withMonitors(async (monitors) => {
      const probing = { ...watchPlan('a').probing, rate: 10 };
      const [a, b] = [monitors.start('a', watchPlan('a', { probing })), monitors.start('b', watchPlan('b', { probing }))];
      await monitors.network.advance(3000);
      assert.equal(a.last().rate, 10);
      let seen = 0;
      monitors.wire = (data, from, { port }) => !(data.length === PROBE && from === 'a' && port === 862 && ++seen % 10 === 0);
      await monitors.network.advance(6000);
      assert.ok(a.last().rate > 50 && a.last().rate <= 100, `${a.last().rate}`);
      assert.equal(b.last().rate, 10);
      assert.equal(a.last().quality.state, 'unfit');
    });
  });

  it('runs for hours of virtual time, once in 10 s and path', async () => {
    await withMonitors(async (monitors) => {
      const probing = { ...watchPlan('a').probing, rate: 0.1, leastRate: 0.1 };
      const [a] = [monitors.start('a', watchPlan('a', { probing })), monitors.start('b', watchPlan('b', { probing }))];
      for (let hour = 0; hour < 2; hour++) {
        await monitors.network.advance(3_600_000);
        assert.equal(a.last().window.answered, 6);
        a.told.length = 0;
        a.answers.length = 0;
      }
      assert.deepEqual(a.lines, []);
    });
  });
});
