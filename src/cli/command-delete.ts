/** `godwit delete`. */
import type { Api } from '../api/api.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { type Io, print } from './io.ts';
import { type Target, nameOf, reference } from './kinds.ts';

/** The server refuses what cannot go: a network in use, a VM in a move. */
export async function remove(api: Api, io: Io, target: Target): Promise<ExitCode> {
  const { kind } = target;
  const name = nameOf(target, 'delete');
  await api.remove(kind, name);
  print(io, `${reference(kind, name)} deleted`);
  return exitCodes.fine;
}
