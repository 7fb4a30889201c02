/** `godwit vm start`, `vm stop`, `godwit announce`. */
import type { Api } from '../api/api.ts';
import type { VmResource } from '../model/vm-spec.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { type Io, print, say } from './io.ts';
import { reference } from './kinds.ts';

/** All of them are asked for, not waited for. */
export async function startVm(api: Api, io: Io, name: string): Promise<ExitCode> {
  return asked(io, await api.start(name), 'starting');
}

export async function stopVm(api: Api, io: Io, name: string, force: boolean): Promise<ExitCode> {
  const vm = await api.stop(name, { force });
  if (!force) say(io, 'The guest is asked to power down; its QEMU is ended when it has not after 30 s.');
  return asked(io, vm, 'stopping');
}

export async function announceVm(api: Api, io: Io, name: string): Promise<ExitCode> {
  return asked(io, await api.announce(name), 'announcing');
}

function asked(io: Io, { name, status }: VmResource, doing: string): ExitCode {
  print(io, `${reference('Vm', name)} ${doing}${status?.placement ? ` on ${status.placement.host}` : ''}`);
  if (status?.reason !== undefined) say(io, status.reason);
  return exitCodes.fine;
}
