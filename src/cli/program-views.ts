/** The commands that show how things are and were: `events`, `why`, `matrix`, `top`, `history`. */
import type { Command } from 'commander';
import type { Api } from '../api/api.ts';
import type { ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { parseTarget } from './kinds.ts';
import { parseFormat, parsePlainFormat } from './output-format.ts';

interface EventsWords {
  readonly output: string;
  readonly watch?: boolean;
  readonly since?: string;
  readonly host?: string;
  readonly about?: string;
  readonly reason?: string;
}

interface MatrixWords {
  readonly path?: string;
  readonly metric: string;
  readonly output: string;
}

interface HistoryWords {
  readonly since: string;
  readonly points?: string;
  readonly output: string;
}

/** `ask` runs a command on the server. */
export function addViews(program: Command, io: Io, ask: (command: (api: Api) => Promise<ExitCode>) => Promise<void>): void {
  program.command('events').description('what happened last')
    .option('--since <time>', 'from then on: 10m, 2h, 1d, or a time like 2026-11-22T10:00 (UTC); the last hundred when nothing is said')
    .option('--host <host>', 'only of this host')
    .option('--about <kind/name>', 'only about this, like host/h1, path/h1/h2/main, vm/web-1')
    .option('--reason <word>', 'only with this reason, like PathUnfit')
    .option('-o, --output <format>', 'table, wide, json or yaml', 'table')
    .option('-w, --watch', 'go on with every event, until Ctrl-C')
    .action(async ({ output, watch, since, host, about, reason }: EventsWords) => {
      const { parseSince } = await import('./since.ts');
      const options = {
        format: parseFormat(output), watch: watch ?? false, since: since === undefined ? undefined : parseSince(since, io.clock.now()),
          host, reason,
        about: about === undefined ? undefined : parseTarget(about),
      };
      await ask(async (api) => (await import('./command-events.ts')).events(api, io, options));
    });

  program.command('why').description('tell of an event what happened, what was known, who saw it otherwise, what was done, what would '
    + 'have changed it')
    .argument('<event>',
      "an event's name, or a thing like path/h1/h2/main, host/h1, router/gw: its newest event with evidence").argument('[name]',
      'of a thing; KIND/NAME is the same')
    .action(async (word: string, name?: string) => {
      const { parseWhy, why } = await import('./command-why.ts');
      const target = parseWhy(word, name);
      await ask((api) => why(api, io, target));
    });

  program.command('matrix').description('one figure of every pair of hosts, source x destination')
    .option('--path <name>', 'of this path; main when nothing is said')
    .option('--metric <name>', 'rtt, loss, jitter, mtu or state', 'rtt')
    .option('-o, --output <format>', 'table or json', 'table')
    .action(async ({ path, metric, output }: MatrixWords) => {
      const { matrix, parseMetric } = await import('./command-matrix.ts');
      const options = { path, metric: parseMetric(metric), json: parsePlainFormat(output) === 'json' };
      await ask((api) => matrix(api, io, options));
    });

  program.command('top').description('hosts, paths and NICs of VMs as they are now, drawn anew each second; without a terminal once')
    .option('--view <name>', 'what to begin with: hosts, paths or nics', 'hosts')
    .action(async ({ view }: { readonly view: string }) => {
      const { parseView, top } = await import('./command-top.ts');
      const first = parseView(view);
      await ask((api) => top(api, io, first));
    });

  program.command('history').description("what a host's monitor has kept of one series, as a chart and a table")
    .argument('<host>').argument('<series>',
      'path/PEER/PATH/rtt|loss|loss-forward|loss-backward, link/NAME/rx|tx, nic/VM/N/rx|tx, host/softirq|lateness')
    .option('--since <time>', 'from then on: 10m, 2h, 1d, or a time like 2026-11-22T10:00 (UTC)', '1h')
    .option('--points <n>', 'lines of the table, 1 to 2000; 20 when nothing is said')
    .option('-o, --output <format>', 'table or json', 'table')
    .action(async (host: string, series: string, { since, points, output }: HistoryWords) => {
      const { history, parseHistory } = await import('./command-history.ts');
      const options = { since, points, json: parsePlainFormat(output) === 'json' };
      parseHistory(series, options, io.clock.now());
      await ask((api) => history(api, io, host, series, options));
    });
}
