/** Every transcript in bfd/ gives the log it shows. */
import { join } from 'node:path';
import { bfdCommands } from './bfd-commands.ts';
import { testTranscripts } from './transcripts.ts';

testTranscripts(join(import.meta.dirname, 'bfd'), bfdCommands);
