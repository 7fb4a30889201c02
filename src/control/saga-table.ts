/**
 * The saga of a move: each step, who takes it, what takes it back, and where the VM runs in the end when somebody dies or a wire is
 * cut in the middle of it. The crash tests go through it; ARCHITECTURE.md has the short form.
 *
 * The commit point lies in `switch`: one synced record in the destination agent's journal. Before it the move can be taken back,
 * behind it it can only be finished.
 */
import type { SagaPhase } from '../model/migration.ts';

/** A wire is cut both ways or one way; what comes of it is the same. */
export const victims = [
  'source agent', 'destination agent', 'server', 'source QEMU', 'destination QEMU', 'wire server-source', 'wire server-destination', 'wire source-destination',
] as const;
export type Victim = (typeof victims)[number];

export interface Consequence {
  /** Where the VM may run once all is mended: at exactly one of these. `nowhere`: it is dead, and reported so. */
  readonly runs: readonly ('source' | 'destination' | 'nowhere')[];
  readonly how: string;
}

export interface SagaStep {
  readonly acts: 'source agent' | 'destination agent' | 'both agents' | 'server';
  readonly does: string;
  readonly undo: string;
  readonly crash: Readonly<Record<Victim, Consequence>>;
}

const goesOn = (how: string): Consequence => ({ runs: ['destination'], how });
const staysThere = (how: string): Consequence => ({ runs: ['source'], how });
const dies = (how: string): Consequence => ({ runs: ['nowhere'], how });
const eitherOf = (how: string): Consequence => ({ runs: ['source', 'destination'], how });

/** Neither the server nor a wire to it stands in a move's way. */
const withoutServer = {
  server: goesOn('the agents go on; they tell the server when it is back'),
  'wire server-source': goesOn('the agents go on; the source tells the server when it can'),
  'wire server-destination': goesOn('the agents go on; the destination tells the server when it can'),
};

const beforeSwitch = {
  ...withoutServer,
  'source agent': staysThere('its QEMU runs on; restarted, it finds the move in its records and takes it back'),
  'destination agent': staysThere('the source takes the move back; restarted, the destination writes `aborted` and ends the QEMU it prepared'),
  'source QEMU': dies('a dead VM: the destination writes `aborted` and ends the QEMU it prepared'),
  'destination QEMU': staysThere('the source takes the move back'),
  'wire source-destination': eitherOf('the source takes the move back, and the destination gives up when it hears nothing more; a cut too short to be noticed changes nothing'),
};

/** The source may have been told of the move, and the destination not yet. */
const untold = {
  server: eitherOf('the agents go on; a destination that has not been told of the move yet knows nothing of it, and it is taken back'),
  'wire server-destination': eitherOf('the agents go on; a destination that has not been told of the move yet knows nothing of it, and it is taken back'),
};

const afterCommit = {
  ...withoutServer,
  'source agent': goesOn('the guest runs at the destination; the redirect stays until the source, restarted, has drained it'),
  'destination agent': goesOn('its QEMU runs on; restarted, the agent finds the commit in its journal, adopts the guest and goes on'),
  'source QEMU': goesOn('it is spent'),
  'destination QEMU': dies('a dead VM like any whose QEMU ends: reported, not started again by itself'),
  'wire source-destination': goesOn('the guest runs at the destination; source and destination clear up when they can speak, or each for itself within the time for draining'),
};

export const saga: Readonly<Record<SagaPhase, SagaStep>> = {
  plan: {
    acts: 'source agent', does: 'asks both hosts for what the move needs and refuses what cannot go without loss', undo: 'nothing was changed',
    crash: {
      ...beforeSwitch, ...untold,
      'source agent': eitherOf('nothing was changed; restarted, it plans anew, as long as the move is wanted of it'),
      'destination agent': eitherOf('nothing was changed: refused with that reason, or planned anew'),
      'destination QEMU': goesOn('there is none yet'),
      'wire source-destination': eitherOf('refused with that reason; a cut too short to be noticed changes nothing'),
    },
  },
  prepare: {
    acts: 'destination agent', does: 'mute taps, one tunnel per NIC, a QEMU that waits for the guest', undo: 'the destination writes `aborted`, then removes all of it',
    crash: { ...beforeSwitch, ...untold },
  },
  copy: {
    acts: 'source agent', does: 'copies memory while the guest runs, until what remains fits into the pause', undo: 'the copy is given up; then as for prepare',
    crash: beforeSwitch,
  },
  switch: {
    acts: 'both agents',
    does: 'permit, redirect, taps emptied, stop, last pass; the destination loads, writes `committed` and lets the guest run',
    undo: 'until `committed` is written: the destination writes `aborted` and ends its QEMU, held frames return in order, the source runs on',
    crash: {
      ...withoutServer,
      'source agent': eitherOf('permitted and loaded, the destination commits; else the source, restarted, asks it for its decision and acts on that'),
      'destination agent': eitherOf('the source stands still, in doubt, until the destination says what is in its journal'),
      'source QEMU': { runs: ['nowhere', 'destination'], how: 'before all is sent a dead VM; behind that the destination commits' },
      'destination QEMU': { runs: ['source', 'nowhere'], how: 'before the commit the source takes the move back; behind it a dead VM' },
      'wire source-destination': eitherOf('permitted and loaded, the destination commits; the source stands still, in doubt, until it has heard the decision, from the destination or the server'),
    },
  },
  announce: {
    acts: 'destination agent', does: 'tells every neighbour the new place of each address', undo: 'none: the commit point has passed', crash: afterCommit,
  },
  drain: {
    acts: 'source agent', does: 'keeps the redirect until no frame comes the old way, then removes it and its QEMU', undo: 'none: the commit point has passed', crash: afterCommit,
  },
  done: {
    acts: 'server', does: 'stores the end and the receipt, then acknowledges them to the agents', undo: 'none: the commit point has passed', crash: afterCommit,
  },
};
