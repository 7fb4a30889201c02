/** What `godwit init`, `server`, `agent`, `agent join` and `lab` were asked for: passed on to control/, agent/ and lab/ as it is. */

import type { AgentOptions } from '../agent/main.ts';
import type { JoinOptions } from '../agent/membership.ts';
import type { InitOptions, ListenAddress, ServerOptions } from '../control/main.ts';
import type { PulseOptions } from '../pulse/main.ts';

export type { JoinOptions, ListenAddress };

export interface LabOptions {
  readonly hosts: number;
}

/** Each resolves when its work is done, the daemons' when they were told to end; all fail with GodwitError. */
export interface Daemons {
  init(options: InitOptions): Promise<unknown>;
  server(options: ServerOptions): Promise<unknown>;
  agent(options: AgentOptions): Promise<unknown>;
  join(options: JoinOptions): Promise<unknown>;
  pulse(options: PulseOptions): Promise<unknown>;
  endPulse(options: Pick<PulseOptions, 'runDir'>): Promise<unknown>;
  labUp(options: LabOptions): Promise<unknown>;
  labDown(): Promise<unknown>;
}

export const defaultStateDir = '/var/lib/godwit';
export const defaultRunDir = '/run/godwit';
/** Of the server. */
export const defaultPort = 7443;
