/** Every step of a move × everybody who can fall in it: what must hold when all is mended. */
import assert from 'node:assert/strict';
import { systemClock } from '../../src/native/system-clock.ts';
import { ms } from '../../src/base/units.ts';
import { saga } from '../../src/control/saga-table.ts';
import type { SagaPhase } from '../../src/model/migration.ts';
import { CrashCluster } from './crash-cluster.ts';

/** In their order, as a move without trouble takes them; each in its phase of the saga. */
export const steps: readonly (readonly [string, SagaPhase])[] = [
  ['h1 facts', 'plan'], ['h2 facts', 'plan'],
  ['h1 source-end', 'prepare'], ['h2 prepare', 'prepare'],
  ['h1 copy', 'copy'], ['h1 sample', 'copy'],
  ['h1 redirect', 'switch'], ['h1 stop', 'switch'], ['h1 continue', 'switch'], ['h2 load', 'switch'], ['h2 before-commit', 'switch'],
  ['h2 after-commit', 'announce'], ['h2 release', 'announce'], ['h1 end-group-redirect', 'announce'], ['h2 announce', 'announce'],
  ['h1 close-source', 'drain'], ['h2 close-destination', 'drain'], ['h1 kill', 'drain'],
  ['h2 tell-end', 'done'], ['h1 tell-end', 'done'],
];

type Victim = keyof (typeof saga)['plan']['crash'];
interface Fault {
  readonly name: string;
  /** The disks are not in the saga's table: nothing that needs one is done until there is room, so it ends at one of the two. */
  readonly victim: Victim | 'disk';
  /** False when there was nothing to strike. */
  readonly strike: (cluster: CrashCluster) => boolean;
  readonly mend: (cluster: CrashCluster) => void;
}

const crash = (victim: Victim, host: 'h1' | 'h2'): Fault => ({
  name: victim, victim, strike: (c) => c.crashAgent(host), mend: (c) => c.startAgent(host),
});
const full = (host: 'h1' | 'h2'): Fault => ({ name: `disk of ${host} full`, victim: 'disk', strike: (c) => c.fillDisk(host, true), mend: (c) => void c.fillDisk(host, false) });
const kill = (victim: Victim, host: 'h1' | 'h2'): Fault => ({
  name: victim, victim, mend: () => undefined,
  strike: ({ world }) => {
    const there = world.of('vm').filter((qemu) => qemu.host === host);
    for (const qemu of there) world.kill(qemu);
    return there.length > 0;
  },
});
const wires = (victim: Victim, a: string, b: string): Fault[] => {
  const cut = (name: string, ways: readonly (readonly [string, string])[]): Fault => ({
    name: `wire ${name}`, victim, strike: (c) => ways.every(([from, to]) => c.cut(from, to)), mend: (c) => c.heal(),
  });
  return [cut(`${a} = ${b}`, [[a, b], [b, a]]), cut(`${a} > ${b}`, [[a, b]]), cut(`${b} > ${a}`, [[b, a]])];
};

export const faults: readonly Fault[] = [
  crash('source agent', 'h1'), crash('destination agent', 'h2'),
  { name: 'server', victim: 'server', strike: (c) => c.crashServer(), mend: (c) => void c.startServer() },
  full('h1'), full('h2'),
  kill('source QEMU', 'h1'), kill('destination QEMU', 'h2'),
  ...wires('wire server-source', 'server', 'h1'), ...wires('wire server-destination', 'server', 'h2'), ...wires('wire source-destination', 'h1', 'h2'),
];

/** How long what fell stays down: shorter and longer than it takes the others to notice. */
const DOWN = [60, 1500];

export async function crashPoint(step: string, phase: SagaPhase, fault: Fault, down: number): Promise<void> {
  const cluster = await CrashCluster.open();
  const { world } = cluster;
  try {
    let struck: (() => void) | undefined;
    let hit = true;
    const fallen = new Promise<void>((resolve) => (struck = resolve));
    const strike = (host: string, name: string): void => {
      if (`${host} ${name}` !== step) return;
      world.onStep.delete(strike);
      hit = fault.strike(cluster);
      struck?.();
    };
    world.onStep.add(strike);
    const migration = await cluster.move('h2');
    await Promise.race([fallen, systemClock.sleep(ms(20_000)).then(() => assert.fail(`the move never came to ${step}`))]);
    await systemClock.sleep(ms(down));
    fault.mend(cluster);
    await cluster.settled(migration);

    assert.deepEqual(world.faults, [], 'the guest ran twice');
    const truth = world.of('vm');
    const where = truth.length === 0 ? 'nowhere' : truth[0]?.host === 'h1' ? 'source' : 'destination';
    const { runs, how } = !hit ? { runs: ['destination'], how: 'there was nothing to strike' }
      : fault.victim === 'disk' ? { runs: ['source', 'destination'], how: 'nothing is done that cannot be written down' } : saga[phase].crash[fault.victim];
    assert.ok(runs.includes(where), `the VM is ${where}; ${phase}, ${fault.victim}: ${runs.join(' or ')}, since ${how}`);
    const { status } = await cluster.plane.get('Migration', migration);
    const kinds = where === 'nowhere' ? ['dead', 'moved'] : where === 'destination' ? ['moved'] : ['rolled-back', 'refused'];
    assert.ok(kinds.includes(status?.end?.kind ?? ''), `told as ${JSON.stringify(status?.end)}, and the VM is ${where}`);
    if (truth.length > 0) await unharmed(cluster);
  } finally {
    await cluster.close();
  }
}

/** The VM runs and is reachable, and nothing that was left stands in the way of its next move. */
export async function unharmed(cluster: CrashCluster): Promise<void> {
  const { world } = cluster;
  const [qemu] = world.of('vm');
  assert.ok(qemu, 'the VM runs nowhere');
  assert.deepEqual({ state: qemu.state, open: qemu.open, redirect: qemu.redirect }, { state: 'running', open: true, redirect: undefined });
  const frame = world.send('vm');
  assert.equal(world.received.get('vm')?.at(-1), frame, 'a frame reaches the guest');
  const next = await cluster.move(qemu.host === 'h1' ? 'h2' : 'h1');
  await cluster.settled(next);
  assert.deepEqual((await cluster.plane.get('Migration', next)).status?.end?.kind, 'moved');
  assert.deepEqual(world.faults, []);
}

export const points = steps.flatMap(([step, phase]) => faults.flatMap((fault) => DOWN.map((down) => ({ step, phase, fault, down, name: `${step}: ${fault.name}, ${down} ms` }))));
