/** Where in its run directory a pulse has what. */
import { join } from 'node:path';

export const pulseSocket = (runDir: string): string => join(runDir, 'pulse.sock');
export const pulseLog = (runDir: string): string => join(runDir, 'pulse.log');
/** Which process it is. */
export const pulseIdentity = (runDir: string): string => join(runDir, 'pulse.pid');
/** What settings of others' were before a pulse changed them. */
export const formerSettings = (runDir: string): string => join(runDir, 'pulse-settings.json');
