/** The agent's side of BFD: what it tells its pulse, keeps on its disk and reports, on a pulse that lives in the test. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RouterKeeper } from '../../../src/agent/router-keeper.ts';
import type { SessionsCommand } from '../../../src/agent/session-desk.ts';
import { KeyUnusable } from '../../../src/agent/session-keys.ts';
import { silentLog } from '../../../src/base/log.ts';
import { ms } from '../../../src/base/units.ts';
import { MemoryFiles } from '../../../src/host/disk-memory.ts';
import { DurableDisk } from '../../../src/host/disk.ts';
import type { BfdSessionPlan, BfdStatus, BfdTransition } from '../../../src/model/bfd-session.ts';
import type { PeerOpinion } from '../../../src/protocol/failure-detector.ts';
import type { PulseMessage } from '../../../src/pulse/pulse-protocol.ts';
import type { BfdPhase } from '../../../src/wire/bfd.ts';
import { FakePulse } from './fake-pulse.ts';
import { ManualClock, drain } from './manual-clock.ts';

const plan = (name: string, more: Partial<BfdSessionPlan> = {}): BfdSessionPlan => ({
  name, peer: '192.0.2.9', way: { hops: 'single', interface: 'eth0' }, interval: 300, receive: 300, multiplier: 3, echoReceive: 50, ...more,
});
const withKeys = (...files: string[]): Partial<BfdSessionPlan> =>
  ({ authentication: { type: 'sha1', keys: files.map((file, id) => ({ id, file })) } });

const status = (state: BfdPhase): BfdStatus => ({
  state, since: 5, diagnostic: 'none', discriminator: 1, send: 300, receive: 300, detectionTime: 900,
  counters: { sent: 1, heard: 1, echoesSent: 0, echoesHeard: 0, ups: 0, downs: 0, dropped: {}, unsent: {} },
});

const opinion = (state: 'heard' | 'silent'): PeerOpinion => ({
  peer: 'h2', hearsOthers: true, health: { score: 0, worstLateness: ms(0), sleptAgo: undefined, unwell: false },
  paths: [{ path: 'main', state, silence: ms(0), timeout: ms(150), phi: 0, falseAlarmsPerDay: 0.01, probes: 1, arrivals: 1, heardThere: true }],
});

const said = (sessions: Record<string, BfdStatus>, opinions: readonly PeerOpinion[] = []): PulseMessage => ({ kind: 'sessions', sessions, drops: {}, opinions });
const transition = (sequence: number): BfdTransition => ({
  sequence, pulse: 'p1', session: 'upstream', at: 0, from: 'up', to: 'down', diagnostic: 'detection-expired', rule: 'test', lateness: { now: 0, worst: 0 },
});
const hello: PulseMessage = { kind: 'hello', pulse: 'p1', pid: 1, version: '1.0' };
const detector = { falseAlarmsPerDay: 1, floor: 100, ceiling: 2000 };

class World {
  readonly files = new MemoryFiles();
  readonly clock = new ManualClock();
  readonly pulses: FakePulse[] = [];
  readonly keys = new Map<string, string>();
  changes = 0;

  get pulse(): FakePulse {
    const pulse = this.pulses.at(-1);
    assert.ok(pulse, 'no pulse was started');
    return pulse;
  }

  agent(): RouterKeeper {
    return new RouterKeeper({
      version: '1.0',
      pulses: {
        attach: async () => {
          if (!this.pulses.at(-1)?.alive) this.pulses.push(new FakePulse());
          return this.pulse.link();
        },
        find: async () => (this.pulses.at(-1)?.alive ? this.pulse.link() : undefined),
        takeBack: async () => undefined,
      },
      disk: new DurableDisk(this.files), clock: this.clock, log: silentLog, changed: () => this.changes++,
      tracks: () => ({ want: () => undefined, known: () => ({}), close: async () => undefined }),
      notify: () => assert.fail('a session has no hook'),
      key: (file) => {
        const key = this.keys.get(file);
        if (key === undefined) throw new KeyUnusable(`${file} is not there`);
        return new TextEncoder().encode(key);
      },
    });
  }

  told(): SessionsCommand[] {
    return this.pulse.commands.filter((command) => command.kind === 'sessions');
  }
}

test('sessions alone need a pulse; they come up again without the server, with the detector that it wanted', async () => {
  const world = new World();
  let agent = world.agent();
  agent.wantSessions([plan('upstream')], detector);
  await drain();
  const wanted: SessionsCommand = { kind: 'sessions', sessions: [plan('upstream')], keys: {}, detector };
  assert.deepEqual(world.told(), [wanted]);
  agent.wantSessions([plan('upstream')], detector);
  agent.wantSessions(undefined, undefined);
  await drain();
  assert.equal(world.told().length, 1, 'what did not change is not told again');
  await agent.close();
  agent = world.agent();
  await drain();
  assert.equal(world.pulses.length, 1);
  assert.deepEqual(world.told().at(-1), wanted);
  agent.wantSessions([], undefined);
  await world.clock.advance(100);
  assert.equal(world.pulse.alive, false, 'nothing is wanted of it any more');
  assert.deepEqual(agent.sessions(), {});
  await agent.close();
});

test('a new detector is told by itself; until the server has said one, the usual is meant', async () => {
  const world = new World();
  const agent = world.agent();
  agent.wantSessions([plan('upstream')], undefined);
  await drain();
  agent.wantSessions(undefined, detector);
  assert.deepEqual(world.told().map((command) => command.detector), [{ falseAlarmsPerDay: 0.01, floor: 150, ceiling: 5000 }, detector]);
  await agent.close();
});

test('a key that cannot be used is told as the session\'s reason, and is told to the pulse as soon as it is there', async () => {
  const world = new World();
  const agent = world.agent();
  world.keys.set('one', 'secret');
  agent.wantSessions([plan('upstream', withKeys('one', 'two')), plan('other')], detector);
  await drain();
  assert.deepEqual(world.told().at(-1)?.keys, { one: Buffer.from('secret').toString('base64') });
  world.pulse.tell(said({ other: status('up') }));
  assert.deepEqual(Object.entries(agent.sessions() ?? {}).map(([name, { state, reason }]) => [name, state, reason]),
    [['other', 'up', undefined], ['upstream', 'down', 'two is not there']]);
  world.pulse.tell({ kind: 'refused-session', session: 'upstream', reason: 'its key 2 is not there' });
  await world.clock.advance(9500);
  assert.equal(world.told().length, 1);
  world.keys.set('two', 'other secret');
  await world.clock.advance(1000);
  assert.deepEqual(world.told().at(-1)?.keys['two'], Buffer.from('other secret').toString('base64'));
  world.pulse.tell(said({ other: status('up'), upstream: status('up') }));
  assert.equal(agent.sessions()?.['upstream']?.reason, undefined);
  world.keys.set('two', 'changed');
  agent.wantSessions([plan('upstream', withKeys('one', 'two')), plan('other')], detector);
  assert.deepEqual(world.told().at(-1)?.keys['two'], Buffer.from('changed').toString('base64'), 'looked at when it is wanted again');
  await agent.close();
});

test('one that the pulse refuses is told with its reason; a turn of a session or of a path is told at once', async () => {
  const world = new World();
  const agent = world.agent();
  agent.wantSessions([plan('upstream'), plan('bad')], detector);
  await drain();
  assert.deepEqual([agent.sessions(), agent.opinions()], [undefined, undefined], 'nothing is known yet');
  const turns: [string, PulseMessage][] = [
    ['the first word', said({ upstream: status('down') }, [opinion('heard')])],
    ['a session', said({ upstream: status('up') }, [opinion('heard')])],
    ['a path', said({ upstream: status('up') }, [opinion('silent')])],
    ['a refusal', { kind: 'refused-session', session: 'bad', reason: 'no such thing' }],
  ];
  for (const [what, message] of turns) {
    const before = world.changes;
    world.pulse.tell(message);
    assert.equal(world.changes, before + 1, what);
  }
  const before = world.changes;
  world.pulse.tell(said({ upstream: { ...status('up'), send: 20 } }, [{ ...opinion('silent'), hearsOthers: false }]));
  assert.equal(world.changes, before, 'a figure is not worth a report of its own');
  assert.equal(agent.sessions()?.['bad']?.reason, 'no such thing');
  assert.equal(agent.opinions()?.[0]?.hearsOthers, false);
  await agent.close();
});

test('a transition is of one count with those of routers, and is told until the server has it', async () => {
  const world = new World();
  let agent = world.agent();
  agent.wantSessions([plan('upstream')], detector);
  await drain();
  world.pulse.tell(hello);
  world.pulse.tell({ kind: 'session-transition', transition: transition(3) });
  await drain();
  assert.deepEqual(world.pulse.commands.filter(({ kind }) => kind === 'seen'), [{ kind: 'seen', sequence: 3 }]);
  await agent.close();
  agent = world.agent();
  assert.deepEqual(agent.transitions(), [transition(3)]);
  agent.acknowledged({ pulse: 'p1', sequence: 3 });
  assert.deepEqual(agent.transitions(), []);
  await agent.close();
});

test('sessions that flap leave a router\'s transition alone', async () => {
  const world = new World();
  const agent = world.agent();
  agent.wantSessions([plan('upstream')], detector);
  await drain();
  world.pulse.tell(hello);
  world.pulse.tell({
    kind: 'transition',
    transition: { sequence: 1, pulse: 'p1', router: 'gw', at: 0, from: 'backup', to: 'active', rule: 'test', priority: 1, adverts: [], lateness: { now: 0, worst: 0 }, link: 'up', down: [] },
  });
  for (let sequence = 2; sequence <= 602; sequence++) world.pulse.tell({ kind: 'session-transition', transition: transition(sequence) });
  const kept = agent.transitions();
  assert.deepEqual([kept.length, kept[0]?.sequence, kept[1]?.sequence, kept.at(-1)?.sequence], [501, 1, 103, 602]);
  await agent.close();
});

test('a pulse that dies: its sessions that were up are told to be down, and nothing is known of anybody', async () => {
  const world = new World();
  const agent = world.agent();
  agent.wantSessions([plan('upstream'), plan('h2/main')], detector);
  await drain();
  world.pulse.tell(hello);
  world.pulse.tell(said({ upstream: status('up'), 'h2/main': status('down') }, [opinion('heard')]));
  world.pulse.die();
  await drain();
  const told = agent.transitions().map((one) => [one.pulse, one.sequence, 'session' in one && one.session, one.from, one.to]);
  assert.deepEqual(told, [['p1-died', 1, 'upstream', 'up', 'down']]);
  assert.deepEqual([agent.sessions(), agent.opinions()], [undefined, undefined]);
  await world.clock.advance(100);
  assert.equal(world.told().length, 1, 'the next one is told all of it');
  await agent.close();
});

test('a pulse that says nothing for 3 s: what its sessions are, and whom they hear, is not known', async () => {
  const world = new World();
  const agent = world.agent();
  agent.wantSessions([plan('upstream')], detector);
  await drain();
  world.pulse.tell(said({ upstream: status('up') }, [opinion('heard')]));
  await world.clock.advance(2500);
  assert.ok(agent.sessions() && agent.opinions());
  await world.clock.advance(1000);
  assert.deepEqual([agent.sessions(), agent.opinions()], [undefined, undefined]);
  await agent.close();
});

test('a file that cannot be read: routers come up, and sessions that run are left alone until the server says', async () => {
  const world = new World();
  let agent = world.agent();
  agent.wantSessions([plan('upstream')], detector);
  await drain();
  await agent.close();
  new DurableDisk(world.files).write('sessions.json', new TextEncoder().encode('{"version":2}'));
  agent = world.agent();
  await drain();
  assert.deepEqual([world.pulse.alive, world.told().length], [true, 1]);
  agent.want([]);
  await drain();
  assert.ok(world.pulse.alive, 'no router is wanted, and of sessions nothing is known');
  agent.wantSessions([plan('upstream', { multiplier: 7 })], detector);
  await drain();
  assert.equal(world.told().at(-1)?.sessions[0]?.multiplier, 7);
  await agent.close();
});
