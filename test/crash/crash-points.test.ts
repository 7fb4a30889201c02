/** The saga on doubles, broken at every step by everything that can break: the VM runs once, is reachable, nothing is left behind. */
import { describe, test } from 'node:test';
import { crashPoint, points } from './crash-points.ts';

describe('crash points', { concurrency: 40 }, () => {
  for (const { name, step, phase, fault, down } of points) test(name, () => crashPoint(step, phase, fault, down));
});
