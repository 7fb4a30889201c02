/** `godwit vm console`: the guest's first serial port, from wherever the API is reached. What is typed goes to the guest, Ctrl-C too. */
import type { Api, ConsoleApi } from '../api/api.ts';
import { CliError } from './cli-error.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { type Io, say } from './io.ts';

/** Ctrl-], as telnet and virsh have it. */
const LEAVE = 0x1d;

/** Until Ctrl-], or Ctrl-C where what is typed comes line by line. Fails with ApiError, or CLI_NO_CONSOLE when it is ended from the other side. */
export async function vmConsole(api: Partial<ConsoleApi> & Pick<Api, 'get'>, io: Io, name: string): Promise<ExitCode> {
  if (!api.console) throw new CliError(exitCodes.failed, 'CLI_NO_CONSOLE', 'This server cannot be asked for a console');
  const port = await api.console(name);
  const { promise, resolve } = Promise.withResolvers<'left' | 'ended'>();
  const decoder = new TextDecoder();
  port.on('data', (bytes: Uint8Array) => void io.out.write(decoder.decode(bytes, { stream: true })));
  port.on('error', () => resolve('ended')).on('close', () => resolve('ended')).on('end', () => resolve('ended'));
  say(io, `The console of ${name}. Ctrl-] leaves.`);
  const quiet = io.onInterrupt(() => resolve('left'));
  const still = io.onKeys?.((bytes) => {
    const leave = bytes.indexOf(LEAVE);
    const typed = leave < 0 ? bytes : bytes.subarray(0, leave);
    if (typed.length > 0 && port.writable) port.write(typed);
    if (leave >= 0) resolve('left');
  });
  try {
    if ((await promise) === 'ended') {
      throw new CliError(exitCodes.failed, 'CLI_NO_CONSOLE', `The console of ${name} was ended from its side: the VM moved or ended, or it was not read; open it again`);
    }
    say(io, '');
    return exitCodes.fine;
  } finally {
    still?.();
    quiet();
    port.destroy();
  }
}
