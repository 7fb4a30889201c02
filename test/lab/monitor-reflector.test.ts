/** Reflectors as others see them, and monitors that end and come back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReceivedDatagram, UdpSocket } from '../../src/native/udp.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { until } from './host-fixture.ts';
import { watchPlan, withMonitorLab } from './monitor-fixture.ts';

/** RFC 5357 §4.1.2: sequence number, NTP timestamp, error estimate; nothing else. */
function twampLightProbe(sequence: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(14));
  view.setUint32(0, sequence);
  view.setBigUint64(4, 0xe8d4a51000000000n + BigInt(sequence));
  view.setUint16(12, 0x0001);
  return new Uint8Array(view.buffer);
}

test('a TWAMP-Light sender of a named network is answered, one of another is not', async () => {
  await withMonitorLab(async (lab) => {
    for (const other of ['10.77.0.90', '10.77.0.200']) lab.a.addresses.add(lab.a.links.get('main').index, parseIpAddress(other), 24);
    const b = lab.start('b', watchPlan('b', { peers: [], probing: { ...watchPlan('b').probing, reflectTo: ['10.77.0.64/26'] } }));
    await until('a first report', () => b.reports.length > 0, { limit: 15_000, every: 20 });
    assert.deepEqual(b.reports.at(-1)?.troubles, []);
    const socket = (text: string): UdpSocket =>
      lab.bench.owned(lab.bench.native.udpSocket(lab.a.netns, { family: 4, address: parseIpAddress(text).bytes(), ttl: 255 }));
    const [admitted, stranger] = [socket('10.77.0.90'), socket('10.77.0.200')];
    const to = { address: parseIpAddress('10.77.0.2').bytes(), port: 862, dscp: 10 };
    const answers: ReceivedDatagram[] = [];
    for (let n = 0; n < 3; n++) {
      stranger.send(twampLightProbe(n), to);
      admitted.send(twampLightProbe(7 + n), to);
      await until('an answer', () => {
        const answer = admitted.receive();
        if (answer) answers.push(answer);
        return answers.length > n;
      });
    }
    assert.equal(stranger.receive(), undefined);
    const read = answers.map(({ data, ttl, dscp }) => {
      const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
      return { length: data.length, ttl, dscp, own: view.getUint32(0), probe: view.getUint32(24), echo: view.getBigUint64(28), estimate: view.getUint16(36), probeTtl: view.getUint8(40) };
    });
    assert.deepEqual(read, [0, 1, 2].map((n) => (
      { length: 44, ttl: 255, dscp: 10, own: n, probe: 7 + n, echo: 0xe8d4a51000000000n + BigInt(7 + n), estimate: 1, probeTtl: 255 })));
  });
});

test('a peer whose monitor is gone is unknown and not sick; a killed monitor comes back by itself, and its path with it', async () => {
  await withMonitorLab(async (lab) => {
    const [a, b] = [lab.start('a', watchPlan('a')), lab.start('b', watchPlan('b'))];
    for (const monitor of [a, b]) await monitor.shows('main', 'fit', ({ quality, classes }) => quality.state === 'fit' && (classes[0]?.answered ?? 0) > 90);
    const { pid } = b.client;
    assert.ok(pid !== undefined);
    process.kill(pid, 'SIGKILL');
    await a.shows('main', 'nobody there', ({ quality }) => quality.state === 'unknown', { every: 5 });
    await until('its end to be told', () => b.ends.length === 1);
    assert.match(b.ends[0] ?? '', /^was ended by SIGKILL$/);
    const back = await a.shows('main', 'fit again', ({ quality }) => quality.state === 'fit');
    assert.notEqual(b.client.pid, pid);
    assert.deepEqual(a.turns.filter(({ path }) => path === 'main').map(({ from, to }) => `${from} ${to}`), ['fit unknown', 'unknown fit']);
    assert.equal(back.window.lost.backward, 0);
    await b.shows('main', 'its plan was told anew', ({ quality }) => quality.state === 'fit');
  });
});

test('a host that is gone is down within seconds', async () => {
  await withMonitorLab(async (lab) => {
    const a = lab.start('a', watchPlan('a'));
    lab.start('b', watchPlan('b'));
    await a.shows('alt', 'fit', ({ quality, classes }) => quality.state === 'fit' && (classes[0]?.answered ?? 0) > 90);
    lab.filter('b', 'iifname "alt" drop');
    await until('a turn to down', () => a.turns.some(({ path, to }) => path === 'alt' && to === 'down'));
    lab.filter('b', 'counter');
    await until('a turn back', () => a.turns.some(({ path, from }) => path === 'alt' && from === 'down'));
    assert.ok(a.turns.every(({ path }) => path === 'alt'));
    assert.deepEqual(a.turns.map(({ sequence }) => sequence), a.turns.map((_, at) => at + 1));
  });
});
