/** Every transcript in switchover/ gives the log it shows. */
import { join } from 'node:path';
import { switchoverCommands } from './transcript.ts';
import { testTranscripts } from './transcripts.ts';

testTranscripts(join(import.meta.dirname, 'switchover'), switchoverCommands);
