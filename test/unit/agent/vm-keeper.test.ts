import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VmAbsent, VmBusy } from '../../../src/agent/errors.ts';
import { DiskFull } from '../../../src/host/disk.ts';
import type { WantedMove } from '../../../src/api/agent-protocol.ts';
import { ms } from '../../../src/base/units.ts';
import { type FakeAgent, FakeQemu, World, vm } from './keeper-world.ts';
import { drain } from './manual-clock.ts';

const DOWN = { running: false } as const;

async function running(): Promise<{ world: World; agent: FakeAgent }> {
  const world = new World();
  const agent = world.agent();
  await agent.want(vm('web'));
  assert.deepEqual(agent.report('web'), { state: 'running', at: '1.1' });
  return { world, agent };
}

test('starts a VM once per order, and not again when it ended', async () => {
  const { world, agent } = await running();
  await agent.want(vm('web'));
  world.qemu('web').end('kernel panic');
  await drain();
  assert.deepEqual(agent.report('web'), { state: 'ended', reason: 'kernel panic', at: '1.1' });
  await agent.want(vm('web'));
  assert.deepEqual(world.boots, ['web/1']);
  await agent.want(vm('web', 2));
  assert.deepEqual(world.boots, ['web/1', 'web/2']);
  assert.deepEqual(agent.report('web'), { state: 'running', at: '1.2' });
});

test('a start that fails says why and is not tried again', async () => {
  const world = new World();
  const agent = world.agent();
  world.onStart = () => {
    throw new Error('no such bridge');
  };
  await agent.want(vm('web'));
  world.onStart = () => undefined;
  await agent.want(vm('web'));
  assert.deepEqual(world.boots, []);
  const report = agent.report('web');
  assert.equal(report.state, 'ended');
  assert.match(report.reason ?? '', /did not start.*no such bridge/);
  await agent.want(vm('bad', 1, { spec: { ...vm('bad').spec, nics: [{ network: 'wan', mac: '52:54:00:00:00:01' }] } }));
  assert.match(agent.report('bad').reason ?? '', /MODEL_VM_SPEC/);
});

test('stop: asks, waits 30 s, then kills; stopped is not ended', async () => {
  const { world, agent } = await running();
  const qemu = world.qemu('web');
  qemu.obedient = false;
  await agent.want(vm('web', 1, DOWN));
  await agent.clock.advance(29_900);
  assert.deepEqual([qemu.asked, qemu.ended], [1, false]);
  assert.throws(() => agent.keeper.take('web', 'abc120'), VmBusy);
  await agent.clock.advance(200);
  assert.equal(qemu.words, 'killed');
  assert.deepEqual(agent.report('web'), { state: 'stopped', at: '1.1' });
  assert.deepEqual((await restarted(world)).report('web'), { state: 'stopped', at: '1.1' });
});

test('stop: an obedient guest is not killed, force does not ask, and can come later', async () => {
  const { world, agent } = await running();
  const first = world.qemu('web');
  await agent.want(vm('web', 1, DOWN));
  assert.equal(first.words, 'powered down');
  await agent.want(vm('web', 2));
  const second = world.qemu('web');
  await agent.want(vm('web', 2, { running: false, force: true }));
  assert.deepEqual([second.asked, second.words], [0, 'killed']);
  await agent.want(vm('web', 3));
  const third = world.qemu('web');
  third.obedient = false;
  await agent.want(vm('web', 3, DOWN));
  await agent.want(vm('web', 3, { running: false, force: true }));
  assert.deepEqual([third.asked, third.words], [1, 'killed']);
});

test('wanted again while it goes down: started anew when it has gone, left running when it stays', async () => {
  const { world, agent } = await running();
  const qemu = world.qemu('web');
  qemu.obedient = false;
  await agent.want(vm('web', 1, DOWN));
  await agent.want(vm('web', 2));
  await agent.clock.advance(5000);
  assert.deepEqual(world.boots, ['web/1']);
  qemu.end();
  await drain();
  assert.deepEqual(world.boots, ['web/1', 'web/2']);
  const next = world.qemu('web');
  next.obedient = false;
  await agent.want(vm('web', 2, DOWN));
  await agent.want(vm('web', 3));
  await agent.clock.advance(40_000);
  assert.equal(next.ended, false);
  assert.deepEqual(agent.report('web'), { state: 'running', at: '1.3' });
});

test('a VM that is not listed runs on: an empty server ends nothing', async () => {
  const { world, agent } = await running();
  await agent.want();
  await agent.clock.advance(100_000);
  assert.ok(world.alive('web'));
  assert.deepEqual(agent.report('web'), { state: 'running', at: '1.1' });
});

test('orders older than what is known are not followed', async () => {
  const { world, agent } = await running();
  await agent.want(vm('web', 2, { epoch: 3 }));
  assert.deepEqual(agent.report('web'), { state: 'running', at: '3.2' });
  await agent.want(vm('web', 1, { ...DOWN, epoch: 3 }));
  await agent.want(vm('web', 5, { removed: true, running: false, epoch: 2 }));
  assert.equal(world.qemu('web').asked, 0);
});

test('removed: ended, told, forgotten when it is not listed any more; the name can be used again', async () => {
  const { world, agent } = await running();
  await agent.want(vm('web', 1, { running: false, removed: true }));
  assert.deepEqual(agent.report('web'), { state: 'gone', at: '1.1' });
  await agent.want(vm('web', 1));
  assert.equal(world.alive('web'), undefined);
  await agent.want();
  assert.deepEqual([agent.keeper.reports(), agent.state.vms()], [[], []]);
  await agent.want(vm('web', 1, { epoch: 9 }));
  assert.deepEqual(agent.report('web'), { state: 'running', at: '9.1' });
  await agent.want(vm('web', 1, { epoch: 9 }), vm('never', 1, { running: false, removed: true }));
  assert.deepEqual(agent.report('never'), { state: 'gone', at: '1.1' });
});

test('at most 4 start at a time, all of many start', async () => {
  const world = new World();
  const agent = world.agent();
  world.onStart = () => drain();
  const names = Array.from({ length: 30 }, (_, i) => `vm-${i}`);
  agent.keeper.want({ vms: names.map((name) => vm(name)), moves: [] });
  await agent.keeper.idle();
  assert.equal(world.mostStarting, 4);
  assert.equal(new Set(world.boots).size, 30);
});

test('the end of the agent touches nothing, and the next one adopts', async () => {
  const { world, agent } = await running();
  await agent.keeper.close();
  assert.equal(agent.clock.sleepers, 0);
  const next = await restarted(world);
  assert.deepEqual(next.report('web'), { state: 'running', at: '1.1' });
  world.qemu('web').end('later');
  await drain();
  assert.equal(next.report('web').reason, 'later');
});

test('what ended while no agent was there is told so', async () => {
  const { world } = await running();
  world.qemu('web').end();
  assert.match((await restarted(world)).report('web').reason ?? '', /while nobody looked/);
});

for (const when of ['before', 'after'] as const) {
  test(`the agent crashed ${when} QEMU came up: ${when === 'before' ? 'told so, not tried again' : 'adopted'}`, async () => {
    const world = new World();
    const agent = world.agent();
    world.onStart = (at) => {
      if (at === when) agent.crashed = true;
    };
    await agent.want(vm('web'));
    world.onStart = () => undefined;
    const next = await restarted(world);
    await next.want(vm('web'));
    if (when === 'after') assert.deepEqual(next.report('web'), { state: 'running', at: '1.1' });
    else assert.deepEqual(next.report('web'), { state: 'ended', reason: 'the agent was restarted while it started it', at: '1.1' });
    await next.want(vm('web', 2));
    assert.deepEqual(world.boots, when === 'after' ? ['web/1'] : ['web/2']);
  });
}

test('a QEMU whose record was lost is adopted, not doubled', async () => {
  const { world } = await running();
  world.files = new World().files;
  const next = await restarted(world);
  await next.want(vm('web'));
  assert.deepEqual(next.report('web'), { state: 'running', at: '1.1' });
  assert.deepEqual(world.boots, ['web/1']);
});

test('one whose start the server has heard of, and neither record nor QEMU is here: not booted, said so; a new order boots it', async () => {
  const { world } = await running();
  world.files = new World().files;
  world.qemu('web').end();
  const next = await restarted(world);
  await next.want(vm('web', 1, { heard: true }));
  const { state, at, reason } = next.report('web');
  assert.deepEqual([state, at, world.boots], ['ended', '1.1', ['web/1']]);
  assert.match(reason ?? '', /neither its QEMU nor a record of it: look whether it runs/);
  await next.want(vm('web', 2));
  assert.deepEqual([next.report('web'), world.boots], [{ state: 'running', at: '1.2' }, ['web/1', 'web/2']]);
});

test('one whose start the server has heard of, with its QEMU and no record: adopted', async () => {
  const { world } = await running();
  world.files = new World().files;
  const next = await restarted(world);
  await next.want(vm('web', 1, { heard: true }));
  assert.deepEqual([next.report('web'), world.boots], [{ state: 'running', at: '1.1' }, ['web/1']]);
});

test('a QEMU that an agent which died had started, and that shows only now: adopted', async () => {
  const world = new World();
  const agent = world.agent();
  world.onStart = (when, started) => void (when === 'before' && world.qemus.set('/run/vms/web', new FakeQemu(started)));
  await agent.want(vm('web'));
  assert.deepEqual(agent.report('web'), { state: 'running', at: '1.1' });
  assert.deepEqual(world.boots, []);
});

test('a record under another name is none', async () => {
  const { world } = await running();
  world.files.rename('vms/web.json', 'vms/mail.json');
  const next = await restarted(world);
  assert.deepEqual(next.state.vms(), []);
  assert.match(next.state.blocked('mail') ?? '', /set-aside/);
});

test('a guest that somebody paused is told', async () => {
  const { world, agent } = await running();
  world.qemu('web').state = 'paused';
  const before = agent.changes;
  await agent.clock.advance(10_000);
  assert.deepEqual(agent.report('web'), { state: 'paused', at: '1.1' });
  assert.ok(agent.changes > before);
});

test('a full disk: not started, nothing boots without its record', async () => {
  const world = new World();
  const agent = world.agent();
  world.files.setRoom(0);
  await agent.want(vm('web'));
  assert.deepEqual(world.boots, []);
  assert.match(agent.report('web').reason ?? '', /HOST_DISK_FULL/);
});

const move = (role: WantedMove['role']): WantedMove => ({
  migration: 'web-1', move: 'abc120', role, vm: 'web', epoch: 1, peer: { host: 'host-b', address: '10.0.0.2', port: 7444 }, token: 't', maxBandwidth: 1e8,
  policy: { lastPass: ms(4), patience: ms(1), lastPassLate: ms(1), maxCopy: ms(1), maxPause: ms(1), maxEmptying: ms(1), quiet: ms(1), maxDrain: ms(1) },
  dryRun: false, cancel: false,
});

test('announced once per order, also by the agent after; not while a move has it, and what fails is no end', async () => {
  const { world, agent } = await running();
  await agent.want(vm('web'));
  assert.equal(world.qemu('web').announced, 0);
  for (const announce of [1, 1, 2, 2]) await agent.want(vm('web', 1, { announce }));
  assert.equal(world.qemu('web').announced, 2);
  agent.keeper.take('web', 'abc120');
  await agent.want(vm('web', 1, { announce: 3 }));
  assert.equal(world.qemu('web').announced, 2);
  agent.keeper.giveBack('web');
  await drain();
  assert.equal(world.qemu('web').announced, 3);
  agent.crashed = true;
  const next = world.agent();
  await drain();
  world.qemu('web').state = 'paused';
  await next.clock.advance(10_000);
  await next.want(vm('web', 1, { announce: 4 }));
  assert.equal(world.qemu('web').announced, 3, 'it stands still: nothing would be answered');
  world.qemu('web').state = 'running';
  await next.clock.advance(10_000);
  await next.want(vm('web', 1, { announce: 4 }));
  assert.equal(world.qemu('web').announced, 4);
  world.qemu('web').mute = true;
  await next.want(vm('web', 1, { announce: 5 }));
  assert.deepEqual(next.report('web'), { state: 'running', at: '1.1' });
});

test('one that has come is announced again, with doubled gaps, as long as it stays', async () => {
  const { world, agent } = await running();
  const rounds = async (): Promise<number[]> => {
    const at: number[] = [];
    const from = agent.clock.monotonic();
    for (let i = 0, before = world.qemu('web').announced; i < 40; i++) {
      await agent.clock.advance(100);
      if (world.qemu('web').announced > before) at.push(agent.clock.monotonic() - from);
      before = world.qemu('web').announced;
    }
    return at;
  };
  agent.keeper.announceAgain('web', { count: 2, interval: 1000 });
  assert.deepEqual(await rounds(), [1000, 3000]);
  agent.keeper.announceAgain('web', { count: 2, interval: 1000 });
  await agent.clock.advance(1000);
  agent.keeper.take('web', 'abc120');
  assert.deepEqual(await rounds(), [], 'the next move has it');
  agent.keeper.announceAgain('web', { count: 20, interval: 1000 });
  await agent.keeper.close();
  assert.equal(agent.clock.sleepers, 0);
});

test('while a move has it, nothing is done; its end is noted when it is given back', async () => {
  const { world, agent } = await running();
  agent.keeper.take('web', 'abc120');
  agent.keeper.take('web', 'abc120');
  assert.throws(() => agent.keeper.take('web', 'def450'), VmBusy);
  assert.throws(() => agent.keeper.take('mail', 'def450'), VmAbsent);
  await agent.want(vm('web', 1, DOWN));
  assert.equal(world.qemu('web').asked, 0);
  agent.keeper.say('web', { state: 'in-doubt', reason: 'no word from host-b' });
  assert.deepEqual(agent.report('web'), { state: 'in-doubt', reason: 'no word from host-b', move: 'abc120', at: '1.1' });
  agent.keeper.say('web', undefined);
  await agent.want(vm('web'));
  world.qemu('web').end('killed by hand');
  await drain();
  assert.equal(agent.report('web').state, 'running');
  agent.keeper.giveBack('web');
  await drain();
  assert.deepEqual(agent.report('web'), { state: 'ended', reason: 'killed by hand', at: '1.1' });
});

test('given away: lasting, for this epoch and older ones, told until it is not listed', async () => {
  const { world, agent } = await running();
  const guest = agent.keeper.take('web', 'abc120');
  agent.keeper.gaveAway('web', 1, 'abc120');
  await guest.kill();
  agent.keeper.giveBack('web');
  for (const a of [agent, await restarted(world)]) {
    assert.deepEqual(a.report('web'), { state: 'gone', move: 'abc120', at: '1.1' });
    await a.want(vm('web', 7));
    assert.deepEqual(a.report('web'), { state: 'gone', move: 'abc120', at: '1.1' });
    await a.want();
    assert.deepEqual(a.keeper.reports(), []);
  }
  const next = await restarted(world);
  await next.want(vm('web', 7));
  assert.deepEqual(world.boots, ['web/1']);
  await next.want(vm('web', 7, { epoch: 3 }));
  assert.deepEqual(world.boots, ['web/1', 'web/7']);
});

test('a full disk: a VM is not given away', async () => {
  const { world, agent } = await running();
  agent.keeper.take('web', 'abc120');
  world.files.setRoom(0);
  assert.throws(() => agent.keeper.gaveAway('web', 1, 'abc120'), DiskFull);
  world.files.setRoom(1e6);
  const next = await restarted(world);
  assert.equal(next.report('web').state, 'running');
});

test('a destination of a move on the disk is the move’s alone: not booted though the server places it here, not adopted', async () => {
  const world = new World();
  const first = world.agent();
  const place = first.state.newPlace('web');
  first.state.saveMove({ wanted: move('destination'), place, incoming: { ...vm('web', 1, { epoch: 2 }) } });
  await first.want(vm('web', 1, { epoch: 2 }));
  assert.deepEqual(world.boots, []);
  const guest = await world.hypervisor(() => false).start({ name: 'web', cpus: 1 } as never, place); // the double needs no more of a VM
  const agent = await restarted(world);
  await agent.want(vm('web', 1, { epoch: 2 }));
  assert.deepEqual([agent.keeper.reports(), agent.keeper.guest('web')], [[], undefined]);
  const { spec, networks, placement } = vm('web', 1, { epoch: 2 });
  agent.keeper.received({ name: 'web', spec, networks, placement, place }, guest, 'abc120');
  assert.deepEqual(agent.report('web'), { state: 'running', move: 'abc120', at: '2.1' });
  agent.state.removeMove('abc120');
  agent.keeper.giveBack('web');
  await drain();
  assert.deepEqual(agent.report('web'), { state: 'running', at: '2.1' });
  assert.deepEqual((await restarted(world)).report('web'), { state: 'running', at: '2.1' });
  assert.deepEqual(world.boots, ['web/1']);
});

test('a VM that came and died at once is not booted for the order it came with', async () => {
  const world = new World();
  const agent = world.agent();
  const { spec, networks, placement } = vm('web', 1, { epoch: 2 });
  agent.keeper.receivedDead({ name: 'web', spec, networks, placement, place: agent.state.newPlace('web') }, 'QEMU was killed');
  for (const a of [agent, await restarted(world)]) {
    await a.want(vm('web', 1, { epoch: 2 }));
    assert.deepEqual(a.report('web'), { state: 'ended', reason: 'QEMU was killed', at: '2.1' });
  }
  assert.deepEqual(world.boots, []);
});

test('a source of a move on the disk is adopted after a restart, and not touched', async () => {
  const { world, agent } = await running();
  agent.state.saveMove({ wanted: move('source'), place: { runDirectory: '/run/vms/web', id: 'a' } });
  const next = await restarted(world);
  await next.want(vm('web', 1, DOWN));
  assert.equal(world.qemu('web').asked, 0);
  assert.ok(next.keeper.take('web', 'abc120'));
  assert.equal(next.report('web').move, 'abc120');
  next.state.removeMove('abc120');
  next.keeper.giveBack('web');
  await drain();
  assert.deepEqual(next.report('web'), { state: 'stopped', at: '1.1' });
});

test('a record that cannot be read: set aside, the VM is left alone and reported, also by the agent after', async () => {
  const { world } = await running();
  const file = world.files.open('vms/web.json', 'append');
  file.write(new TextEncoder().encode('torn'));
  for (let i = 0; i < 2; i++) {
    const next = await restarted(world);
    await next.want(vm('web', 2));
    const { state, reason } = next.report('web');
    assert.equal(state, 'ended');
    assert.match(reason ?? '', /set-aside\/web\.vms\.web\.json/);
    assert.throws(() => next.state.newPlace('web'), VmBusy);
  }
  assert.deepEqual(world.boots, ['web/1']);
});

async function restarted(world: World): Promise<FakeAgent> {
  world.files = world.files.afterCrash();
  const next = world.agent();
  await drain();
  return next;
}

test('a QEMU that does not answer is looked for again, and holds up nobody', async () => {
  const { world } = await running();
  world.deaf = true;
  const next = await restarted(world);
  await next.keeper.adopted();
  const { state, reason } = next.report('web');
  assert.equal(state, 'running');
  assert.match(reason ?? '', /QMP says nothing/);
  assert.throws(() => next.keeper.take('web', 'abc120'), VmAbsent);
  assert.equal(next.keeper.seeks('web'), true, 'nobody may take it for dead');
  world.deaf = false;
  await next.clock.advance(3000);
  assert.equal(next.keeper.seeks('web'), false);
  assert.deepEqual(next.report('web'), { state: 'running', at: '1.1' });
  assert.deepEqual(world.boots, ['web/1']);
});
