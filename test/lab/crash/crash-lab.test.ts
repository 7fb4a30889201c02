/** Crash points with real processes, kernels and wires. One per phase; all of them with GODWIT_CRASH=all. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { LabCluster } from '../../../src/lab/cluster.ts';
import { type SagaPhase, sagaPhases } from '../../../src/model/migration.ts';
import { lastLines } from '../../../src/vm/run-directory.ts';
import { openCluster } from '../cluster-fixture.ts';
import { crashPoint } from './crash-point.ts';
import { DESTINATION, SOURCE, faults } from './fault.ts';

/** Where the most is at stake. */
const telling: Readonly<Record<SagaPhase, string>> = {
  plan: 'destination agent', prepare: 'destination QEMU', copy: 'source agent', switch: 'wire h1 = h2', announce: 'destination agent', drain: 'source agent', done: 'server',
};
/** Or a comma-separated list of `phase: fault`. */
const asked = process.env['GODWIT_CRASH'];
const points = sagaPhases.flatMap((phase) => faults.map((fault) => ({ phase, fault, name: `${phase}: ${fault.name}` })))
  .filter(({ phase, fault, name }) => (asked === undefined ? telling[phase] === fault.name : asked === 'all' || asked.split(',').includes(name)));

describe('A crash point in the lab', () => {
  let cluster: LabCluster | undefined;
  // Numbers of VMs: an address of the lab each.
  let number = 1;
  after(() => cluster?.close());
  assert.ok(points.length > 0, `GODWIT_CRASH names no crash point: ${asked}`);
  for (const { phase, fault, name } of points) {
    it(name, async (t) => {
      cluster ??= await openCluster();
      try {
        t.diagnostic(await crashPoint(cluster, number, phase, fault));
      } catch (error) {
        for (const who of ['server', SOURCE, DESTINATION]) t.diagnostic(`${who}:\n${lastLines(cluster.log(who), 12)}`);
        // What this one left must not be blamed on the next.
        await cluster.close();
        cluster = undefined;
        throw error;
      } finally {
        number = (number % 99) + 1;
      }
    });
  }
});
