/**
 * The control plane on a store. Everything it decides, it decides in one place: a draft of the newest state, in which first what was
 * asked or heard is written and then what follows from it (reconcile.ts), stored as one transaction.
 */
import { Compile } from 'typebox/compile';
import { Type } from 'typebox';
import type { NoHistory } from '../api/agent-client.ts';
import type { AgentReport, HistoryOrder, ReportAnswer, Wanted } from '../api/agent-protocol.ts';
import type { Applied, Declaration, Fault, JoinToken, Page, ResourceOf, WatchEvent } from '../api/api.ts';
import type { Clock } from '../base/clock.ts';
import { formatError } from '../base/error.ts';
import { type Milliseconds, ms, seconds } from '../base/units.ts';
import type { History, HistoryQuery } from '../model/history.ts';
import { HostSpec } from '../model/host.ts';
import type { MigrationRequest, MigrationResource } from '../model/migration.ts';
import { type Kind, Name } from '../model/resource.ts';
import type { VmResource } from '../model/vm-spec.ts';
import type { Store } from '../store/store.ts';
import { caHash, formatJoinToken, hashSecret, makeJoinToken } from '../trust/join-token.ts';
import { hearConflicts } from './address-conflicts.ts';
import { Acting } from './acting.ts';
import { Alerts, dropAlerts } from './alerts.ts';
import { addressesOf } from './addresses.ts';
import { apply } from './apply.ts';
import { hearSessions } from './bfd-sessions.ts';
import { Cluster } from './cluster.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Derived } from './derived.ts';
import { DetectionPlans } from './detection-plans.ts';
import type { Draft } from './draft.ts';
import { agentDuplicate, agentEarly, hostUnknown, invalid, notFound, tokenInvalid, tokenTtl } from './errors.ts';
import { EventLimit } from './event-limit.ts';
import { cutEvents, tellLeftOut } from './events.ts';
import { Histories } from './histories.ts';
import { admitHost, dropTokens, hearHost, noticeSilence, refreshHosts } from './hosts.ts';
import { Liveness } from './liveness.ts';
import { type Random, acknowledged, cancel, hearMoves, migrate, refreshProgress } from './migrations.ts';
import { type Family, Tally, countEvents, families } from './metrics.ts';
import { MoveHistory } from './move-history.ts';
import { pathUse } from './path-use.ts';
import { pathsOf } from './paths.ts';
import { reconcile } from './reconcile.ts';
import type { Row, Table, Tables } from './records.ts';
import { remove } from './remove.ts';
import { type Memory, freshened, resource, tableOf } from './resources.ts';
import { hearRouters, refreshRouters } from './routers.ts';
import { hearTransitions, storedTransition } from './transitions.ts';
import { hearTurns, storedTurn } from './turns.ts';
import { Verdicts } from './verdicts.ts';
import { announce, hearVms, start, stop } from './vms.ts';
import { wantedOf } from './wanted.ts';
import { warningsOf } from './warnings.ts';
import { watch } from './watch.ts';
import type { Post } from './webhook-line.ts';
import { Webhooks } from './webhooks.ts';

export interface Log {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

export interface ControlOptions {
  readonly clock: Clock;
  /** Cryptographic. */
  readonly random: Random;
  /** Of the cluster's CA, in PEM: join tokens carry its hash. */
  readonly caCertificate: string;
  readonly log?: Log;
  /** To webhooks; without, by HTTP. */
  readonly post?: Post;
}

export interface OpenControlPlane extends ControlPlane {
  /** Ends what runs; the store stays open. Idempotent. */
  close(): Promise<void>;
}

/** Between two looks at what changes by time alone: silence, waiting, what is in memory and to be written. */
const TICK = ms(500);
/** A tick that comes so late says that the server itself did not run. */
const LATE = ms(2000);
/** Besides on every turn of a path. */
const ACT = seconds(1);
const WRITE_HOSTS = seconds(10);
const WRITE_PROGRESS = seconds(2);
const LONGEST_TTL = seconds(24 * 3600);

const JoiningHost = Compile(Type.Object({ name: Name, spec: HostSpec }));

/** Fails with StoreError. */
export async function openControlPlane(store: Store, options: ControlOptions): Promise<OpenControlPlane> {
  const fault = (error: unknown): void => options.log?.error({ error: formatError(error) }, 'The store does not tell its changes; it is asked again');
  return new Plane(store, await Cluster.open(store, options.clock, fault), options);
}

class Plane implements OpenControlPlane {
  readonly #store: Store;
  readonly #cluster: Cluster;
  readonly #options: ControlOptions;
  readonly #live: Liveness;
  readonly #verdicts: Verdicts;
  readonly #addresses: Derived<'Address'>;
  readonly #paths: Derived<'Path'>;
  readonly #histories: Histories;
  readonly #plans = new DetectionPlans();
  readonly #limit = new EventLimit();
  readonly #events = new Tally();
  readonly #acting: Acting;
  readonly #alerts = new Alerts();
  readonly #webhooks: Webhooks;
  readonly #history = new MoveHistory();
  readonly #stop = new AbortController();
  readonly #ticking: Promise<void>;

  constructor(store: Store, cluster: Cluster, options: ControlOptions) {
    this.#store = store;
    this.#cluster = cluster;
    this.#options = options;
    this.#live = new Liveness(options.clock.monotonic());
    this.#verdicts = new Verdicts(this.#live);
    this.#addresses = addressesOf(this.#live, options.clock);
    this.#paths = pathsOf(this.#live, options.clock, pathUse);
    this.#histories = new Histories(options.clock, options.random);
    this.#acting = new Acting(this.#live, options.random, options.clock);
    this.#webhooks = new Webhooks(cluster, options);
    this.#ticking = this.#tick();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#histories.close();
    await this.#ticking;
    await this.#webhooks.close();
    await this.#cluster.close();
  }

  async apply(documents: readonly Declaration[], options: { readonly dryRun?: boolean } = {}): Promise<readonly Applied[]> {
    if (options.dryRun) return apply(this.#cluster.draft(), documents, this.#time());
    return this.#change((draft) => apply(draft, documents, this.#time()));
  }

  async check(documents: readonly Declaration[]): Promise<readonly Fault[]> {
    const draft = this.#cluster.draft();
    apply(draft, documents, this.#time());
    return warningsOf(draft, documents, this.#live);
  }

  async get<K extends Kind>(kind: K, name: string): Promise<ResourceOf[K]> {
    const derived = kind === 'Address' || kind === 'Path';
    const row = derived ? this.#rows(tableOf[kind]).find((r) => r.name === name) : this.#cluster.row(tableOf[kind], name);
    if (!row) throw notFound(kind, name, this.#rows(tableOf[kind]).map((other) => other.name));
    return resource(kind, freshened(tableOf[kind], row, this.#memory, true));
  }

  /** By name; events and migrations in their order. */
  async list<K extends Kind>(kind: K, { labels = {}, last, since }: Page = {}): Promise<readonly ResourceOf[K][]> {
    const table = tableOf[kind];
    const wanted = Object.entries(labels);
    const rows = this.#rows(table).filter(({ record }) => wanted.every(([key, value]) => 'labels' in record && record.labels?.[key] === value)
      && (since === undefined || !('at' in record.spec) || record.spec.at >= since));
    const ordered = kind === 'Event' || kind === 'Migration' ? rows : rows.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    return ordered.slice(last === undefined ? 0 : Math.max(0, ordered.length - last)).map((row) => resource(kind, freshened(table, row, this.#memory)));
  }

  watch<K extends Kind>(kind: K, signal: AbortSignal, after?: number): AsyncIterable<WatchEvent<K>> {
    const until = AbortSignal.any([signal, this.#stop.signal]);
    // What each watches are events of that kind.
    if (kind === 'Address') return this.#addresses.watch(this.#cluster, until) as AsyncIterable<WatchEvent<Kind>> as AsyncIterable<WatchEvent<K>>;
    if (kind === 'Path') return this.#paths.watch(this.#cluster, until) as AsyncIterable<WatchEvent<Kind>> as AsyncIterable<WatchEvent<K>>;
    return watch(this.#store, this.#cluster, kind, until, after);
  }

  async remove(kind: Kind, name: string): Promise<void> {
    await this.#change((draft) => remove(draft, kind, name, this.#time()));
    if (kind === 'Host') this.#live.forget(name);
  }

  async migrate(request: MigrationRequest): Promise<MigrationResource> {
    return this.get('Migration', await this.#change((draft) => {
      const time = this.#time();
      return migrate(draft, request, time, this.#options.random, (from) => this.#acting.target(draft, request, from, time));
    }));
  }

  async cancel(migration: string): Promise<MigrationResource> {
    await this.#change((draft) => cancel(draft, migration, this.#time()));
    return this.get('Migration', migration);
  }

  async start(vm: string): Promise<VmResource> {
    await this.#change((draft) => start(draft, vm));
    return this.get('Vm', vm);
  }

  async stop(vm: string, options: { readonly force?: boolean } = {}): Promise<VmResource> {
    await this.#change((draft) => stop(draft, vm, options.force ?? false));
    return this.get('Vm', vm);
  }

  async announce(vm: string): Promise<VmResource> {
    await this.#change((draft) => announce(draft, vm, this.#time()));
    return this.get('Vm', vm);
  }

  async createToken(ttl: number): Promise<JoinToken> {
    if (!(ttl > 0 && ttl <= LONGEST_TTL)) throw tokenTtl();
    const parts = makeJoinToken(this.#options.random, caHash(this.#options.caCertificate));
    const expiresAt = this.#time() + ttl;
    await this.#change((draft) => draft.put('tokens', parts.id, { hash: hashSecret(parts.secret), expiresAt }));
    return { token: formatJoinToken(parts), expiresAt };
  }

  async admit(host: string, spec: HostSpec, tokenId: string, secret: string): Promise<void> {
    const joining = { name: host, spec };
    if (!JoiningHost.Check(joining)) {
      throw invalid(JoiningHost.Errors(joining).map(({ instancePath, message }) => ({ document: 0, path: instancePath, message })));
    }
    const reason = await this.#change((draft) => admitHost(draft, host, spec, { id: tokenId, secret }, this.#time()));
    if (reason !== undefined) {
      this.#options.log?.warn({ host, token: tokenId, reason }, 'A join token was refused');
      throw tokenInvalid();
    }
  }

  async report(host: string, report: AgentReport): Promise<ReportAnswer> {
    const { verdict, undeclared } = await this.#change((draft) => {
      const time = this.#time();
      const verdict = hearHost(draft, host, report, this.#live, { at: this.#options.clock.monotonic(), time });
      if (verdict !== 'new') return { verdict };
      // Moves first: what they decide says which placement of a VM counts.
      hearMoves(draft, host, report.moves, time);
      const telling = { limit: this.#limit, time, at: this.#options.clock.monotonic() };
      hearTransitions(draft, host, report.transitions ?? [], telling);
      hearTurns(draft, host, report.turns ?? [], telling);
      hearRouters(draft, host, report.routers, time);
      hearSessions(draft, host, report.sessions, time);
      hearConflicts(draft, host, report.addresses, time);
      const undeclared = hearVms(draft, host, report.vms, this.#live, time);
      const instant = { at: this.#options.clock.monotonic(), time };
      this.#alerts.hear(draft, host, report.monitor?.alerts, instant);
      if (report.turns && report.turns.length > 0) this.#acting.turned(draft, instant);
      return { verdict, undeclared };
    });
    // Only now is the alarm about them on the disk.
    if (undeclared) this.#live.toldUndeclared(host, undeclared);
    if (verdict === 'early') throw agentEarly(host);
    if (verdict === 'duplicate') {
      this.#options.log?.warn({ host, instance: report.instance }, 'A report of an agent that a newer one has replaced was refused');
      throw agentDuplicate(host);
    }
    const transitions = storedTransition(this.#cluster, host, report.transitions ?? []);
    const turns = storedTurn(this.#cluster, host, report.turns ?? []);
    if (this.#verdicts.isNews(host, report.opinions ?? [])) this.#verdicts.look(this.#cluster, this.#options.clock.monotonic());
    return { acknowledged: acknowledged(this.#cluster, report.moves), ...(transitions ? { transitions } : {}), ...(turns ? { turns } : {}) };
  }

  async *wanted(host: string, signal: AbortSignal): AsyncGenerator<Wanted, void, undefined> {
    const until = AbortSignal.any([signal, this.#stop.signal]);
    for (let told = ''; !until.aborted; ) {
      const { revision } = this.#cluster;
      if (!this.#cluster.get('hosts', host)) throw hostUnknown(host);
      const wanted = wantedOf(this.#cluster, host, this.#plans.plan(this.#cluster, host));
      const text = JSON.stringify(wanted);
      if (text !== told) yield wanted;
      told = text;
      await this.#cluster.changedSince(revision, until);
    }
  }

  /** Fails with ApiError. */
  async history(query: HistoryQuery): Promise<History> {
    await this.get('Host', query.host);
    return this.#histories.ask(query);
  }

  onHistory(host: string, told: (order: HistoryOrder) => unknown): () => void {
    return this.#histories.listen(host, told);
  }

  answerHistory(host: string, id: string, answer: History | NoHistory): void {
    this.#histories.answer(host, id, answer);
  }

  metrics(): readonly Family[] {
    return families(this.#cluster, this.#paths.rows(this.#cluster), this.#verdicts, this.#events);
  }

  get #memory(): Memory {
    return { live: this.#live, verdicts: this.#verdicts };
  }

  /** Addresses and paths are in no store. */
  #rows<T extends Table>(table: T): readonly Row<Tables[T]>[] {
    const derived = table === 'addresses' ? this.#addresses : table === 'paths' ? this.#paths : undefined;
    // By their table.
    return derived ? (derived.rows(this.#cluster) as readonly Row<Tables[Table]>[] as readonly Row<Tables[T]>[]) : this.#cluster.rows(table);
  }

  /** What was asked or heard, and what follows from it. */
  async #change<R>(decide: (draft: Draft) => R, always = false): Promise<R> {
    let last: Draft | undefined;
    const result = await this.#cluster.change((draft) => {
      last = draft;
      const result = decide(draft);
      if (draft.changed || always) {
        const { clock, random } = this.#options;
        reconcile(draft, { live: this.#live, history: this.#history, acting: this.#acting, random, time: clock.now(), at: clock.monotonic() });
      }
      return result;
    });
    countEvents(this.#events, (last?.written('events') ?? []).map(({ spec }) => spec));
    return result;
  }

  async #tick(): Promise<void> {
    const { clock, log } = this.#options;
    let last = clock.monotonic();
    let [hosts, progress, acted]: [Milliseconds, Milliseconds, Milliseconds] = [last, last, last];
    let failing = false;
    while (!this.#stop.signal.aborted) {
      const at = clock.monotonic();
      if (at - last > TICK + LATE) this.#live.wasDeaf(at);
      last = at;
      const [writeHosts, writeProgress] = [at - hosts >= WRITE_HOSTS, at - progress >= WRITE_PROGRESS];
      const act = at - acted >= ACT;
      if (act) acted = at;
      if (writeHosts) hosts = at;
      if (writeProgress) progress = at;
      try {
        await this.#change((draft) => {
          noticeSilence(draft, this.#live, at, this.#time());
          this.#verdicts.look(draft, at);
          this.#verdicts.tell(draft, at, this.#time());
          tellLeftOut(draft, this.#limit.due(at), this.#time());
          dropTokens(draft, this.#time());
          dropAlerts(draft);
          if (act) this.#acting.act(draft, { at, time: this.#time() });
          if (writeHosts) refreshHosts(draft, this.#live);
          if (writeHosts) refreshRouters(draft, this.#live);
          if (writeProgress) refreshProgress(draft, this.#live);
        }, true);
        this.#limit.settle(at, this.#limit.due(at));
        await cutEvents(this.#cluster);
        failing = false;
      } catch (error) {
        if (!failing) log?.error({ error: formatError(error) }, 'What is due could not be written; it is tried again');
        failing = true;
      }
      await clock.sleep(TICK, this.#stop.signal);
    }
  }

  #time(): number {
    return this.#options.clock.now();
  }
}
