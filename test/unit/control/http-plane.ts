/** A control plane in memory for tests of its HTTP face: revisions, a history that can be forgotten, tokens; nothing is decided. */
import { ApiError, type Api, type Applied, type Declaration, type Page, type ResourceOf, type WatchEvent } from '../../../src/api/api.ts';
import type { AgentReport, HistoryOrder, ReportAnswer, Wanted } from '../../../src/api/agent-protocol.ts';
import type { ControlPlane } from '../../../src/control/control-plane.ts';
import type { HostSpec } from '../../../src/model/host.ts';
import type { MigrationSpec } from '../../../src/model/migration.ts';
import type { Kind } from '../../../src/model/resource.ts';
import { hashSecret, secretMatches } from '../../../src/trust/join-token.ts';

interface Stored {
  readonly kind: Kind;
  readonly name: string;
  readonly spec: unknown;
  readonly revision: number;
  readonly labels?: Readonly<Record<string, string>>;
}

export class PlaneStub implements ControlPlane {
  readonly #resources = new Map<string, Stored>();
  #history: { readonly of: Kind; readonly event: WatchEvent<Kind> }[] = [];
  readonly #wake = new Set<() => void>();
  readonly tokens = new Map<string, { readonly hash: string; used: boolean }>();
  readonly reports: { readonly host: string; readonly report: AgentReport }[] = [];
  readonly calls: string[] = [];
  /** Watches and streams of what is wanted, open now. */
  open = 0;
  revision = 0;
  #oldest = 1;
  wantedOf = (host: string): Wanted => {
    const placement = { host, epoch: 1, start: 1 };
    return { vms: [{ name: `on-${host}`, spec: { cpus: 1, memory: '64MiB' }, networks: {}, placement, running: true }], moves: [] };
  };
  failWith: Error | undefined;

  put(kind: Kind, name: string, spec: unknown = {}, labels?: Readonly<Record<string, string>>): void {
    const resource: Stored = { kind, name, spec, revision: ++this.revision, ...(labels ? { labels } : {}) };
    this.#resources.set(`${kind}/${name}`, resource);
    this.#tell(kind, { kind: 'put', resource: resource as ResourceOf[Kind], revision: this.revision });
  }

  delete(kind: Kind, name: string): void {
    if (!this.#resources.delete(`${kind}/${name}`)) throw new ApiError(404, 'CONTROL_NOT_FOUND', `There is no ${kind} ${name}`);
    this.#tell(kind, { kind: 'delete', name, revision: ++this.revision });
  }

  /** As a store does when it compacts. */
  forgetHistory(): void {
    this.#history = [];
    this.#oldest = this.revision + 1;
  }

  #tell(of: Kind, event: WatchEvent<Kind>): void {
    this.#history.push({ of, event });
    this.changed();
  }

  changed(): void {
    for (const wake of this.#wake) wake();
  }

  async #change(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#wake.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#wake.add(done);
      signal.addEventListener('abort', done);
      if (signal.aborted) done();
    });
  }

  async *watch<K extends Kind>(kind: K, signal: AbortSignal, after?: number): AsyncGenerator<WatchEvent<K>, void, void> {
    this.calls.push(`watch ${kind} ${after ?? '-'}`);
    if (this.failWith) throw this.failWith;
    this.open++;
    try {
      let told: number;
      if (after !== undefined && after + 1 >= this.#oldest && after <= this.revision) {
        told = after;
        yield { kind: 'synced', revision: after };
      } else {
        told = this.revision;
        for (const r of this.#resources.values()) {
          if (r.kind === kind) yield { kind: 'put', resource: r as unknown as ResourceOf[K], revision: told };
        }
        yield { kind: 'synced', revision: told };
      }
      while (!signal.aborted) {
        for (const { of, event } of this.#history.filter((h) => h.event.revision > told)) {
          told = event.revision;
          if (of === kind) yield event as WatchEvent<K>;
          if (signal.aborted) return;
        }
        if (this.#history.every((h) => h.event.revision <= told)) await this.#change(signal);
      }
    } finally {
      this.open--;
    }
  }

  async *wanted(host: string, signal: AbortSignal): AsyncGenerator<Wanted, void, void> {
    this.open++;
    try {
      while (!signal.aborted) {
        yield this.wantedOf(host);
        await this.#change(signal);
      }
    } finally {
      this.open--;
    }
  }

  async report(host: string, report: AgentReport): Promise<ReportAnswer> {
    if (this.failWith) throw this.failWith;
    this.reports.push({ host, report });
    const last = report.transitions?.at(-1);
    return {
      acknowledged: report.moves.filter((m) => m.end).map((m) => m.migration),
      ...(last ? { transitions: { pulse: last.pulse, sequence: last.sequence } } : {}),
    };
  }

  addToken(id: string, secret: string): void {
    this.tokens.set(id, { hash: hashSecret(secret), used: false });
  }

  async admit(host: string, spec: HostSpec, tokenId: string, secret: string): Promise<void> {
    const token = this.tokens.get(tokenId);
    if (!token || token.used || !secretMatches(secret, token.hash)) throw new ApiError(
      403, 'CONTROL_TOKEN_INVALID', 'The token is unknown, used or expired: make another',
    );
    if (this.#resources.has(`Host/${host}`)) throw new ApiError(409, 'CONTROL_HOST_EXISTS', `There is a host ${host} already`);
    token.used = true;
    this.put('Host', host, spec);
  }

  async apply(documents: readonly Declaration[], options?: { readonly dryRun?: boolean }): Promise<readonly Applied[]> {
    this.calls.push(`apply ${documents.length} ${options?.dryRun ?? false}`);
    const bad = documents.findIndex((d) => d['typo'] !== undefined);
    if (bad !== -1) throw new ApiError(
      400, 'CONTROL_INVALID', 'Nothing was applied', { faults: [{ document: bad, path: '/typo', message: 'is no key' }] },
    );
    // Of the test's own documents.
    return documents.map((d) => ({ kind: d.kind as Kind, name: d.name, change: 'created' }));
  }

  check: Api['check'] = async (documents) => {
    this.calls.push(`check ${documents.length}`);
    return documents.map((_, document) => ({ document, path: '/spec', message: 'is odd' }));
  };

  async get<K extends Kind>(kind: K, name: string): Promise<ResourceOf[K]> {
    if (this.failWith) throw this.failWith;
    const found = this.#resources.get(`${kind}/${name}`);
    if (!found) throw new ApiError(404, 'CONTROL_NOT_FOUND', `There is no ${kind} ${name}`);
    return found as unknown as ResourceOf[K];
  }

  async list<K extends Kind>(kind: K, page?: Page): Promise<readonly ResourceOf[K][]> {
    this.calls.push(`list ${kind} ${JSON.stringify(page ?? {})}`);
    return [...this.#resources.values()].filter((r) => r.kind === kind) as unknown as ResourceOf[K][];
  }

  async remove(kind: Kind, name: string): Promise<void> {
    this.delete(kind, name);
  }

  async migrate(spec: MigrationSpec): Promise<ResourceOf['Migration']> {
    this.put('Migration', `${spec.vm}-1`, spec);
    return this.get('Migration', `${spec.vm}-1`);
  }

  cancel: Api['cancel'] = (name) => this.get('Migration', name);
  start: Api['start'] = (name) => this.#noted(`start ${name}`, name);
  stop: Api['stop'] = (name, options) => this.#noted(`stop ${name} ${options?.force ?? false}`, name);
  announce: Api['announce'] = (name) => this.#noted(`announce ${name}`, name);
  readonly historyTold = new Map<string, Set<(order: HistoryOrder) => unknown>>();
  readonly historyAnswers: { readonly host: string; readonly id: string; readonly answer: unknown }[] = [];

  onHistory: ControlPlane['onHistory'] = (host, told) => {
    this.historyTold.set(host, (this.historyTold.get(host) ?? new Set()).add(told));
    return () => void this.historyTold.get(host)?.delete(told);
  };

  answerHistory: ControlPlane['answerHistory'] = (host, id, answer) => {
    this.historyAnswers.push({ host, id, answer });
  };

  history: Api['history'] = async (query) => {
    this.calls.push(`history ${JSON.stringify(query)}`);
    if (this.failWith) throw this.failWith;
    return { ...query, kind: 'gauge', data: [{ at: query.from, span: 1000, count: 1, value: 2.5, min: 2, max: 3 }] };
  };

  metrics: ControlPlane['metrics'] = () => [{ type: 'gauge', name: 'godwit_vms', help: 'VMs.', samples: [{ labels: { state: 'a"b' }, value: 2 }] }];

  createToken: Api['createToken'] = async (ttl) => ({ token: 'gwt1.x', expiresAt: ttl });

  #noted(call: string, name: string): Promise<ResourceOf['Vm']> {
    this.calls.push(call);
    return this.get('Vm', name);
  }
}
