/**
 * A lab with a real cluster in it: a server and an agent per host, each a process of its own in its own namespace, joined by tokens over
 * TLS, as on real machines; only the machine is one. State and run directories of each lie in the lab's directory.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { GodwitError } from '../base/error.ts';
import { HttpClient } from '../api/client.ts';
import type { Native } from '../native/native.ts';
import { lastLines } from '../vm/run-directory.ts';
import { Lab, type LabHost, type LabOptions } from './topology.ts';

const PROGRAM = join(import.meta.dirname, '../main.ts');
const PORT = 7443;
const READY = 20_000;

type Daemon = 'server' | `agent ${string}`;

export class LabCluster {
  readonly lab: Lab;
  readonly api: HttpClient;
  readonly #native: Native;
  readonly #processes = new Map<Daemon, ChildProcess>();

  private constructor(native: Native, lab: Lab) {
    this.#native = native;
    this.lab = lab;
    this.api = new HttpClient({ socketPath: this.socket });
  }

  /** A server and every host joined and ready. */
  static async open(native: Native, options: LabOptions, say: (line: string) => void = () => undefined): Promise<LabCluster> {
    const cluster = new LabCluster(native, new Lab(native, { ...options, server: true }));
    try {
      say('making the cluster: certificates, server');
      await cluster.#run(cluster.#server, 'init', 'init', '--state-dir', cluster.stateDir('server'), '--listen', `${cluster.#server.address}:${PORT}`);
      await cluster.startServer();
      for (const host of cluster.lab.hosts) {
        say(`joining ${host.name}`);
        const { token } = await cluster.api.createToken(600_000);
        await cluster.#run(host, `join ${host.name}`, 'agent', 'join', `https://${cluster.#server.address}:${PORT}`, '--token', token, '--name', host.name,
          '--address', String(host.address), '--state-dir', cluster.stateDir(host.name));
        cluster.startAgent(host.name);
      }
      await cluster.#declarePaths();
      await cluster.until('all hosts are ready', async () => (await cluster.api.list('Host')).filter(({ status }) => status?.state === 'ready').length === cluster.lab.hosts.length);
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  /** The hosts' further ways to each other. */
  async #declarePaths(): Promise<void> {
    const more = this.lab.hosts.filter(({ paths }) => Object.keys(paths).length > 0);
    if (more.length === 0) return;
    const known = new Map((await this.api.list('Host')).map(({ name, spec }) => [name, spec]));
    await this.api.apply(more.map(({ name, paths, address }) => ({
      kind: 'Host', name, spec: { ...(known.get(name) ?? { address: String(address) }), paths: Object.fromEntries(Object.entries(paths).map(([path, own]) => [path, String(own)])) },
    })));
  }

  get #server(): LabHost {
    if (!this.lab.server) throw new GodwitError('LAB_NO_HOST', 'This lab has no server');
    return this.lab.server;
  }

  /** The server's, mode 0600. */
  get socket(): string {
    return join(this.runDir('server'), 'godwit.sock');
  }

  stateDir(who: string): string {
    return join(this.lab.directory, who, 'state');
  }

  runDir(who: string): string {
    return join(this.lab.directory, who, 'run');
  }

  scriptsDir(host: string): string {
    return join(this.lab.directory, host, 'scripts');
  }

  keysDir(host: string): string {
    return join(this.lab.directory, host, 'keys');
  }

  log(who: string): string {
    return join(this.lab.directory, `${who}.log`);
  }

  /** Of a daemon that runs. */
  pid(daemon: Daemon): number {
    const pid = this.#processes.get(daemon)?.pid;
    if (pid === undefined) throw new GodwitError('LAB_DAEMON', `The ${daemon} does not run`);
    return pid;
  }

  async startServer(): Promise<void> {
    this.#start('server', this.#server, 'server', '--state-dir', this.stateDir('server'), '--run-dir', this.runDir('server'), '--listen', `${this.#server.address}:${PORT}`);
    await this.until('the server answers', async () => (await this.api.list('Host')).length >= 0);
  }

  startAgent(host: string): void {
    this.#start(`agent ${host}`, this.#host(host), 'agent', '--state-dir', this.stateDir(host), '--run-dir', this.runDir(host), '--scripts', this.scriptsDir(host), '--keys', this.keysDir(host));
  }

  /** SIGKILL unless told otherwise; resolves when it is gone. */
  async end(daemon: Daemon, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#processes.get(daemon);
    this.#processes.delete(daemon);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
  }

  /** Fails with LAB_TIMEOUT and the daemons' last words. */
  async until(what: string, holds: () => Promise<boolean>, limit = READY): Promise<void> {
    let last: unknown;
    for (const deadline = performance.now() + limit; performance.now() < deadline; await pause(25)) {
      try {
        if (await holds()) return;
        last = undefined;
      } catch (error) {
        last = error;
      }
    }
    const words = ['server', ...this.lab.hosts.map(({ name }) => name)].map((who) => `${who}: ${lastLines(this.log(who), 4)}`).join('\n');
    throw new GodwitError('LAB_TIMEOUT', `Not within ${limit / 1000} s: ${what}\n${words}`, { cause: last });
  }

  /** For whoever comes after this process: all goes on. */
  leave(): void {
    this.api.close();
    for (const child of this.#processes.values()) child.unref();
    this.lab.leave();
  }

  /** Ends the daemons, then every QEMU, then the lab. */
  async close(): Promise<void> {
    this.api.close();
    for (const daemon of this.#processes.keys()) await this.end(daemon);
    this.lab.endProcesses();
    this.lab.close();
  }

  #host(name: string): LabHost {
    const host = this.lab.hosts.find((h) => h.name === name);
    if (!host) throw new GodwitError('LAB_NO_HOST', `There is no host ${name} in this lab`);
    return host;
  }

  #start(daemon: Daemon, at: LabHost, ...words: string[]): void {
    const child = this.#spawn(at, this.log(at.name), words);
    this.#processes.set(daemon, child);
    if (child.pid !== undefined) writeFileSync(join(this.lab.directory, `${at.name}.pid`), `${child.pid}\n`);
  }

  async #run(at: LabHost, what: string, ...words: string[]): Promise<void> {
    const log = join(this.lab.directory, `${what.replaceAll(' ', '-')}.log`);
    const child = this.#spawn(at, log, words);
    const [code] = await once(child, 'exit');
    if (code !== 0) throw new GodwitError('LAB_DAEMON', `godwit ${words[0]} failed: ${existsSync(log) ? readFileSync(log, 'utf8') : ''}`);
  }

  #spawn(at: LabHost, log: string, words: readonly string[]): ChildProcess {
    mkdirSync(this.lab.directory, { recursive: true });
    const out = openSync(log, 'a');
    try {
      return this.#native.inNetns(at.host.netns, () => spawn(process.execPath, [PROGRAM, ...words], { stdio: ['ignore', out, out], detached: true }));
    } finally {
      closeSync(out);
    }
  }
}
