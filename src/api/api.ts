/**
 * api/: what programs say to each other: the administrator's API, the agents' protocol, and the client that speaks both over HTTP.
 *
 * `Api` is everything an administrator can ask of a cluster. The server's control plane fulfils it in its own process
 * (control/control-plane.ts), the HTTP client over a unix socket or mutual TLS (client.ts): the same words, the same errors.
 */
import type { Duplex } from 'node:stream';
import { GodwitError } from '../base/error.ts';
import type { AddressResource } from '../model/address.ts';
import type { BfdSessionResource } from '../model/bfd-session.ts';
import type { EventResource } from '../model/event.ts';
import type { History, HistoryQuery } from '../model/history.ts';
import type { HostResource } from '../model/host.ts';
import type { MigrationRequest, MigrationResource } from '../model/migration.ts';
import type { NetworkResource } from '../model/network.ts';
import type { PathResource } from '../model/path.ts';
import type { PolicyResource } from '../model/cluster-policy.ts';
import type { Kind } from '../model/resource.ts';
import type { VirtualRouterResource } from '../model/virtual-router.ts';
import type { VmResource } from '../model/vm-spec.ts';

export interface ResourceOf {
  readonly Host: HostResource;
  readonly Network: NetworkResource;
  readonly Vm: VmResource;
  readonly VirtualRouter: VirtualRouterResource;
  readonly BfdSession: BfdSessionResource;
  readonly Path: PathResource;
  readonly Address: AddressResource;
  readonly Migration: MigrationResource;
  readonly Event: EventResource;
  readonly Policy: PolicyResource;
}
export type AnyResource = ResourceOf[Kind];

/** One document of a file, as read; checked by the server (and before that by who can name its file and line). */
export interface Declaration {
  readonly kind: string;
  readonly name: string;
  readonly [key: string]: unknown;
}

export interface Applied {
  readonly kind: Kind;
  readonly name: string;
  readonly change: 'created' | 'changed' | 'unchanged';
}

export type WatchEvent<K extends Kind> =
  | { readonly kind: 'put'; readonly resource: ResourceOf[K]; readonly revision: number }
  | { readonly kind: 'delete'; readonly name: string; readonly revision: number }
  /** All that there was at `revision` has been told; what follows is change. */
  | { readonly kind: 'synced'; readonly revision: number };

export interface JoinToken {
  /** Single use: `gwt1.<id>.<secret>.<sha256 of the CA's certificate, base64url>`. */
  readonly token: string;
  /** ms since the epoch. */
  readonly expiresAt: number;
}

export interface Page {
  /** Label selector: all of these. */
  readonly labels?: Readonly<Record<string, string>>;
  /** The newest so many (events, migrations); all without. */
  readonly last?: number;
  /** Events since then, ms since the epoch. */
  readonly since?: number;
}

/** Fails with ApiError. */
export interface Api {
  /** All or nothing: one revision, or an error that names every fault of every document. */
  apply(documents: readonly Declaration[], options?: { readonly dryRun?: boolean }): Promise<readonly Applied[]>;
  /** Changes nothing. Fails as `apply` would; else what is worth a second thought. */
  check(documents: readonly Declaration[]): Promise<readonly Fault[]>;
  get<K extends Kind>(kind: K, name: string): Promise<ResourceOf[K]>;
  list<K extends Kind>(kind: K, page?: Page): Promise<readonly ResourceOf[K][]>;
  /** What there is, `synced`, then every change, until aborted. Reconnects by itself and resumes by revision. */
  watch<K extends Kind>(kind: K, signal: AbortSignal): AsyncIterable<WatchEvent<K>>;
  remove(kind: Kind, name: string): Promise<void>;
  /** Without `to`: to the soundest host that has room. */
  migrate(request: MigrationRequest): Promise<MigrationResource>;
  /** Asks for it; after the commit it is too late and the move goes on. */
  cancel(migration: string): Promise<MigrationResource>;
  start(vm: string): Promise<VmResource>;
  /** Asks the guest to power down, and ends QEMU when it has not after 30 s; `force` at once. */
  stop(vm: string, options?: { readonly force?: boolean }): Promise<VmResource>;
  /** Has the VM's host tell neighbours and switches anew where its addresses are: asked for, not waited for. */
  announce(vm: string): Promise<VmResource>;
  /** Of what a host's monitor has kept. Fails with CONTROL_HISTORY_UNKNOWN (no such series), CONTROL_HISTORY_SILENT (no answer in 5 s). */
  history(query: HistoryQuery): Promise<History>;
  /** `ttl` in ms, at most 24 h. */
  createToken(ttl: number): Promise<JoinToken>;
}

/** What is only to be had over HTTP. */
export interface ConsoleApi {
  /** The serial port of a VM that runs, both ways, until either side ends it. One at a time. Fails with ApiError. */
  console(vm: string): Promise<Duplex>;
}

/** One fault of a document: `document` counts from 0, `path` is a JSON pointer into it. */
export interface Fault {
  readonly document: number;
  readonly path: string;
  readonly message: string;
}

/** A refusal or failure as RFC 9457 problem details carry it: `code` is stable (docs/ERRORS.md), `status` that of HTTP. */
export class ApiError extends GodwitError {
  readonly status: number;
  readonly faults: readonly Fault[];

  constructor(status: number, code: string, message: string, options: { readonly faults?: readonly Fault[]; readonly cause?: unknown } = {}) {
    super(code, message, options.cause === undefined ? undefined : { cause: options.cause });
    this.status = status;
    this.faults = options.faults ?? [];
  }
}
