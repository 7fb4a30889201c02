/** A host's pulse, as its agent has it. */
import type { RouterPlan } from '../model/virtual-router.ts';
import type { PulseCommand, PulseMessage } from '../pulse/pulse-protocol.ts';

/** A connection to this host's pulse. */
export interface PulseLink {
  /** False: it ran before this agent asked for one. */
  readonly started: boolean;
  /** Never throws: what cannot be sent is told anew on the next connection. */
  send(command: PulseCommand): void;
  /** From the first message on; only one listener. */
  onMessage(listener: (message: PulseMessage) => void): void;
  /** Resolves when the connection is gone, whoever ended it. */
  readonly closed: Promise<void>;
  /** Resolves when the process itself is gone. Not after `close()`: nobody looks then. */
  readonly exited: Promise<void>;
  close(): void;
  /** Ends the process as it is; it may be another one's by now only where it is gone already. */
  kill(): void;
}

export interface Pulses {
  /** The pulse of this host, started if none runs. */
  attach(): Promise<PulseLink>;
  /** The one that runs, if one does. */
  find(): Promise<PulseLink | undefined>;
  /**
   * None runs: removes from this host whatever a dead one left, and tells the others of `active` (priority 0) that this host is gone
   * from there.
   */
  takeBack(active: readonly RouterPlan[]): Promise<void>;
}
