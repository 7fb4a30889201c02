/**
 * One crash point of a real cluster: a move that comes to a phase of the saga, a blow, its mending, and what must hold then.
 *
 * The phase is seen in the files of the agents and the server's word, a blow takes a millisecond or some: so what was struck is
 * looked up after it, and may be a later phase than the one waited for.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { saga } from '../../../src/control/saga-table.ts';
import type { LabCluster } from '../../../src/lab/cluster.ts';
import { type SagaPhase, sagaPhases } from '../../../src/model/migration.ts';
import type { Vm } from '../../../src/model/vm.ts';
import { LONG, agentFiles, answers, deleted, devices, ended, limit, moved, onlyQemu, qemus, runVm, vmResource } from '../cluster-fixture.ts';
import { DESTINATION, type Fault, SOURCE } from './fault.ts';

/** Between two looks at the files, ms. */
const LOOK = 1;
/** Bandwidth: without a limit that anybody notices, and one that makes a copy of some seconds. */
const QUICK = '1Gbit/s';
const SLOW = '200Mbit/s';

/** A move under way, as the files tell of it. */
interface Underway {
  readonly vm: Vm;
  readonly migration: string;
  /** Six hex digits. */
  readonly move: string;
}

/** What was struck and what came of it, for people. */
export async function crashPoint(cluster: LabCluster, number: number, phase: SagaPhase, fault: Fault): Promise<string> {
  await limit(cluster, SOURCE, phase === 'copy' ? SLOW : QUICK);
  const vm = await runVm(cluster, `vm-${number}`, number, SOURCE);
  const before = onlyQemu(cluster, vm);
  const blow = await fault.ready(cluster, vm);
  let hit = false;
  let struck: readonly SagaPhase[];
  try {
    const { name, status } = await cluster.api.migrate({ vm: vm.name, to: DESTINATION });
    assert.ok(status);
    const underway = { vm, migration: name, move: status.move };
    await comesTo(cluster, underway, phase);
    hit = await blow.strike();
    struck = between(phase, seenPhase(cluster, underway));
    await pause(fault.down);
  } finally {
    await blow.mend();
  }
  const migration = await settled(cluster, vm);

  const where = place(cluster, vm);
  const allowed = hit ? struck.flatMap((each) => saga[each].crash[fault.victim].runs) : ['destination'];
  const { end, decision, receipt } = migration.status ?? {};
  const told = JSON.stringify({ struck, hit, end, decision });
  assert.ok(allowed.includes(where), `the VM is ${where}, and may be ${allowed.join(' or ')}: ${told}`);
  const kinds = where === 'nowhere' ? ['dead', 'moved'] : where === 'destination' ? ['moved'] : ['rolled-back', 'refused'];
  assert.ok(kinds.includes(end?.kind ?? ''), `the VM is ${where}: ${told}`);
  // Who fell is a reason not to drain; that a restarted agent does not know how far it had come is none.
  if (end?.kind === 'moved' && fault.victim !== 'source QEMU') assert.doesNotMatch(end.undrained ?? '', /HOST_KERNEL_REFUSED/);
  if (where === 'nowhere') assert.equal((await vmResource(cluster, vm.name))?.status?.state, 'failed');
  else {
    if (where === 'source') assert.deepEqual(onlyQemu(cluster, vm), before, 'it is the QEMU that it was');
    assert.ok(await answers(cluster, vm), `the guest does not answer: ${told} ${JSON.stringify(receipt?.notes)}`);
    // Nothing that was left stands in the way of the next.
    await limit(cluster, SOURCE, QUICK);
    // A host that was cut off is silent until its next report.
    await cluster.until('both hosts are ready', async () => (await cluster.api.list('Host')).every(({ status }) => status?.state === 'ready'));
    await moved(cluster, vm, where === 'source' ? DESTINATION : SOURCE);
  }
  await deleted(cluster, vm);
  assert.deepEqual(devices(cluster), { [SOURCE]: [], [DESTINATION]: [] });
  return `${where}: ${told}`;
}

/** All hosts and the server agree on what became of the VM, and it is so; nothing of the move is left. */
async function settled(cluster: LabCluster, vm: Vm) {
  await cluster.until(`${vm.name} is settled`, async () => {
    const where = place(cluster, vm);
    const { status } = (await vmResource(cluster, vm.name)) ?? {};
    const made = devices(cluster);
    const states = (await cluster.api.list('Host')).map((host) => host.status?.state);
    assert.ok(states.every((state) => state === 'ready'), `hosts: ${states.join(', ')}`);
    assert.equal(status?.migration, undefined, 'the migration has not ended');
    assert.equal(status?.state, where === 'nowhere' ? 'failed' : 'running', `${where}: ${status?.reason}`);
    if (where !== 'nowhere') assert.equal(status?.placement?.host, where === 'source' ? SOURCE : DESTINATION);
    assert.deepEqual(Object.values(made).flat().map((name) => name.slice(0, 3)), where === 'nowhere' ? [] : ['gt-'], `devices: ${JSON.stringify(made)}`);
    return true;
  }, LONG);
  const last = (await cluster.api.list('Migration', { last: 1 })).find(({ spec }) => spec.vm === vm.name);
  assert.ok(last);
  return ended(cluster, last.name);
}

function place(cluster: LabCluster, vm: Vm): 'source' | 'destination' | 'nowhere' {
  if (qemus(cluster, vm).length === 0) return 'nowhere';
  return onlyQemu(cluster, vm).host === SOURCE ? 'source' : 'destination';
}

async function comesTo(cluster: LabCluster, underway: Underway, phase: SagaPhase): Promise<void> {
  for (const until = performance.now() + LONG; ; await pause(LOOK)) {
    const seen = seenPhase(cluster, underway);
    if (seen && rank(seen) >= rank(phase)) return;
    if (phase === 'copy' || phase === 'drain') {
      const { status } = await cluster.api.get('Migration', underway.migration);
      assert.ok(status && (!status.end || status.end.kind === 'moved'), `it ended before it came to ${phase}: ${JSON.stringify(status?.end)}`);
      if (status.phase === phase && (phase === 'drain' || (status.progress?.transferred ?? 0) > 0)) return;
    }
    assert.ok(performance.now() < until, `the move never came to ${phase}`);
  }
}

const rank = (phase: SagaPhase): number => sagaPhases.indexOf(phase);

/** What the agents' files say; they do not tell `copy` from `prepare`, nor `drain` from `announce`. Undefined before and after. */
function seenPhase(cluster: LabCluster, { vm, move }: Underway): SagaPhase | undefined {
  const [source, destination] = [agentFiles(cluster, SOURCE), agentFiles(cluster, DESTINATION)];
  if (existsSync(join(source, 'ended', `${move}.json`))) return 'done';
  const began = existsSync(join(source, 'moves', `${move}.json`));
  if (journal(destination, move).includes('"committed"')) return began ? 'announce' : 'done';
  if (journal(source, move).includes('"permitted"')) return 'switch';
  if (!began) return undefined;
  return existsSync(join(cluster.runDir(DESTINATION), 'vms', vm.name, 'qemu.pid')) ? 'prepare' : 'plan';
}

function journal(directory: string, move: string): string {
  const path = join(directory, 'moves.journal');
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter((line) => line.includes(move)).join('\n') : '';
}

/** From the phase waited for to the one that the files told of after the blow: it was struck in one of these. */
const between = (from: SagaPhase, to: SagaPhase | undefined): readonly SagaPhase[] => sagaPhases.slice(rank(from), Math.max(rank(from), rank(to ?? from)) + 1);
