/** The clock of the wall jumps, on the server and on a host: only times that people read jump along. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Milliseconds, ms } from '../../../src/base/units.ts';
import { parseJoinToken } from '../../../src/trust/join-token.ts';
import { ControlWorld, codeOf } from './world.ts';

const DAY = 86_400_000;

/** CLOCK_REALTIME is `by` off from here on; the monotonic clock goes on as it was. */
function jump(world: ControlWorld, by: number): void {
  const now = world.clock.now.bind(world.clock);
  world.clock.now = (): Milliseconds => ms(now() + by);
}

for (const by of [DAY, -DAY, 3000 * DAY, -20_000 * DAY]) {
  test(`the server's clock jumps by ${by / DAY} days: no host falls silent, moves go on and end, a VM is not moved more often`, async () => {
    const world = await ControlWorld.open();
    await world.running('host-a', 'web-1');
    const { name } = await world.plane.migrate({ vm: 'web-1', to: 'host-b' });
    await world.live(1000);
    jump(world, by);
    await world.live(3000);
    assert.deepEqual((await world.plane.list('Host')).map(({ status }) => status?.state), ['ready', 'ready']);
    assert.equal((await world.vm('web-1')).state, 'moving');
    const [a, b] = [world.agent('host-a'), world.agent('host-b')];
    b.moves = [{ migration: name, role: 'destination', phase: 'done', decision: 'committed', end: { kind: 'moved' } }];
    await b.report();
    a.vms = [];
    a.moves = [{ migration: name, role: 'source', phase: 'done', decision: 'committed', end: { kind: 'moved' } }];
    await a.report();
    b.moves = a.moves = [];
    await b.run();
    assert.deepEqual((await world.migration(name)).end, { kind: 'moved' });
    assert.deepEqual([(await world.vm('web-1')).state, (await world.vm('web-1')).placement?.host], ['running', 'host-b']);
    // And a host that does fall silent is noticed as soon as ever.
    await world.live(6000, ['host-a']);
    assert.deepEqual((await world.plane.list('Host')).map(({ status }) => status?.state), ['ready', 'silent']);
    await world.close();
  });
}

test('a join token: over when the clock says so, and a new one helps', async () => {
  const world = await ControlWorld.open(['host-a']);
  const parts = parseJoinToken((await world.plane.createToken(3_600_000)).token);
  jump(world, DAY);
  assert.equal(await codeOf(world.plane.admit('host-b', { address: '10.0.0.2' }, parts.id, parts.secret)), 'CONTROL_TOKEN_INVALID');
  const next = parseJoinToken((await world.plane.createToken(3_600_000)).token);
  await world.plane.admit('host-b', { address: '10.0.0.2' }, next.id, next.secret);
  await world.close();
});
