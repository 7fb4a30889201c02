/** An agent that is told to end in the middle of a move lets go: it writes nothing more, and the next one brings the move to its end. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '../../src/native/system-clock.ts';
import { ms } from '../../src/base/units.ts';
import { CrashCluster, type HostName } from './crash-cluster.ts';
import { steps, unharmed } from './crash-points.ts';

/** What would go on behind the end asks, and is answered, several times in this. */
const WHILE = ms(1500);
const RESTARTED = { kind: 'rolled-back', reason: 'The agent of the source was restarted' };

async function withCluster(test: (cluster: CrashCluster) => Promise<void>): Promise<void> {
  const cluster = await CrashCluster.open();
  try {
    await test(cluster);
  } finally {
    await cluster.close();
  }
}

/** Calls `then` when the world comes to the step, before it is done; resolves with what it gives. */
function at<T>({ world }: CrashCluster, step: string, then: () => T | Promise<T>): Promise<T> {
  const { promise, resolve } = Promise.withResolvers<T>();
  const listener = (host: string, name: string): void => {
    if (`${host} ${name}` !== step) return;
    world.onStep.delete(listener);
    resolve(then());
  };
  world.onStep.add(listener);
  return promise;
}

/** One after the other. What it returns says how often any of them has written since its end. */
async function endAll(cluster: CrashCluster, who: readonly HostName[]): Promise<() => number> {
  const writes: (() => number)[] = [];
  for (const host of who) writes.push(await cluster.endAgent(host));
  return () => writes.reduce((sum, count) => sum + count(), 0);
}

describe('an agent told to end', { concurrency: 20, timeout: 60_000 }, () => {
  for (const [step] of steps) {
    const [host, other] = step.startsWith('h1') ? ['h1', 'h2'] as const : ['h2', 'h1'] as const;
    for (const who of [[host], [other], [host, other]] as const) {
      test(`at ${step}: ${who.join(', then ')}: nothing is written once it has let go`, () => withCluster(async (cluster) => {
        const ended = at(cluster, step, () => endAll(cluster, who));
        const migration = await cluster.move('h2');
        const writes = await ended;
        await systemClock.sleep(WHILE);
        assert.equal(writes(), 0);
        for (const each of who) cluster.startAgent(each);
        await cluster.settled(migration);
        assert.equal(writes(), 0);
        const { status } = await cluster.plane.get('Migration', migration);
        const where = cluster.world.of('vm').map(({ host: on }) => on);
        assert.deepEqual(where, [status?.end?.kind === 'moved' ? 'h2' : 'h1'], JSON.stringify(status?.end));
        if (step === 'h1 facts' && who[0] === 'h1') assert.deepEqual(status?.end, RESTARTED, 'that it let go is not told as an end');
        await unharmed(cluster);
      }));
    }
  }

  for (const step of ['h2 before-commit', 'h2 after-commit', 'h2 load'] as const) {
    test(`at ${step}, and the next one while it looks what there is: the third brings it to its end`, () => withCluster(async (cluster) => {
      const ended = at(cluster, step, () => cluster.endAgent('h2'));
      const migration = await cluster.move('h2');
      const first = await ended;
      const again = at(cluster, 'h2 adopt-destination', () => cluster.endAgent('h2'));
      cluster.startAgent('h2');
      const second = await again;
      await systemClock.sleep(WHILE);
      assert.deepEqual([first(), second()], [0, 0]);
      cluster.startAgent('h2');
      await cluster.settled(migration);
      assert.deepEqual([first(), second()], [0, 0]);
      const { status } = await cluster.plane.get('Migration', migration);
      assert.deepEqual(cluster.world.of('vm').map(({ host }) => host), [status?.end?.kind === 'moved' ? 'h2' : 'h1'], JSON.stringify(status?.end));
      await unharmed(cluster);
    }));
  }

  test('in doubt: it says nothing of the move, whatever the destination says afterwards', () => withCluster(async (cluster) => {
    const cut = at(cluster, 'h1 continue', () => cluster.cut('h1', 'h2') && cluster.cut('h2', 'h1'));
    const migration = await cluster.move('h2');
    await cut;
    await cluster.until('the VM is in doubt', async () => (await cluster.vm()).state === 'in-doubt');
    const writes = await cluster.endAgent('h1');
    cluster.heal();
    await cluster.until('the destination has given up', async () => cluster.inHand('h2') === 0);
    await systemClock.sleep(WHILE);
    assert.equal(writes(), 0);
    cluster.startAgent('h1');
    await cluster.settled(migration);
    assert.equal(writes(), 0);
    assert.deepEqual((await cluster.plane.get('Migration', migration)).status?.end, RESTARTED);
    assert.deepEqual(cluster.world.of('vm').map(({ host }) => host), ['h1']);
    await unharmed(cluster);
  }));
});
