/** The words of `godwit`: which command was asked for, with what. Commands are loaded when they are run, so that `--help` is quick. */
import { Command, CommanderError } from 'commander';
import type { Api, ConsoleApi } from '../api/api.ts';
import { exitCodeOf, printError } from './cli-error.ts';
import { type Daemons, defaultPort, defaultRunDir, defaultStateDir } from './daemon-options.ts';
import { type ExitCode, exitCodeHelp, exitCodes } from './exit-code.ts';
import { type Io, say } from './io.ts';
import { allKinds, parseTarget } from './kinds.ts';
import { type OutputFormat, parseFormat, parseSelector } from './output-format.ts';
import { addViews } from './program-views.ts';
import { type LocationOptions, type ServerLocation, defaultSocket, locateServer } from './server-address.ts';

/** Connected when first used. `close` lets go of what keeps the process alive. */
export type Connect = (where: ServerLocation) => Promise<{ readonly api: Api & Partial<ConsoleApi>; close(): void }>;

export interface World {
  readonly io: Io;
  readonly connect: Connect;
  readonly daemons: Daemons;
  readonly version: string;
}

/** `words`: those after the program's name. Prints what is to be said, and never rejects. */
export async function runProgram(words: readonly string[], world: World): Promise<ExitCode> {
  let exit: ExitCode = exitCodes.fine;
  const program = describeProgram(world, (code) => (exit = code));
  try {
    await program.parseAsync([...words], { from: 'user' });
    return exit;
  } catch (error) {
    // Help and version leave by an error, too, whose own code is 0; `godwit` alone shows the help and is a mistake all the same.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.fine : exitCodes.usage;
    printError(world.io, error);
    return exitCodeOf(error);
  }
}

/** Of an option that may be given several times. */
const gather = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

interface GetWords {
  readonly output: string;
  readonly selector: readonly string[];
  readonly watch?: boolean;
}

function describeProgram({ io, connect, daemons, version }: World, done: (exit: ExitCode) => void): Command {
  const program = new Command('godwit');
  program
    .description('Keeps virtual machines reachable while they move between hosts.')
    .version(version)
    .option('--socket <path>', `the server's unix socket (GODWIT_SOCKET; ${defaultSocket} when nothing is said)`)
    .option('--server <url>', 'the server, from afar: https://HOST:PORT (GODWIT_SERVER)')
    .option('--identity <dir>', 'with --server: directory of ca.pem, cert.pem and key.pem (GODWIT_IDENTITY)')
    .addHelpText('after', `\n${exitCodeHelp}`)
    .showHelpAfterError('What to do: see godwit help, or godwit help COMMAND.')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void io.out.write(text), writeErr: (text) => void io.err.write(text),
      getOutHelpWidth: () => io.out.columns ?? 100, getErrHelpWidth: () => io.err.columns ?? 100,
      getOutHasColors: () => false, getErrHasColors: () => false,
      outputError: (text, write) => write(text.replace(/\n/, ' [CLI_USAGE]\n')),
    });

  /** Runs a command on the server. */
  const ask = async (command: (api: Api & Partial<ConsoleApi>) => Promise<ExitCode>): Promise<void> => {
    const connection = await connect(locateServer(program.opts<LocationOptions>(), io.env));
    try {
      done(await command(connection.api));
    } finally {
      connection.close();
    }
  };
  const getOptions = ({ output, selector, watch }: GetWords): { format: OutputFormat; labels: Record<string, string>; watch: boolean } =>
    ({ format: parseFormat(output), labels: parseSelector(selector), watch: watch ?? false });

  program.command('apply').description('declare what is in YAML files: all of it, or nothing')
    .requiredOption('-f, --file <path>', 'a file, or - for stdin; may be given several times', gather)
    .option('--dry-run', 'say what would change, and change nothing')
    .action(({ file, dryRun }: { readonly file: readonly string[]; readonly dryRun?: boolean }) => ask(async (api) =>
      (await import('./command-apply.ts')).apply(api, io, file, { dryRun: dryRun ?? false })));

  const config = program.command('config').description('look at YAML files without applying them');
  config.command('check').description('all that apply would refuse, and what is worth a second thought; changes nothing')
    .argument('<file...>', 'files, or - for stdin')
    .option('--offline', 'by the files alone: no server is asked, and what they refer to beyond themselves is not looked for')
    .action(async (files: readonly string[], { offline }: { readonly offline?: boolean }) => {
      const { checkConfig, offlineChecker } = await import('./command-config.ts');
      if (offline) done(await checkConfig(offlineChecker(io), io, files));
      else await ask((api) => checkConfig(api, io, files));
    });

  program.command('get').description('list all of a kind, or one')
    .argument('<kind>', allKinds).argument('[name]', 'of one; KIND/NAME is the same')
    .option('-o, --output <format>', 'table, wide, json or yaml', 'table')
    .option('-l, --selector <key=value>', 'only those with this label', gather, [])
    .option('-w, --watch', 'go on with every change, until Ctrl-C')
    .action(async (kind: string, name: string | undefined, words: GetWords) => {
      const [target, options] = [parseTarget(kind, name), getOptions(words)];
      await ask(async (api) => (await import('./command-get.ts')).get(api, io, target, options));
    });

  addViews(program, io, ask);

  program.command('describe').description('everything about one thing; of a migration also its receipt')
    .argument('<kind>', allKinds).argument('[name]', 'of one; KIND/NAME is the same')
    .action(async (kind: string, name?: string) => {
      const target = parseTarget(kind, name);
      await ask(async (api) => (await import('./command-describe.ts')).describe(api, io, target));
    });

  program.command('delete').description('delete one thing; a VM is stopped first')
    .argument('<kind>', allKinds).argument('[name]', 'of one; KIND/NAME is the same')
    .action(async (kind: string, name?: string) => {
      const target = parseTarget(kind, name);
      await ask(async (api) => (await import('./command-delete.ts')).remove(api, io, target));
    });

  const vm = program.command('vm').description('start or stop a virtual machine, or open its console');
  vm.command('start').argument('<name>').description('start it, where it was or where there is room')
    .action((name: string) => ask(async (api) => (await import('./command-vm.ts')).startVm(api, io, name)));
  vm.command('stop').argument('<name>').description('ask the guest to power down; end it when it has not after 30 s')
    .option('--force', 'end it at once')
    .action((name: string, { force }: { readonly force?: boolean }) => ask(async (api) =>
      (await import('./command-vm.ts')).stopVm(api, io, name, force ?? false)));
  vm.command('console').argument('<name>').description("the guest's serial port; Ctrl-] leaves")
    .action((name: string) => ask(async (api) => (await import('./command-console.ts')).vmConsole(api, io, name)));

  program.command('migrate').description('move a running VM to another host').argument('<vm>')
    .option('--to <host>', 'the host to move it to; without, the soundest that has room')
    .option('--wait', 'show how far it is, and print the receipt; Ctrl-C cancels the move')
    .option('--dry-run', 'plan it, say what would happen, and change nothing')
    .action((name: string, { to, wait, dryRun }: MigrateWords) => ask(async (api) =>
      (await import('./command-migrate.ts')).migrate(api, io, { vm: name, ...(to === undefined ? {} : { to }), wait: wait ?? false, dryRun: dryRun ?? false })));

  program.command('announce').description("tell neighbours and switches anew where a running VM's addresses are").argument('<vm>')
    .action((name: string) => ask(async (api) => (await import('./command-vm.ts')).announceVm(api, io, name)));

  program.command('cancel').description('take a migration back; after it was handed over it is too late').argument('<migration>')
    .action((name: string) => ask(async (api) => (await import('./command-migrate.ts')).cancel(api, io, name)));

  program.command('token').description('let hosts join').command('create')
    .description('make a token with which one host may join')
    .option('--ttl <time>', 'how long it can be used: 30m, 1h, up to 24h', '1h')
    .action(({ ttl }: { readonly ttl: string }) => ask(async (api) =>
      (await import('./command-token.ts')).createToken(api, io, ttl)));

  addDaemons(program, daemons, io);
  return program;
}

interface MigrateWords {
  readonly to?: string;
  readonly wait?: boolean;
  readonly dryRun?: boolean;
}

interface InitWords {
  readonly name?: string;
  readonly listen: readonly string[];
  readonly stateDir: string;
}

interface DaemonWords {
  readonly stateDir: string;
  readonly runDir: string;
}

interface AgentWords extends DaemonWords {
  readonly scripts: string;
  readonly keys: string;
  readonly metrics?: string;
}

interface MonitorWords extends DaemonWords {
  readonly metrics?: string;
  readonly netns?: string;
}

function addDaemons(program: Command, daemons: Daemons, io: Io): void {
  const STATE = ['--state-dir <dir>', 'what has to be kept', defaultStateDir] as const;
  const RUN = ['--run-dir <dir>', 'sockets, and what runs', defaultRunDir] as const;
  const load = (): Promise<typeof import('./command-daemon.ts')> => import('./command-daemon.ts');

  program.command('init').description('make a cluster: its certificate authority, and the identities of server and administrator')
    .option('--name <name>', 'of the cluster')
    .option('--listen <host:port>', 'name or address under which others will reach the server; may be given several times', gather, [])
    .option(...STATE)
    .action(async ({ name, listen, stateDir }: InitWords) => {
      const { parseListen } = await load();
      await daemons.init({ stateDir, ...(name === undefined ? {} : { name }), listen: listen.map(parseListen) });
      const at = listen[0] ?? `:${defaultPort}`;
      say(io, `The cluster's certificates are in ${stateDir}. Next: godwit server --listen ${at}; then godwit token create, once for each host.`);
    });

  program.command('server').description('run the server, until it is told to end')
    .option('--listen <host:port>',
      `for agents and administrators from afar, like :${defaultPort}; without it there is only the unix socket`)
    .option(...STATE).option(...RUN)
    .action(async ({ listen, stateDir, runDir }: DaemonWords & { readonly listen?: string }) => {
      const { parseListen } = await load();
      await daemons.server({ stateDir, runDir, ...(listen === undefined ? {} : { listen: parseListen(listen) }) });
    });

  const agent = program.command('agent').description("run this host's agent, until it is told to end; VMs outlive it")
    .option(...STATE).option(...RUN)
    .option('--scripts <dir>', "virtual routers' tracking and notify scripts", '/etc/godwit/scripts')
    .option('--keys <dir>', "BFD sessions' keys", '/etc/godwit/keys')
    .option('--metrics <address:port>', 'where its monitor serves Prometheus /metrics, like 127.0.0.1:9442; nowhere without')
    .action(async ({ metrics, ...words }: AgentWords) => {
      const parse = async (text: string) => (await import('../monitor/main.ts')).parseMetricsAddress(text);
      await daemons.agent({ ...words, ...(metrics === undefined ? {} : { metrics: await parse(metrics) }) });
    });
  agent.command('join').description('make this host one of the cluster').argument('<url>', "the server's, like https://10.0.0.1:7443")
    .requiredOption('--token <token>', 'of godwit token create')
    .requiredOption('--address <ip>', "this host's, on the network that carries migrations")
    .option('--name <name>', "this host's; its host name when nothing is said")
    .option('--peer-port <port>', 'where other agents reach this one')
    .action(async (url: string, _: unknown, command: Command) => {
      const { joinOptions } = await load();
      // --state-dir is the agent's own option: it may stand before or after `join`.
      await daemons.join(joinOptions(url, command.optsWithGlobals()));
      say(io, 'This host has joined. Next: godwit agent, or its unit in dist/systemd.');
    });

  const pulse = program.command('pulse', { hidden: true }).description("run this host's pulse, until it is told to end; the agent starts it by itself")
    .option(...RUN)
    .action(async ({ runDir }: Pick<DaemonWords, 'runDir'>) => void (await daemons.pulse({ runDir })));
  pulse.command('end').description("have it leave every virtual router in good order and end; an agent that runs starts another")
    .action(async (_: unknown, command: Command) => {
      const { runDir } = command.optsWithGlobals<Pick<DaemonWords, 'runDir'>>();
      await daemons.endPulse({ runDir });
    });

  program.command('monitor', { hidden: true }).description("run this host's monitor, until stdin ends; the agent starts it by itself")
    .option(...STATE).option(...RUN)
    .option('--metrics <address:port>', 'where it serves Prometheus /metrics; nowhere without')
    .option('--netns <name>', 'of another network namespace than its own')
    .action(async (words: MonitorWords) => (await import('../monitor/main.ts')).monitorCommand(words));

  const lab = program.command('lab').description('a whole cluster on this machine, to try things on');
  lab.command('up').description('make it').option('--hosts <n>', 'how many', '2')
    .action(async ({ hosts }: { readonly hosts: string }) => {
      const { parseHosts } = await load();
      await daemons.labUp({ hosts: parseHosts(hosts) });
    });
  lab.command('down').description('take it away').action(async () => void (await daemons.labDown()));
}
