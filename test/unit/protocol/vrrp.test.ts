/** Every transcript in vrrp/ gives the log it shows. */
import { join } from 'node:path';
import { testTranscripts } from './transcripts.ts';
import { vrrpCommands } from './vrrp-commands.ts';

testTranscripts(join(import.meta.dirname, 'vrrp'), vrrpCommands);
