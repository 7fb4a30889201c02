/** What `startPulse` runs: a pulse and nothing else in its heap. For people it is `godwit pulse`. */
import { argv, exit } from 'node:process';
import { formatError } from '../base/error.ts';
import { runPulse } from './main.ts';

const runDir = argv[argv.indexOf('--run-dir') + 1] ?? '';
try {
  await runPulse({ runDir });
  exit(0);
} catch (error) {
  console.error(`error: ${formatError(error)}`);
  exit(1);
}
