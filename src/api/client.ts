/** `Api` over HTTP: the same words and errors as in the server's own process. */
import type { Duplex } from 'node:stream';
import type { History, HistoryQuery } from '../model/history.ts';
import type { MigrationRequest, MigrationResource } from '../model/migration.ts';
import type { Kind } from '../model/resource.ts';
import type { VmResource } from '../model/vm-spec.ts';
import { type Api, ApiError, type Applied, type ConsoleApi, type Declaration, type Fault, type JoinToken, type Page, type ResourceOf, type WatchEvent } from './api.ts';
import { Connection, type Request, type ServerAddress } from './http-connection.ts';
import { CONSOLE_PROTOCOL, consolePath, historyPath, kindPath } from './http-paths.ts';
import { eventStream } from './http-stream.ts';
import { WatchView } from './watch-view.ts';

export interface ClientOptions {
  /** Told when a watch has lost its server and tries again. */
  readonly onLost?: (error: ApiError) => void;
}

export class HttpClient implements Api, ConsoleApi {
  readonly #connection: Connection;
  readonly #onLost: ClientOptions['onLost'];

  /** Connects when first used. Throws ApiError `API_ADDRESS`. */
  constructor(server: ServerAddress, options: ClientOptions = {}) {
    this.#connection = new Connection(server);
    this.#onLost = options.onLost;
  }

  close(): void {
    this.#connection.close();
  }

  async apply(documents: readonly Declaration[], options: { readonly dryRun?: boolean } = {}): Promise<readonly Applied[]> {
    return this.#ask({ method: 'POST', path: `/v1/apply${options.dryRun ? '?dryRun=true' : ''}`, body: documents });
  }

  async check(documents: readonly Declaration[]): Promise<readonly Fault[]> {
    const { warnings } = await this.#ask<{ readonly warnings: readonly Fault[] }>({ method: 'POST', path: '/v1/check', body: documents });
    return warnings;
  }

  async get<K extends Kind>(kind: K, name: string): Promise<ResourceOf[K]> {
    return this.#ask({ method: 'GET', path: kindPath(kind, name) });
  }

  async list<K extends Kind>(kind: K, page: Page = {}): Promise<readonly ResourceOf[K][]> {
    const query = new URLSearchParams();
    for (const [key, value] of Object.entries(page.labels ?? {})) query.append('label', `${key}=${value}`);
    if (page.last !== undefined) query.set('last', String(page.last));
    if (page.since !== undefined) query.set('since', String(Math.ceil(page.since)));
    const { items } = await this.#ask<{ readonly items: readonly ResourceOf[K][] }>(
      { method: 'GET', path: `${kindPath(kind)}${query.size > 0 ? `?${query}` : ''}` },
    );
    return items;
  }

  async *watch<K extends Kind>(kind: K, signal: AbortSignal): AsyncGenerator<WatchEvent<K>, void, void> {
    const view = new WatchView<K>();
    const stream = eventStream(
      { connection: this.#connection, path: `${kindPath(kind)}?watch=true`, signal, patient: false, onLost: this.#onLost },
    );
    for await (const event of stream) {
      if (event.kind === 'connected') view.connected(event.after);
      else if (event.event === 'change') yield* view.take(readChange<K>(event.data));
      if (signal.aborted) return;
    }
  }

  async remove(kind: Kind, name: string): Promise<void> {
    await this.#connection.json({ method: 'DELETE', path: kindPath(kind, name) });
  }

  async migrate(request: MigrationRequest): Promise<MigrationResource> {
    return this.#ask({ method: 'POST', path: '/v1/migrations', body: request });
  }

  async cancel(migration: string): Promise<MigrationResource> {
    return this.#ask({ method: 'POST', path: `${kindPath('Migration', migration)}/cancel` });
  }

  async start(vm: string): Promise<VmResource> {
    return this.#ask({ method: 'POST', path: `${kindPath('Vm', vm)}/start` });
  }

  async stop(vm: string, options: { readonly force?: boolean } = {}): Promise<VmResource> {
    return this.#ask({ method: 'POST', path: `${kindPath('Vm', vm)}/stop${options.force ? '?force=true' : ''}` });
  }

  async announce(vm: string): Promise<VmResource> {
    return this.#ask({ method: 'POST', path: `${kindPath('Vm', vm)}/announce` });
  }

  console(vm: string): Promise<Duplex> {
    return this.#connection.upgrade({ path: consolePath(vm) }, CONSOLE_PROTOCOL);
  }

  async history({ host, series, from, to, points }: HistoryQuery): Promise<History> {
    const query = new URLSearchParams({ series, from: String(Math.round(from)), to: String(Math.round(to)), points: String(points) });
    return this.#ask({ method: 'GET', path: `${historyPath(host)}?${query}` });
  }

  async createToken(ttl: number): Promise<JoinToken> {
    return this.#ask({ method: 'POST', path: '/v1/tokens', body: { ttl } });
  }

  async #ask<T>(request: Request): Promise<T> {
    // A server of this cluster answers as its OpenAPI document says; who else answers has been told apart by certificate or socket.
    return (await this.#connection.json(request)) as T;
  }
}

function readChange<K extends Kind>(text: string): WatchEvent<K> {
  try {
    // As above: from a server that has proved who it is.
    return JSON.parse(text) as WatchEvent<K>;
  } catch (cause) {
    throw new ApiError(0, 'API_PROTOCOL', 'The server sent a change that is not JSON: are client and server of one version?', { cause });
  }
}
