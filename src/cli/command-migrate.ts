/** `godwit migrate`, `godwit cancel`. */
import type { Api } from '../api/api.ts';
import { GodwitError, formatError } from '../base/error.ts';
import type { MigrationResource } from '../model/migration.ts';
import { CliError } from './cli-error.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { type Io, print, say, styleOfErr, styleOfOut } from './io.ts';
import { reference } from './kinds.ts';
import { MigrationProgressView } from './migration-progress.ts';
import { outcomeOf } from './migration-outcome.ts';
import { formatReceipt } from './receipt.ts';

export interface MigrateOptions {
  readonly vm: string;
  /** Without, the server chooses. */
  readonly to?: string;
  /** Until it has ended. A dry run is always waited for: its answer is all there is to it. */
  readonly wait: boolean;
  readonly dryRun: boolean;
}

export async function migrate(api: Api, io: Io, { vm, to, wait, dryRun }: MigrateOptions): Promise<ExitCode> {
  const migration = await api.migrate({ vm, ...(to === undefined ? {} : { to }), ...(dryRun ? { dryRun } : {}) });
  if (wait || dryRun) return await waitFor(api, io, migration);
  print(io, `${reference('Migration', migration.name)} created`);
  if (to === undefined) say(io, `${vm} moves to ${migration.spec.to}`);
  say(io, `Follow it with godwit get migration ${migration.name} --watch`);
  return exitCodes.fine;
}

export async function cancel(api: Api, io: Io, name: string): Promise<ExitCode> {
  const { status } = await api.cancel(name);
  print(io, `${reference('Migration', name)} ${status?.end?.kind ?? 'cancelling'}`);
  if (status?.decision === 'committed') say(io, 'It was handed over already: the move goes on.');
  return exitCodes.fine;
}

async function waitFor(api: Api, io: Io, migration: MigrationResource): Promise<ExitCode> {
  const { name, spec } = migration;
  const from = migration.status?.from ?? '?';
  const view = new MigrationProgressView({ out: io.err, style: styleOfErr(io), vm: spec.vm, from, to: spec.to });
  const leave = new AbortController();
  let cancelling: Promise<void> | undefined;
  const askCancel = async (): Promise<void> => {
    view.note(`Asking to cancel ${name}. Ctrl-C again leaves without waiting for the answer.`);
    try {
      await api.cancel(name);
    } catch (error) {
      view.note(`It could not be cancelled: ${formatError(error)}`);
    }
  };
  const off = io.onInterrupt(() => {
    if (cancelling) leave.abort();
    else cancelling = askCancel();
  });
  try {
    const ended = await follow(api, io, migration, view, leave.signal);
    if (ended) {
      await cancelling;
      view.end();
      return report(io, ended);
    }
  } finally {
    off();
    view.end();
  }
  say(io, `Left: ${name} is asked to be cancelled, and how it ends is not known here. See godwit describe migration ${name}`);
  return exitCodes.cancelled;
}

/** The migration when it has ended; undefined when `signal` was aborted first. */
async function follow(
  api: Api, io: Io, { name }: MigrationResource, view: MigrationProgressView, signal: AbortSignal,
): Promise<MigrationResource | undefined> {
  let seen = false;
  try {
    for await (const event of api.watch('Migration', signal)) {
      if (event.kind === 'put' && event.resource.name === name) {
        seen = true;
        view.update(event.resource, io.clock.monotonic());
        if (event.resource.status?.end) return event.resource;
      } else if ((event.kind === 'delete' && event.name === name) || (event.kind === 'synced' && !seen)) {
        const text = `${name} was deleted while it was waited for; godwit get vms says where its VM is`;
        throw new CliError(exitCodes.failed, 'CLI_MIGRATION_GONE', text);
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  if (signal.aborted) return undefined;
  const text = `The server ended the watch; the move goes on. See godwit describe migration ${name}`;
  throw new CliError(exitCodes.unreachable, 'CLI_WATCH_ENDED', text);
}

/** The receipt is the data. What failed is said on stderr as well, where errors are looked for. */
function report(io: Io, migration: MigrationResource): ExitCode {
  const outcome = outcomeOf(migration);
  if (!outcome) return exitCodes.failed;
  const { exit, code, text, why, todo, notes } = outcome;
  const receipt = migration.status?.receipt;
  if (receipt) print(io, formatReceipt(receipt, undefined, styleOfOut(io)));
  else if (exit === exitCodes.fine) print(io, [text, ...(why === undefined ? [] : [why]), ...(notes ?? [])].join('\n'));
  if (code !== undefined) {
    say(io, `error: ${formatError(new GodwitError(code, why === undefined ? text : `${text}. Why: ${why}`))}`);
    if (todo !== undefined) say(io, `What to do: ${todo}`);
  } else if (exit !== exitCodes.fine) say(io, text);
  return exit;
}
