/** Hosts: joining, two agents under one name, and what is written how often. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseJoinToken } from '../../../src/trust/join-token.ts';
import { Agent, ControlWorld, codeOf, vmOn } from './world.ts';

test('a join token lets one host in, once, and in time', async () => {
  const world = await ControlWorld.open([]);
  const spec = { address: '10.0.0.9' };
  const { token } = await world.plane.createToken(1000);
  const { id, secret } = parseJoinToken(token);
  assert.equal(await codeOf(world.plane.admit('host-a', spec, id, `${secret}x`)), 'CONTROL_TOKEN_INVALID');
  assert.equal(await codeOf(world.plane.admit('host a', spec, id, secret)), 'CONTROL_INVALID');
  await world.plane.admit('host-a', spec, id, secret);
  assert.equal(await codeOf(world.plane.admit('host-b', spec, id, secret)), 'CONTROL_TOKEN_INVALID');
  const second = parseJoinToken((await world.plane.createToken(1000)).token);
  assert.equal(await codeOf(world.plane.admit('host-a', spec, second.id, second.secret)), 'CONTROL_HOST_EXISTS');
  await world.clock.advance(1000);
  assert.equal(await codeOf(world.plane.admit('host-b', spec, second.id, second.secret)), 'CONTROL_TOKEN_INVALID');
  const third = parseJoinToken((await world.plane.createToken(100)).token);
  await world.clock.advance(100);
  assert.equal(await codeOf(world.plane.admit('host-b', spec, third.id, third.secret)), 'CONTROL_TOKEN_INVALID');
  await world.clock.advance(1000);
  assert.equal((await world.store.list('/tokens/')).entries.length, 0);
  // Whoever asks is told the same each time; the log is told which.
  assert.deepEqual(world.logged, [
    { host: 'host-a', token: id, reason: 'its secret is wrong' },
    { host: 'host-b', token: id, reason: 'there is none of this id: used, expired, or never made here' },
    { host: 'host-b', token: second.id, reason: 'there is none of this id: used, expired, or never made here' },
    { host: 'host-b', token: third.id, reason: 'it has expired' },
  ]);
  for (const ttl of [25 * 3_600_000, 0, -1, NaN, Infinity]) assert.equal(await codeOf(world.plane.createToken(ttl)), 'CONTROL_TOKEN_TTL');
  await world.close();
});

test('of two agents with one name the one that is heard stays, and the other is refused and told of', async () => {
  const world = await ControlWorld.open(['host-a']);
  const first = world.agent('host-a');
  const second = new Agent(world, 'host-a', 'host-a-2');
  for (let i = 0; i < 6; i++) {
    assert.equal(await codeOf(second.report()), 'CONTROL_AGENT_DUPLICATE');
    assert.equal((await second.wanted()).instance, 'host-a-1', 'what is wanted is not for the second');
    await world.clock.advance(500);
    assert.equal(await codeOf(second.report()), 'CONTROL_AGENT_DUPLICATE');
    await world.clock.advance(500);
    await first.report();
    assert.equal((await world.events()).filter((e) => e === 'AgentDuplicate').length, i < 5 ? 0 : 1, 'for a while it may be a restart');
  }
  // Also by a server that knows neither yet.
  await world.restart();
  assert.equal(await codeOf(second.report()), 'CONTROL_AGENT_DUPLICATE');
  await first.report();
  await world.close();
});

test('an agent that was started anew is heard when the former has been silent; should that speak again, it is refused', async () => {
  const world = await ControlWorld.open(['host-a']);
  const first = world.agent('host-a');
  const second = new Agent(world, 'host-a', 'host-a-2');
  assert.equal(await codeOf(second.report()), 'CONTROL_AGENT_DUPLICATE');
  await world.clock.advance(2000);
  await second.report();
  assert.equal((await second.wanted()).instance, 'host-a-2');
  assert.equal(await codeOf(first.report()), 'CONTROL_AGENT_DUPLICATE');
  assert.ok(!(await world.events()).includes('AgentDuplicate'), 'the first may have been under way');
  assert.equal(await codeOf(first.report()), 'CONTROL_AGENT_DUPLICATE');
  assert.equal(await codeOf(first.report()), 'CONTROL_AGENT_DUPLICATE');
  assert.equal((await world.events()).filter((e) => e === 'AgentDuplicate').length, 1);
  await world.restart();
  assert.equal(await codeOf(first.report()), 'CONTROL_AGENT_DUPLICATE');
  await second.report();
  assert.equal((await world.plane.get('Host', 'host-a')).status?.agent.instance, 'host-a-2');
  await world.close();
});

test('what was heard to run is not to be booted by an agent that knows nothing of it', async () => {
  const world = await ControlWorld.open(['host-a']);
  await world.plane.apply([vmOn('web-1', { host: 'host-a' })]);
  assert.equal((await world.agent('host-a').wanted()).vms[0]?.heard, undefined);
  await world.agent('host-a').run();
  assert.equal((await world.agent('host-a').wanted()).vms[0]?.heard, true);
  // An order of a person to start it again is a new one.
  world.agent('host-a').vms = [{ ...world.agent('host-a').vms[0]!, state: 'ended', reason: 'crashed' }];
  await world.agent('host-a').report();
  await world.plane.start('web-1');
  const [again] = (await world.agent('host-a').wanted()).vms;
  assert.deepEqual([again?.running, again?.heard, again?.placement.start], [true, undefined, 2]);
  await world.close();
});

test('an older report of the same agent changes nothing', async () => {
  const world = await ControlWorld.open(['host-a']);
  await world.running('host-a', 'web-1');
  const agent = world.agent('host-a');
  const early = agent.next();
  agent.vms = [{ ...agent.vms[0]!, state: 'ended', reason: 'crashed' }];
  await agent.report();
  await world.plane.report('host-a', early);
  assert.equal((await world.vm('web-1')).state, 'failed');
  await world.close();
});

test('what changes all the time is shown at once, and written every 10 s in one transaction', async () => {
  const world = await ControlWorld.open(['host-a', 'host-b', 'host-c']);
  const before = (await world.store.list('/')).revision;
  for (let i = 1; i <= 20; i++) {
    for (const agent of world.agents.values()) agent.facts = { freeMemory: i };
    await world.live(1000);
  }
  assert.equal((await world.plane.get('Host', 'host-b')).status?.freeMemory, 20);
  assert.equal((await world.store.list('/')).revision - before, 2);
  await world.close();
});

test('hosts and networks in use stay; an unknown host is told how to join', async () => {
  const world = await ControlWorld.open(['host-a']);
  await world.plane.apply([{ kind: 'Network', name: 'lan', spec: { bridge: 'br0' } }, vmOn('web-1', { nics: [{ network: 'lan', mac: '52:54:00:00:00:01' }] })]);
  assert.equal(await codeOf(world.plane.remove('Network', 'lan')), 'CONTROL_IN_USE');
  assert.equal(await codeOf(world.plane.remove('Host', 'host-a')), 'CONTROL_IN_USE');
  assert.equal(await codeOf(world.plane.remove('Event', '1')), 'CONTROL_NOT_DELETABLE');
  await world.agent('host-a').run();
  await world.plane.stop('web-1');
  await world.agent('host-a').run();
  await world.plane.remove('Host', 'host-a');
  assert.equal(await codeOf(world.agent('host-a').report()), 'CONTROL_HOST_UNKNOWN');
  await world.plane.remove('Vm', 'web-1');
  await world.plane.remove('Network', 'lan');
  assert.deepEqual(await world.plane.list('Network'), []);
  await world.close();
});
