/** A cluster in a box: an Api that answers from what it was given, and an Io that keeps what was written. */
import { type AnyResource, type Api, ApiError, type Applied, type Declaration, type Fault, type JoinToken, type Page, type ResourceOf, type WatchEvent } from '../../../src/api/api.ts';
import { seconds } from '../../../src/base/units.ts';
import type { Io } from '../../../src/cli/io.ts';
import { type World, runProgram } from '../../../src/cli/program.ts';
import type { ServerLocation } from '../../../src/cli/server-address.ts';
import type { History, HistoryQuery } from '../../../src/model/history.ts';
import type { MigrationResource, MigrationSpec } from '../../../src/model/migration.ts';
import type { Kind } from '../../../src/model/resource.ts';
import type { VmResource } from '../../../src/model/vm-spec.ts';
import { NOW } from './resources.ts';

export class StubApi implements Api {
  resources: readonly AnyResource[];
  readonly calls: unknown[] = [];
  applied: (documents: readonly Declaration[]) => readonly Applied[] = () => [];
  checked: (documents: readonly Declaration[]) => readonly Fault[] = () => [];
  /** What a watch tells, after all there is and `synced`; then it waits for the signal, unless it `ends`. */
  story: (() => AsyncIterable<AnyResource | string> | Iterable<AnyResource | string>) = () => [];
  ends = false;
  onCancel: () => void = () => undefined;
  migration: MigrationResource | undefined;
  kept: (query: HistoryQuery) => History = ({ series }) => {
    throw new ApiError(404, 'CONTROL_HISTORY_UNKNOWN', `Nothing was kept of ${series}`);
  };

  constructor(resources: readonly AnyResource[] = []) {
    this.resources = resources;
  }

  async apply(documents: readonly Declaration[], options?: { readonly dryRun?: boolean }): Promise<readonly Applied[]> {
    this.calls.push(['apply', documents, options]);
    return this.applied(documents);
  }

  async check(documents: readonly Declaration[]): Promise<readonly Fault[]> {
    this.calls.push(['check', documents]);
    return this.checked(documents);
  }

  async get<K extends Kind>(kind: K, name: string): Promise<ResourceOf[K]> {
    const found = this.#of(kind).find((r) => r.name === name);
    if (!found) throw new ApiError(404, 'CONTROL_NO_SUCH', `There is no ${kind} ${name}`);
    return found;
  }

  async list<K extends Kind>(kind: K, page: Page = {}): Promise<readonly ResourceOf[K][]> {
    this.calls.push(['list', kind, page]);
    const found = this.#of(kind).filter((r) => Object.entries(page.labels ?? {}).every(([k, v]) => r.labels?.[k] === v) && (r.kind !== 'Event' || r.spec.at >= (page.since ?? 0)));
    return page.last === undefined ? found : found.slice(-page.last);
  }

  async *watch<K extends Kind>(kind: K, signal: AbortSignal): AsyncGenerator<WatchEvent<K>> {
    for (const resource of this.#of(kind)) yield { kind: 'put', resource, revision: resource.revision };
    yield { kind: 'synced', revision: 100 };
    for await (const step of this.story()) {
      if (signal.aborted) return;
      if (typeof step === 'string') yield { kind: 'delete', name: step, revision: 101 };
      else if (isOf(kind, step)) yield { kind: 'put', resource: step, revision: step.revision };
    }
    if (!this.ends && !signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  }

  async remove(kind: Kind, name: string): Promise<void> {
    await this.get(kind, name);
    this.calls.push(['remove', kind, name]);
  }

  async migrate(spec: MigrationSpec): Promise<MigrationResource> {
    this.calls.push(['migrate', spec]);
    if (!this.migration) throw new ApiError(409, 'CONTROL_VM_MOVING', `${spec.vm} is moving already, in ${spec.vm}-1: wait for its end`);
    return this.migration;
  }

  async cancel(migration: string): Promise<MigrationResource> {
    this.calls.push(['cancel', migration]);
    this.onCancel();
    return await this.get('Migration', migration);
  }

  async start(vm: string): Promise<VmResource> {
    this.calls.push(['start', vm]);
    return await this.get('Vm', vm);
  }

  async stop(vm: string, options?: { readonly force?: boolean }): Promise<VmResource> {
    this.calls.push(['stop', vm, options]);
    return await this.get('Vm', vm);
  }

  async announce(vm: string): Promise<VmResource> {
    this.calls.push(['announce', vm]);
    return await this.get('Vm', vm);
  }

  async history(query: HistoryQuery): Promise<History> {
    this.calls.push(['history', query]);
    return this.kept(query);
  }

  async createToken(ttl: number): Promise<JoinToken> {
    this.calls.push(['token', ttl]);
    return { token: 'gwt1.a.b.c', expiresAt: NOW + ttl };
  }

  #of<K extends Kind>(kind: K): readonly ResourceOf[K][] {
    return this.resources.filter((r) => isOf(kind, r));
  }
}

const isOf = <K extends Kind>(kind: K, resource: AnyResource): resource is Extract<AnyResource, ResourceOf[K]> => resource.kind === kind;

export class StubIo implements Io {
  stdout = '';
  stderr = '';
  readonly files: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
  readonly out = { write: (text: string) => (this.stdout += text) };
  readonly err = { write: (text: string) => (this.stderr += text) };
  readonly listeners = new Set<() => void>();
  #monotonic = 0;
  readonly clock: Io['clock'] = {
    now: () => seconds(NOW / 1000),
    monotonic: () => seconds((this.#monotonic += 0.5)),
    sleep: async () => undefined,
  };

  constructor(files: Readonly<Record<string, string>> = {}, env: Readonly<Record<string, string>> = {}) {
    this.files = files;
    this.env = env;
  }

  async read(path: string): Promise<string> {
    const found = this.files[path];
    if (found === undefined) throw Object.assign(new Error(`ENOENT: no such file or directory, open '${path}'`), { code: 'ENOENT' });
    return found;
  }

  onInterrupt(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  interrupt(): void {
    if (this.listeners.size === 0) throw new Error('nobody listens for Ctrl-C: it would end the program');
    for (const listener of this.listeners) listener();
  }
}

export interface Ran {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly where: readonly ServerLocation[];
  readonly daemons: readonly unknown[];
}

export async function godwit(words: string, api: Api = new StubApi(), io: StubIo = new StubIo()): Promise<Ran> {
  const [where, daemons]: [ServerLocation[], unknown[]] = [[], []];
  const record = (name: string) => async (options?: unknown) => void daemons.push([name, options]);
  let open = 0;
  const world: World = {
    io, version: '1.2.3',
    connect: async (location) => {
      where.push(location);
      open++;
      return { api, close: () => void open-- };
    },
    daemons: { init: record('init'), server: record('server'), agent: record('agent'), join: record('join'), pulse: record('pulse'), endPulse: record('endPulse'), labUp: record('labUp'), labDown: record('labDown') },
  };
  const exit = await runProgram(words.split(' ').filter((word) => word !== ''), world);
  if (open !== 0) throw new Error('a connection was left open');
  if (io.listeners.size > 0) throw new Error('a listener for Ctrl-C was left behind');
  return { exit, stdout: io.stdout, stderr: io.stderr, where, daemons };
}
