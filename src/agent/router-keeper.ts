/**
 * The agent's side of the pulse: virtual routers here, BFD by session-desk.ts. What is wanted lies on this host's disk, so that they come
 * up without the server; the pulse is started, told and heard; when it dies, what it held is taken back at once and it is started anew.
 */
import { formatError } from '../base/error.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { ms, seconds } from '../base/units.ts';
import type { Disk } from '../host/disk.ts';
import type { BfdSessionPlan, BfdStatus } from '../model/bfd-session.ts';
import type { RouterPlan, RouterStatus, RouterTransition } from '../model/virtual-router.ts';
import type { PeerOpinion } from '../protocol/failure-detector.ts';
import type { PulseMessage } from '../pulse/pulse-protocol.ts';
import type { PulseLink, Pulses } from './pulse-link.ts';
import { RouterFiles } from './router-files.ts';
import { type Detector, SessionDesk } from './session-desk.ts';
import type { ReadKey } from './session-keys.ts';
import { type Transition, TransitionBook, isOfRouter } from './transition-book.ts';

export interface Tracks {
  /** What these hang on, and no more. */
  want(plans: readonly RouterPlan[]): void;
  /** By `trackKey`. */
  known(): Readonly<Record<string, boolean>>;
  close(): Promise<void>;
}

export interface RouterKeeperParts {
  /** Of this agent; a pulse of another one is replaced. */
  readonly version: string;
  readonly pulses: Pulses;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  /** There is something new to report. */
  readonly changed: () => void;
  /** Looks at processes and scripts, and calls `changed` with each news. */
  readonly tracks: (changed: () => void) => Tracks;
  /** Of BFD sessions. */
  readonly key: ReadKey;
  /** Runs the router's hook. Never rejects. */
  readonly notify: (script: string, transition: RouterTransition) => void;
}

/** Looks, a second apart, that a pulse says nothing in between: then nothing is known of it; and then it is ended. */
const SILENT = { unknown: 3, end: 10 } as const;
/** Looks, a second apart, between two at the keys. */
const KEYS = 10;
const AGAIN = { first: ms(100), longest: seconds(5) } as const;

export class RouterKeeper {
  readonly #parts: RouterKeeperParts;
  readonly #files: RouterFiles;
  readonly #sessions: SessionDesk;
  readonly #tracks: Tracks;
  readonly #closing = new AbortController();
  readonly #done: Promise<void>;
  readonly #book: TransitionBook;
  /** Undefined: what is wanted is not known, which is not to say that nothing is. */
  #plans: readonly RouterPlan[] | undefined;
  /** Hooks of routers that are wanted no longer, until they have left. */
  readonly #leaving = new Map<string, string>();
  #link: PulseLink | undefined;
  /** The pulse that was heard last. */
  #pulse = '';
  /** The version of one that is to make room. */
  #outdated: string | undefined;
  #silentLooks = 0;
  #poke = new AbortController();
  #emptied: () => void = () => undefined;
  #statuses: Readonly<Record<string, RouterStatus>> | undefined;
  readonly #refused = new Map<string, string>();

  constructor(parts: RouterKeeperParts) {
    this.#parts = parts;
    this.#files = new RouterFiles(parts.disk, parts.log);
    this.#plans = this.#files.wanted();
    this.#sessions = new SessionDesk(parts.disk, parts.log, parts.key);
    this.#book = new TransitionBook({
      read: () => this.#files.untold(), write: (value) => this.#files.writeUntold(value),
      written: (pulse, sequence) => pulse === this.#pulse && this.#link?.send({ kind: 'seen', sequence }),
    });
    // What they find before there is a pulse is among its first words.
    this.#tracks = parts.tracks(() => this.#link?.send({ kind: 'tracks', up: this.#tracks.known() }));
    this.#tracks.want(this.#plans ?? []);
    this.#done = this.#run();
  }

  /** Undefined: as it was. */
  want(plans: readonly RouterPlan[] | undefined): void {
    if (plans === undefined || JSON.stringify(plans) === JSON.stringify(this.#plans)) return;
    for (const { name, notify } of this.#plans ?? []) if (notify !== undefined) this.#leaving.set(name, notify);
    for (const { name } of plans) this.#leaving.delete(name);
    this.#plans = plans;
    // In force all the same when it cannot be written: it is wanted anew with every start of the agent that reaches the server.
    this.#files.writeWanted(plans);
    this.#refused.clear();
    this.#tracks.want(plans);
    this.#link?.send({ kind: 'routers', routers: plans });
    this.#wantedChanged();
  }

  /** BFD sessions, and how the other hosts are judged by them. Undefined: as it was. */
  wantSessions(plans: readonly BfdSessionPlan[] | undefined, detector: Detector | undefined): void {
    if (!this.#sessions.want(plans, detector)) return;
    this.#tellSessions();
    this.#wantedChanged();
  }

  /** Something is wanted of a pulse; undefined: nobody knows. */
  get #wanted(): boolean | undefined {
    const { plans } = this.#sessions;
    if ((this.#plans?.length ?? 0) + (plans?.length ?? 0) > 0) return true;
    return this.#plans && plans ? false : undefined;
  }

  #wantedChanged(): void {
    if (this.#wanted === false) this.#emptied();
    this.#poke.abort();
  }

  #tellSessions(): void {
    const command = this.#sessions.command();
    if (command) this.#link?.send(command);
  }

  /** Undefined until the pulse has spoken, and when it speaks no more. */
  statuses(): Readonly<Record<string, RouterStatus>> | undefined {
    if (this.#plans?.length === 0) return {};
    return this.#silentLooks < SILENT.unknown ? this.#statuses : undefined;
  }

  /** Undefined likewise. */
  sessions(): Readonly<Record<string, BfdStatus>> | undefined {
    return this.#silentLooks < SILENT.unknown ? this.#sessions.statuses() : undefined;
  }

  /** Of the other hosts; undefined likewise. */
  opinions(): readonly PeerOpinion[] | undefined {
    return this.#silentLooks < SILENT.unknown ? this.#sessions.opinions() : undefined;
  }

  transitions(): readonly Transition[] {
    return this.#book.all();
  }

  /** The server has these, and all before of the same pulse. */
  acknowledged(last: { readonly pulse: string; readonly sequence: number } | undefined): void {
    if (last) this.#book.acknowledged(last);
  }

  /** Lets go; the pulse runs on. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#poke.abort();
    this.#book.flush();
    this.#link?.close();
    await Promise.all([this.#done, this.#tracks.close()]);
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#parts;
    const { signal } = this.#closing;
    let wait = AGAIN.first;
    while (!signal.aborted) {
      // Made before the plans are looked at: what is wanted from here on wakes it.
      this.#poke = new AbortController();
      const changed = AbortSignal.any([signal, this.#poke.signal]);
      try {
        if (this.#wanted === undefined) {
          // Whatever runs is left alone until the server has said what it wants.
          await clock.sleep(seconds(3600), changed);
        } else if (!this.#wanted) {
          await this.#endIdle();
          await clock.sleep(seconds(3600), changed);
        } else {
          await this.#serve();
          // One that dies again and again is not started in a busy loop.
          await clock.sleep(AGAIN.first, signal);
        }
        wait = AGAIN.first;
      } catch (error) {
        log.error({ error: formatError(error) }, 'The pulse cannot be run: virtual routers and BFD sessions of this host stand still; it is tried again');
        await clock.sleep(wait, changed);
        wait = ms(Math.min(wait * 2, AGAIN.longest));
      }
    }
  }

  /** Nothing is wanted: a pulse that runs has nothing to do, and what a dead one left has no owner. */
  async #endIdle(): Promise<void> {
    const link = await this.#parts.pulses.find();
    if (!link) return this.#parts.pulses.takeBack([]);
    this.#link = link;
    link.onMessage((message) => this.#hear(link, message));
    link.send({ kind: 'routers', routers: [] });
    this.#tellSessions();
    link.send({ kind: 'end', reason: 'no virtual router and no BFD session is wanted on this host' });
    await Promise.race([link.closed, this.#parts.clock.sleep(seconds(10), this.#closing.signal)]);
    this.#book.flush();
    link.close();
    this.#link = undefined;
    this.#statuses = undefined;
    this.#sessions.forget();
    this.#leaving.clear();
  }

  /** From the connection to its end, or until nothing is wanted any more. */
  async #serve(): Promise<void> {
    const { pulses, clock, log } = this.#parts;
    const { signal } = this.#closing;
    const link = await pulses.attach();
    if (signal.aborted) return link.close();
    this.#link = link;
    this.#silentLooks = 0;
    link.onMessage((message) => this.#hear(link, message));
    link.send({ kind: 'tracks', up: this.#tracks.known() });
    // Before the routers, which may hang on them. What nobody knows is left as it is.
    this.#tellSessions();
    if (this.#plans) link.send({ kind: 'routers', routers: this.#plans });
    const served = new AbortController();
    const looking = this.#look(link, AbortSignal.any([served.signal, signal]));
    await Promise.race([link.closed, this.#nothingWanted()]);
    served.abort();
    await looking;
    this.#book.flush();
    this.#link = undefined;
    this.#outdated = undefined;
    if (signal.aborted || this.#wanted === false) return link.close();
    const gone = await Promise.race([link.exited.then(() => true), clock.sleep(seconds(1), signal).then(() => false)]);
    // One that lives has only lost the connection: it is found again.
    if (!gone) return link.close();
    const left = (this.#plans ?? []).filter(({ name }) => ['active', 'backup'].includes(this.#statuses?.[name]?.state ?? ''));
    const active = left.filter(({ name }) => this.#statuses?.[name]?.state === 'active');
    await pulses.takeBack(active);
    if (left.length > 0) log.error({ active: active.map(({ name }) => name) }, 'The pulse died: its addresses were taken back, and it is started anew');
    else log.info({}, 'The pulse ended, and is started anew');
    for (const [n, { name }] of left.entries()) this.#tellDied(name, n + 1);
    this.#statuses = undefined;
    for (const transition of this.#sessions.lost({ pulse: `${this.#pulse}-died`, at: clock.now() }, left.length + 1)) this.#take(transition);
    this.#parts.changed();
  }

  /** A pulse says how it is each second. Looks are counted, not time: an agent that was late itself has not read yet what was said. */
  async #look(link: PulseLink, signal: AbortSignal): Promise<void> {
    const { clock, log, changed } = this.#parts;
    for (let looks = 1; ; looks++) {
      await clock.sleep(seconds(1), signal);
      if (signal.aborted) return;
      if (looks % KEYS === 0 && this.#sessions.readKeys()) this.#tellSessions();
      this.#silentLooks++;
      if (this.#silentLooks === SILENT.unknown) {
        log.error({}, `The pulse says nothing: what its routers and sessions do is not known; if it stays silent for ${SILENT.end} s it is ended and started anew`);
        changed();
      }
      if (this.#silentLooks === SILENT.end) link.kill();
    }
  }

  /** What a dead pulse cannot say itself. */
  #tellDied(router: string, sequence: number): void {
    const status = this.#statuses?.[router];
    if (!status) return;
    this.#take({
      pulse: `${this.#pulse}-died`, sequence, router, at: this.#parts.clock.now(), from: status.state, to: 'initialize',
      rule: 'the pulse died: its addresses were taken back', priority: status.effectivePriority, adverts: [],
      lateness: { now: 0, worst: status.timing.worst }, link: 'up', down: [],
    });
  }

  #nothingWanted(): Promise<void> {
    return new Promise((resolve) => {
      this.#emptied = resolve;
    });
  }

  #hear(link: PulseLink, message: PulseMessage): void {
    const { log, changed, version } = this.#parts;
    switch (message.kind) {
      case 'hello': {
        const { pulse, pid, version: its } = message;
        this.#pulse = pulse;
        log.info({ pulse, pid, version: its }, 'The pulse is there');
        if (its === version || link.started) return;
        this.#outdated = its;
        log.warn({ pid, pulse: its, agent: version },
          'The pulse is of another version than this agent: it is replaced when it is Active nowhere, or when SIGTERM ends it');
        return;
      }
      case 'status': {
        const before = this.statuses();
        this.#statuses = message.routers;
        this.#silentLooks = 0;
        this.#replace(link, message.routers);
        const states = (of: typeof before): string => JSON.stringify(Object.entries(of ?? {}).map(([name, { state, reason }]) => [name, state, reason]));
        if (states(before) !== states(message.routers)) changed();
        return;
      }
      case 'transition':
      case 'session-transition':
        this.#take(message.transition);
        return;
      case 'sessions': {
        const known = this.#silentLooks < SILENT.unknown;
        this.#silentLooks = 0;
        if (this.#sessions.hear(message) || !known) changed();
        return;
      }
      case 'refused-session':
        this.#sessions.refused(message.session, message.reason);
        changed();
        return;
      case 'refused':
        if (this.#refused.get(message.router) === message.reason) return;
        this.#refused.set(message.router, message.reason);
        log.error({ router: message.router, reason: message.reason }, 'A virtual router cannot be run as declared');
    }
  }

  /** One of another version goes in good order, when nobody misses it. */
  #replace(link: PulseLink, routers: Readonly<Record<string, RouterStatus>>): void {
    if (this.#outdated === undefined || Object.values(routers).some(({ state }) => state === 'active')) return;
    this.#outdated = undefined;
    link.send({ kind: 'end', reason: `one of version ${this.#parts.version} follows` });
  }

  /** Its hook is run at least once: what was not written down when the agent ended is told again. */
  #take(transition: Transition): void {
    if (this.#book.add(transition) && isOfRouter(transition)) {
      const { router, to } = transition;
      const notify = this.#plans?.find(({ name }) => name === router)?.notify ?? this.#leaving.get(router);
      if (notify !== undefined) this.#parts.notify(notify, transition);
      if (to === 'initialize') this.#leaving.delete(router);
    }
    this.#parts.changed();
  }
}
