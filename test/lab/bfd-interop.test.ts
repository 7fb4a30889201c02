/**
 * Godwit (h1) and FRR's bfdd (h2) as the ends of BFD sessions, through everything in which they must agree. What they send is read from
 * the wire; what they think, from themselves. Authentication is not here: bfdd 8.4 has none.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { BfdLab, lanAddress, lanAddress6, multihopAddress } from '../../src/lab/bfd-lab.ts';
import { type WireBfd, detectionTime } from '../../src/lab/bfd-packet.ts';
import { frrMultihop, frrSession, pulseMultihop, pulseSession } from '../../src/lab/bfd-peer.ts';
import type { BfdWatch } from '../../src/lab/bfd-watch.ts';
import { FrrBfdd, type FrrBfdPeer, type FrrBfdStatus } from '../../src/lab/frr-bfd.ts';
import { ip } from '../../src/lab/namespaces.ts';
import { PulsePeer } from '../../src/lab/pulse-peer.ts';
import type { BfdSessionPlan, BfdStatus } from '../../src/model/bfd-session.ts';
import { kernelNative } from '../../src/native/kernel.ts';
import { writeSysctl } from '../../src/host/sysctl.ts';
import { decodeBfd } from '../../src/wire/bfd.ts';
import { type IpAddress, parseIpAddress } from '../../src/wire/ip-address.ts';
import { formatIpv6 } from '../../src/wire/ip-address-text.ts';
import { until } from './host-fixture.ts';

const [ONE, TWO] = [lanAddress(1), lanAddress(2)];

interface Ends {
  readonly lab: BfdLab;
  readonly watch: BfdWatch;
  readonly pulse: PulsePeer;
  readonly bfdd: FrrBfdd;
}

async function withEnds(sessions: readonly BfdSessionPlan[], peers: readonly FrrBfdPeer[], test: (ends: Ends) => Promise<void>): Promise<void> {
  const lab = await BfdLab.open(kernelNative(), { hosts: 2 });
  try {
    // Echoes to itself, which a neighbour is to send back: bfdd leaves that to its kernel.
    writeSysctl(lab.host(2).host, 'ipv4/ip_forward', 1);
    for (const which of ['all', 'lan']) writeSysctl(lab.host(2).host, `ipv4/conf/${which}/send_redirects`, 0);
    const watch = lab.watch();
    try {
      const pulse = await PulsePeer.start(lab.host(1), lab.directory, []);
      const bfdd = await FrrBfdd.start(lab.host(2).host, lab.directory, peers);
      await pulse.configureSessions(sessions);
      await test({ lab, watch, pulse, bfdd });
      assert.equal(watch.drops(), 0, 'the watch saw every packet');
    } finally {
      watch.close();
    }
  } finally {
    lab.close();
  }
}

const frrSays = (bfdd: FrrBfdd, peer: string, holds: (status: FrrBfdStatus) => boolean): Promise<void> => {
  let last: FrrBfdStatus | undefined;
  return until(() => `bfdd says of ${peer}: ${JSON.stringify(last)}`, async () => {
    last = (await bfdd.status())[peer];
    return last !== undefined && holds(last);
  }, { limit: 15_000, every: 20 });
};
const pulseSays = (pulse: PulsePeer, name: string, what: string, holds: (status: BfdStatus) => boolean): Promise<void> =>
  pulse.until(`${name} ${what}`, () => {
    const status = pulse.sessions[name];
    return status !== undefined && holds(status);
  }, 15_000);

/** Both say Up. */
async function bothUp({ pulse, bfdd }: Ends, ...sessions: readonly { readonly own: string; readonly peer: string }[]): Promise<void> {
  for (const { own, peer } of sessions) {
    await pulseSays(pulse, peer, 'is up', ({ state }) => state === 'up');
    await frrSays(bfdd, own, ({ status }) => status === 'up');
  }
}

/** Control packets that left a host. */
const sent = (watch: BfdWatch, host: string): WireBfd[] => watch.drain().filter((p) => p.host === host && p.direction === 'from' && p.control);

describe('BFD with FRR', () => {
  it('comes up over IPv4, IPv6 and several hops, at the slower of what both want, with GTSM', () => withEnds(
    [pulseSession(2, { interval: 40, receive: 60 }), pulseSession(2, { name: lanAddress6(2), peer: lanAddress6(2) }), pulseMultihop(1, 2)],
    [frrSession(1), frrSession(1, { peer: lanAddress6(1), way: { hops: 'single', interface: 'lan', local: lanAddress6(2) } }), frrMultihop(2, 1)],
    async (ends) => {
      const { watch, pulse, bfdd } = ends;
      await bothUp(ends, { own: ONE, peer: TWO }, { own: lanAddress6(1), peer: lanAddress6(2) }, { own: multihopAddress(1), peer: multihopAddress(2) });
      await pulseSays(pulse, TWO, 'has agreed', ({ send, receive, detectionTime: time }) => send === 50 && receive === 60 && time === 180);
      const status = (await bfdd.status())[ONE];
      assert.deepEqual([status?.['remote-receive-interval'], status?.['remote-transmit-interval'], status?.['remote-detect-multiplier']], [60, 40, 3]);
      assert.deepEqual([...new Set(sent(watch, 'h1').map(({ ttl }) => ttl))], [255], 'what Godwit sends has TTL 255');
      goldenBytes(watch);
      const dropped = Object.values(pulse.sessions).flatMap(({ counters }) => Object.entries(counters.dropped));
      assert.deepEqual(dropped, [], 'Godwit refused nothing of bfdd');
    },
  ));

  it('goes down by silence at both ends, each by its own detection time, and comes back', () => withEnds([pulseSession(2)], [frrSession(1)], async (ends) => {
    const { lab, watch, pulse, bfdd } = ends;
    await bothUp(ends, { own: ONE, peer: TWO });
    const isDown = (p: WireBfd): boolean => p.direction === 'from' && p.control?.state === 'down';
    const downs = ['h1', 'h2'].map((host) => watch.until(`${host} says Down`, (p) => p.host === host && isDown(p)));
    await lab.silence(lab.host(2));
    for (const down of await Promise.all(downs)) {
      const last = watch.drain().findLast((p) => p.host === down.host && p.direction === 'to' && p.control && p.at < down.at);
      const own = sent(watch, down.host).findLast((p) => p.at < down.at);
      assert.ok(last?.control && own?.control, `${down.host} heard and spoke before`);
      assert.ok(down.at - last.at >= detectionTime(own.control, last.control), `${down.host} waited its detection time: ${down.at - last.at}`);
      assert.equal(down.control?.diagnostic, 1, 'Control Detection Time Expired');
    }
    await pulseSays(pulse, TWO, 'is down for 150 ms of silence', ({ state, diagnostic, lastDown }) =>
      state === 'down' && diagnostic === 'detection-expired' && (lastDown?.silence ?? 0) >= 150);
    await frrSays(bfdd, ONE, ({ status, diagnostic }) => status === 'down' && diagnostic === 'control detection time expired');
    await lab.heal(lab.host(2));
    await bothUp(ends, { own: ONE, peer: TWO });
  }));

  it('goes down when a switch port loses its light, and comes back', () => withEnds([pulseSession(2)], [frrSession(1)], async (ends) => {
    await bothUp(ends, { own: ONE, peer: TWO });
    ends.lab.cut(ends.lab.host(1));
    await pulseSays(ends.pulse, TWO, 'is down', ({ state }) => state === 'down');
    await frrSays(ends.bfdd, ONE, ({ status }) => status === 'down');
    ends.lab.mend(ends.lab.host(1));
    await bothUp(ends, { own: ONE, peer: TWO });
  }));

  it('is told of AdminDown, both ways, and forgets it', () => withEnds([pulseSession(2)], [frrSession(1)], async (ends) => {
    const { pulse, bfdd } = ends;
    await bothUp(ends, { own: ONE, peer: TWO });
    await bfdd.shutdown(ONE, true);
    await pulseSays(pulse, TWO, 'hears AdminDown', ({ state, remote }) => state === 'down' && remote?.state === 'admin-down');
    assert.equal(pulse.sessionTransitions.at(-1)?.diagnostic, 'neighbor-down');
    await bfdd.shutdown(ONE, false);
    await bothUp(ends, { own: ONE, peer: TWO });

    await pulse.configureSessions([pulseSession(2, { disabled: 'maintenance' })]);
    await pulseSays(pulse, TWO, 'is administratively down', ({ state, reason }) => state === 'admin-down' && (reason ?? '').includes('maintenance'));
    await frrSays(bfdd, ONE, ({ status, diagnostic }) => status === 'down' && diagnostic === 'neighbor signaled session down');
    await pulse.configureSessions([pulseSession(2)]);
    await bothUp(ends, { own: ONE, peer: TWO });
  }));

  it('loops the other\'s echoes, both ways, and is down when they cease', () => withEnds(
    [pulseSession(2, { echo: 50, echoReceive: 50 })], [frrSession(1, { echo: 50 })],
    async (ends) => {
      const { lab, watch, pulse, bfdd } = ends;
      await bothUp(ends, { own: ONE, peer: TWO });
      await pulseSays(pulse, TWO, 'has its echoes back', ({ echo, counters }) =>
        echo?.active === true && echo.roundTrip !== undefined && counters.echoesHeard >= 10);
      const back = async (): Promise<number> => (await bfdd.counters())[ONE]?.['echo-packet-input'] ?? 0;
      await until('bfdd to have its echoes back', async () => (await back()) >= 10, { every: 50, limit: 10_000 });
      assert.equal(pulse.sessions[TWO]?.counters.downs, 0);
      const down = watch.until('Godwit says Down', (p) => p.host === 'h1' && p.direction === 'from' && p.control?.state === 'down');
      // Echoes alone.
      writeSysctl(lab.host(2).host, 'ipv4/ip_forward', 0);
      assert.equal((await down).control?.diagnostic, 2, 'Echo Function Failed');
    },
  ));

  it('does not take for a neighbour\'s what came from further away', () => withEnds([pulseSession(2)], [frrSession(1)], async (ends) => {
    const { lab, pulse } = ends;
    await bothUp(ends, { own: ONE, peer: TWO });
    // From now on by way of the router, which takes one from the TTL.
    ip('-n', lab.host(2).namespace, 'route', 'add', `${ONE}/32`, 'via', lanAddress(250), 'dev', 'lan');
    await pulseSays(pulse, TWO, 'is down', ({ state, diagnostic }) => state === 'down' && diagnostic === 'detection-expired');
  }));
});

/** Each packet of bfdd means to Godwit's codec what the lab's own reader reads. */
function goldenBytes(watch: BfdWatch): void {
  const bfdd = sent(watch, 'h2');
  assert.ok(bfdd.length > 10);
  for (const packet of bfdd) {
    const address = (text: string): IpAddress => parseIpAddress(packet.family === 4 ? text : formatIpv6(Buffer.from(text, 'hex')));
    const [peer, local] = [address(packet.source), address(packet.destination)];
    const path = packet.port === 3784 ? { hops: 'single', peer, interface: 'lan' } as const : { hops: 'multi', peer, local, minTtl: 254 } as const;
    const heard = decodeBfd(
      { source: peer, destination: local, interface: 'lan', port: packet.port, ttl: packet.ttl, payload: packet.payload },
      () => ({ path, authentication: undefined, lastSequence: undefined }), (bytes) => createHash('sha1').update(bytes).digest(),
    );
    assert.equal(heard.kind, 'control');
    if (heard.kind !== 'control') continue;
    const { state, detectMult, myDiscriminator, desiredMinTx, requiredMinRx } = heard.control;
    const { state: wireState, multiplier, discriminator, desiredMinTx: tx, requiredMinRx: rx } = packet.control ?? assert.fail('a control packet');
    assert.deepEqual([state, detectMult, myDiscriminator, desiredMinTx, requiredMinRx], [wireState, multiplier, discriminator, tx, rx]);
  }
}
