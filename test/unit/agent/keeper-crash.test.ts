/** The agent crashes, or the host loses power, at every call to the disk: afterwards no VM runs twice, and none is forgotten. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WantedVm } from '../../../src/api/agent-protocol.ts';
import type { MemoryFiles, Survived } from '../../../src/host/disk-memory.ts';
import { type FakeAgent, World, vm } from './keeper-world.ts';
import { drain } from './manual-clock.ts';

const OFF = { running: false, force: true } as const;
/** What the server wants, one after the other. */
const story: readonly (readonly WantedVm[])[] = [
  [vm('web'), vm('mail')],
  [vm('web', 1, OFF), vm('mail')],
  [vm('web', 2), vm('mail')],
  [vm('web', 2), vm('mail', 1, { ...OFF, removed: true })],
  [vm('web', 2), vm('db')],
];

/** As far as the crash lets it come; the last that the server wanted, and all that an agent said was gone. */
async function live(world: World): Promise<readonly WantedVm[]> {
  let agent: FakeAgent;
  try {
    agent = world.agent();
  } catch {
    return [];
  }
  for (const wanted of story) {
    await agent.want(...wanted);
    if (world.files.cut) return wanted;
  }
  return story.at(-1) ?? [];
}

const crashes: readonly { readonly name: string; readonly next: (files: MemoryFiles) => MemoryFiles; readonly qemusSurvive: boolean }[] = [
  { name: 'the agent crashes', next: (files) => files.afterCrash(), qemusSurvive: true },
  ...(['nothing', 'names', 'parts'] as const satisfies readonly Survived[]).map((survived) => ({
    name: `the host loses power, ${survived} of the unsynced kept`, next: (files: MemoryFiles) => files.afterPowerCut(survived), qemusSurvive: false,
  })),
];

for (const { name, next, qemusSurvive } of crashes) {
  test(`${name} at every call to the disk`, async () => {
    let crash = 0;
    for (; ; crash++) {
      const world = new World();
      world.files.cutAfter(crash);
      const wanted = await live(world);
      const cut = world.files.cut;
      const up = [...world.qemus.values()].filter((qemu) => !qemu.ended).map((qemu) => qemu.vm.name);
      if (!qemusSurvive) for (const qemu of world.qemus.values()) qemu.end('power cut');
      world.files = next(world.files);
      const at = `${name} at call ${crash}`;

      const agent = world.agent();
      await drain();
      // Before the server has said a word: every QEMU that runs is in the keeper's hands.
      if (qemusSurvive) for (const vm of up) assert.ok(agent.keeper.guest(vm), `${at}: ${vm} was forgotten`);
      await agent.want(...wanted);
      for (const { name: vm, running } of wanted) {
        const { state } = agent.report(vm);
        assert.equal(state === 'running', world.alive(vm) !== undefined, `${at}: ${vm} is said to be ${state}`);
        if (running) assert.ok(state === 'running' || state === 'ended', `${at}: ${vm} is ${state}`);
        else assert.ok(state === 'stopped' || state === 'gone', `${at}: ${vm} is ${state}`);
      }
      // One boot per order, and one QEMU per VM (World refuses a second).
      assert.equal(new Set(world.boots).size, world.boots.length, `${at}: ${world.boots.join(' ')}`);

      // A person orders what ended to be started again: all runs, and can be removed without a trace.
      const again = wanted.map((w) => ({ ...w, ...(w.running ? { placement: { ...w.placement, start: 9 }, spec: { ...w.spec, cpus: 9 } } : {}) }));
      await agent.want(...again);
      for (const w of again) assert.equal(world.alive(w.name) !== undefined, w.running, `${at}: ${w.name}, ordered again`);
      assert.equal(new Set(world.boots).size, world.boots.length, `${at}: ${world.boots.join(' ')}`);
      await agent.want(...again.map((w) => ({ ...w, ...OFF, removed: true })));
      for (const w of again) assert.equal(agent.report(w.name).state, 'gone', `${at}: ${w.name}, removed`);
      await agent.want();
      for (const w of again) {
        assert.equal(world.alive(w.name), undefined);
        assert.equal(agent.state.vm(w.name), undefined);
      }
      await agent.keeper.close();
      if (!cut) break;
    }
    assert.ok(crash > 60, `only ${crash} calls were cut`);
  });
}
