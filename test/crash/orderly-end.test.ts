/** An agent that is told to end in the middle of a move lets go: it writes nothing more, and the next one brings the move to its end. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '../../src/native/system-clock.ts';
import { ms } from '../../src/base/units.ts';
import { CrashCluster } from './crash-cluster.ts';
import { steps, unharmed } from './crash-points.ts';

/** What would go on behind the end asks, and is answered, several times in this. */
const WHILE = ms(1500);
const RESTARTED = { kind: 'rolled-back', reason: 'The agent of the source was restarted' };
const sourceSteps = steps.map(([step]) => step).filter((step) => step.startsWith('h1'));

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

describe('the source\'s agent told to end', { concurrency: 20, timeout: 60_000 }, () => {
  for (const step of sourceSteps) {
    test(`at ${step}: nothing is written once it has let go`, () => withCluster(async (cluster) => {
      const ended = at(cluster, step, () => cluster.endAgent('h1'));
      const migration = await cluster.move('h2');
      const writes = await ended;
      await systemClock.sleep(WHILE);
      assert.equal(writes(), 0);
      cluster.startAgent('h1');
      await cluster.settled(migration);
      assert.equal(writes(), 0);
      const { status } = await cluster.plane.get('Migration', migration);
      const where = cluster.world.of('vm').map(({ host }) => host);
      assert.deepEqual(where, [status?.end?.kind === 'moved' ? 'h2' : 'h1'], JSON.stringify(status?.end));
      if (step === 'h1 facts') assert.deepEqual(status?.end, RESTARTED, 'that it let go is not told as an end');
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
