/**
 * The agent's side of virtual routers: what is wanted lies on this host's disk, so that they come up without the server; the pulse is
 * started, told and heard; when it dies, what it held is taken back at once and it is started anew.
 */
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { formatError } from '../base/error.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { ms, seconds } from '../base/units.ts';
import type { Disk } from '../host/disk.ts';
import type { RouterPlan, RouterStatus, RouterTransition } from '../model/virtual-router.ts';
import type { PulseCommand, PulseMessage } from '../pulse/pulse-protocol.ts';

/** A connection to this host's pulse. */
export interface PulseLink {
  /** Never throws: what cannot be sent is told anew on the next connection. */
  send(command: PulseCommand): void;
  /** From the first message on; only one listener. */
  onMessage(listener: (message: PulseMessage) => void): void;
  /** Resolves when the connection is gone, whoever ended it. */
  readonly closed: Promise<void>;
  /** Resolves when the process itself is gone. */
  readonly exited: Promise<void>;
  close(): void;
}

export interface Pulses {
  /** The pulse of this host, started if none runs. */
  attach(): Promise<PulseLink>;
  /** The one that runs, if one does. */
  find(): Promise<PulseLink | undefined>;
  /**
   * None runs: removes from this host whatever a dead one left, and tells the others of `active` (priority 0) that this host is gone
   * from there.
   */
  takeBack(active: readonly RouterPlan[]): Promise<void>;
}

export interface Tracks {
  /** What these hang on, and no more. */
  want(plans: readonly RouterPlan[]): void;
  /** By `trackKey`. */
  known(): Readonly<Record<string, boolean>>;
  close(): Promise<void>;
}

export interface RouterKeeperParts {
  readonly pulses: Pulses;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  /** There is something new to report. */
  readonly changed: () => void;
  /** Looks at processes and scripts, and calls `changed` with each news. */
  readonly tracks: (changed: () => void) => Tracks;
  /** Runs the router's hook. Never rejects. */
  readonly notify: (script: string, transition: RouterTransition) => void;
}

const WANTED = 'routers.json';
const UNTOLD = 'transitions.json';
/** Kept for a server that is away. */
const MOST = 500;
const AGAIN = { first: ms(100), longest: seconds(5) } as const;

const wantedCheck = Compile(Type.Object({ version: Type.Literal(1), routers: Type.Array(Type.Unsafe<RouterPlan>({ type: 'object' })) }));
const untoldCheck = Compile(Type.Object({ version: Type.Literal(1), transitions: Type.Array(Type.Unsafe<RouterTransition>({ type: 'object' })) }));

export class RouterKeeper {
  readonly #parts: RouterKeeperParts;
  readonly #tracks: Tracks;
  readonly #closing = new AbortController();
  readonly #done: Promise<void>;
  #plans: readonly RouterPlan[];
  #untold: readonly RouterTransition[];
  #link: PulseLink | undefined;
  #poke = new AbortController();
  #emptied: () => void = () => undefined;
  #statuses: Readonly<Record<string, RouterStatus>> | undefined;
  readonly #refused = new Map<string, string>();

  constructor(parts: RouterKeeperParts) {
    this.#parts = parts;
    this.#plans = this.#read(WANTED, (value) => (wantedCheck.Check(value) ? value.routers : undefined)) ?? [];
    this.#untold = this.#read(UNTOLD, (value) => (untoldCheck.Check(value) ? value.transitions : undefined)) ?? [];
    // What they find before there is a pulse is among its first words.
    this.#tracks = parts.tracks(() => this.#link?.send({ kind: 'tracks', up: this.#tracks.known() }));
    this.#tracks.want(this.#plans);
    this.#done = this.#run();
  }

  /** Undefined: as it was. */
  want(plans: readonly RouterPlan[] | undefined): void {
    if (plans === undefined || JSON.stringify(plans) === JSON.stringify(this.#plans)) return;
    this.#plans = plans;
    // In force all the same when it cannot be written: it is wanted anew with every start of the agent that reaches the server.
    this.#write(WANTED, { version: 1, routers: plans });
    this.#refused.clear();
    this.#tracks.want(plans);
    this.#link?.send({ kind: 'routers', routers: plans });
    if (plans.length === 0) this.#emptied();
    this.#poke.abort();
  }

  /** Undefined until the pulse has spoken. */
  statuses(): Readonly<Record<string, RouterStatus>> | undefined {
    return this.#plans.length === 0 ? {} : this.#statuses;
  }

  transitions(): readonly RouterTransition[] {
    return this.#untold;
  }

  /** The server has these, and all before of the same pulse. */
  acknowledged(last: { readonly pulse: string; readonly sequence: number } | undefined): void {
    if (!last) return;
    const at = this.#untold.findLastIndex(({ pulse, sequence }) => pulse === last.pulse && sequence <= last.sequence);
    if (at < 0) return;
    // They are told in order: whatever came before this one, of an earlier pulse too, is known.
    this.#untold = this.#untold.slice(at + 1);
    this.#write(UNTOLD, { version: 1, transitions: this.#untold });
  }

  /** Lets go; the pulse runs on. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#poke.abort();
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
        if (this.#plans.length === 0) {
          await this.#endIdle();
          await clock.sleep(seconds(3600), changed);
        } else {
          await this.#serve();
          // One that dies again and again is not started in a busy loop.
          await clock.sleep(AGAIN.first, signal);
        }
        wait = AGAIN.first;
      } catch (error) {
        log.error({ error: formatError(error) }, 'The pulse cannot be run: virtual routers of this host stand still; it is tried again');
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
    link.onMessage((message) => this.#hear(message));
    link.send({ kind: 'routers', routers: [] });
    link.send({ kind: 'end', reason: 'no virtual router is wanted on this host' });
    await Promise.race([link.closed, this.#parts.clock.sleep(seconds(10), this.#closing.signal)]);
    link.close();
    this.#link = undefined;
    this.#statuses = undefined;
  }

  /** From the connection to its end, or until nothing is wanted any more. */
  async #serve(): Promise<void> {
    const { pulses, log } = this.#parts;
    const link = await pulses.attach();
    if (this.#closing.signal.aborted) return link.close();
    this.#link = link;
    link.onMessage((message) => this.#hear(message));
    link.send({ kind: 'tracks', up: this.#tracks.known() });
    link.send({ kind: 'routers', routers: this.#plans });
    await Promise.race([link.closed, this.#nothingWanted()]);
    this.#link = undefined;
    if (this.#closing.signal.aborted || this.#plans.length === 0) return link.close();
    const gone = await Promise.race([link.exited.then(() => true), this.#parts.clock.sleep(seconds(1), this.#closing.signal).then(() => false)]);
    // One that lives has only lost the connection: it is found again.
    if (!gone) return;
    const active = this.#plans.filter(({ name }) => this.#statuses?.[name]?.state === 'active');
    await pulses.takeBack(active);
    log.error({ active: active.map(({ name }) => name) }, 'The pulse died: its addresses were taken back, and it is started anew');
    this.#statuses = undefined;
    this.#parts.changed();
  }

  #nothingWanted(): Promise<void> {
    return new Promise((resolve) => {
      this.#emptied = resolve;
    });
  }

  #hear(message: PulseMessage): void {
    const { log, changed } = this.#parts;
    switch (message.kind) {
      case 'hello':
        log.info({ pulse: message.pulse, pid: message.pid }, 'The pulse is there');
        return;
      case 'status': {
        const before = this.#statuses;
        this.#statuses = message.routers;
        const states = (of: typeof before): string => JSON.stringify(Object.entries(of ?? {}).map(([name, { state, reason }]) => [name, state, reason]));
        if (states(before) !== states(message.routers)) changed();
        return;
      }
      case 'transition':
        this.#take(message.transition);
        return;
      case 'refused':
        if (this.#refused.get(message.router) === message.reason) return;
        this.#refused.set(message.router, message.reason);
        log.error({ router: message.router, reason: message.reason }, 'A virtual router cannot be run as declared');
    }
  }

  /** Its hook is run at least once: what was not written down when the agent ended is told again. */
  #take(transition: RouterTransition): void {
    const { pulse, sequence, router } = transition;
    const known = this.#untold.some((one) => one.pulse === pulse && one.sequence === sequence);
    if (!known) {
      const notify = this.#plans.find(({ name }) => name === router)?.notify;
      if (notify !== undefined) this.#parts.notify(notify, transition);
      this.#untold = [...this.#untold, transition].slice(-MOST);
      this.#write(UNTOLD, { version: 1, transitions: this.#untold });
    }
    this.#link?.send({ kind: 'seen', sequence });
    this.#parts.changed();
  }

  #read<T>(path: string, check: (value: unknown) => T | undefined): T | undefined {
    const data = this.#parts.disk.read(path);
    if (!data) return undefined;
    let found: T | undefined;
    try {
      found = check(JSON.parse(new TextDecoder().decode(data)));
    } catch {
      found = undefined;
    }
    if (found === undefined) this.#parts.log.error({ path }, 'A file of the agent\'s state directory could not be read; it is passed over');
    return found;
  }

  #write(path: string, value: unknown): void {
    try {
      this.#parts.disk.write(path, new TextEncoder().encode(`${JSON.stringify(value)}\n`));
    } catch (error) {
      this.#parts.log.warn({ path, error: formatError(error) }, 'What virtual routers are wanted, or did, could not be written down');
    }
  }
}
