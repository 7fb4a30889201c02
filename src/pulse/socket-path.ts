/** Where in its run directory a pulse has what. */
import { join } from 'node:path';

export const pulseSocket = (runDir: string): string => join(runDir, 'pulse.sock');
export const pulseLog = (runDir: string): string => join(runDir, 'pulse.log');
