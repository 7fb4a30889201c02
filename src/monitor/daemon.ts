/** What an agent starts: a monitor and nothing else in its heap. For people it is `godwit monitor`. */
import { argv, exit } from 'node:process';
import { parseArgs } from 'node:util';
import { formatError } from '../base/error.ts';
import { monitorCommand } from './main.ts';

const text = { type: 'string' } as const;
try {
  const { values } = parseArgs({ args: argv.slice(2), options: { 'run-dir': text, 'state-dir': text, metrics: text, netns: text } });
  const { 'run-dir': runDir = '', 'state-dir': stateDir = '', ...rest } = values;
  await monitorCommand({ runDir, stateDir, ...rest });
  exit(0);
} catch (error) {
  console.error(`error: ${formatError(error)}`);
  exit(1);
}
