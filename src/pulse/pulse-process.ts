/**
 * The pulse's loop: everything on this host that has a deadline under a second, on one thread.
 *
 * A turn: what changed on the ground, then every socket until it is empty, then whatever is due. So no deadline is decided on while
 * something that came in before it is unread. One `Deadline` is armed for the earliest of all that waits; how late it comes is what this
 * process knows of itself. Whatever can wait (status, renewals, the slow half of a release) is done after a turn, a piece at a time.
 */
import { GodwitError, formatError, unreachable } from '../base/error.ts';
import { type Milliseconds, ms, seconds } from '../base/units.ts';
import type { RouterPlan } from '../model/virtual-router.ts';
import type { Deadline, RealtimeResult } from '../native/native.ts';
import { type HostEffect, VrrpHost } from '../protocol/vrrp-host.ts';
import { type VrrpExpected } from '../wire/vrrp.ts';
import { decodeVrrpFrame } from '../wire/vrrp-frame.ts';
import { AcceptRules } from './accept-rules.ts';
import { Account } from './account.ts';
import type { GroundChange, PulseGround } from './ground.ts';
import { Objections } from './objections.ts';
import { OwnLateness } from './own-lateness.ts';
import { type ReadPlan, readPlan } from './plan.ts';
import type { ReadCommand, UnreadPlan } from './pulse-command.ts';
import type { PulseMessage } from './pulse-protocol.ts';
import { RouterBinder } from './router-binder.ts';
import { RouterDriver } from './router-driver.ts';
import { RouterEffects } from './router-effects.ts';
import { Garbage, type Heap } from './garbage.ts';
import { type Arrival } from './segment.ts';
import { Segments } from './segments.ts';
import { Sessions } from './sessions.ts';
import { TrackWatch } from './track-watch.ts';
import { Untold } from './untold.ts';

export interface PulseParts {
  readonly ground: PulseGround;
  /** What `Native.realtime` got. */
  readonly realtime: RealtimeResult;
  /** New with every start. */
  readonly pulse: string;
  readonly pid: number;
  readonly version: string;
  /** To all who listen. */
  readonly tell: (message: PulseMessage) => void;
  /** One line for its log. */
  readonly log: (line: string) => void;
  /** Collected at harmless moments; without, whenever V8 likes. */
  readonly heap?: Heap;
}

const SECOND = seconds(1);
/** How long one turn spends on what can wait. */
const CHORES = ms(1);
/** Routers that leave are waited for so long when the pulse is to end. */
const PATIENCE = seconds(5);
/** With nothing due for so long, there is time for what holds this thread up: a socket's end (some 10 ms), a collection (some 20 ms). */
const QUIET = ms(50);

export class PulseProcess {
  /** Resolves when it was told to end and has left every router. */
  readonly ended: Promise<void>;
  readonly #ground: PulseGround;
  readonly #host = new VrrpHost();
  readonly #deadline: Deadline;
  readonly #segments: Segments;
  readonly #drivers = new Map<string, RouterDriver>();
  /** BFD's, in the same turns. */
  readonly #sessions: Sessions;
  readonly #tracks: TrackWatch;
  readonly #rules: AcceptRules;
  readonly #objections: Objections;
  readonly #binder: RouterBinder;
  readonly #effects: RouterEffects;
  /** The ground has changed, and was not looked at since. */
  #news = false;
  readonly #lateness: OwnLateness;
  readonly #account: Account;
  /** The earliest of what cannot wait. */
  #due = Infinity;
  /** When it expires. */
  #armed: number | undefined;
  /** It stood still until then by its own choice, when nobody waited: no lateness. */
  #excused = ms(-Infinity);
  readonly #garbage: Garbage | undefined;
  #nextSecond: Milliseconds;
  /** What can wait a little. */
  readonly #chores: (() => unknown)[] = [];
  /** What is done off this thread. */
  readonly #slow = new Set<Promise<void>>();
  /** Commands are carried out one after the other. */
  #commands: Promise<void> = Promise.resolve();
  #ending: Milliseconds | undefined;
  #reason = '';
  #resolveEnded: () => void = () => undefined;
  #closed = false;

  /** Removes what an earlier pulse left: one that starts finds no state worth keeping. */
  constructor(parts: PulseParts) {
    const { ground, realtime, tell, log, heap } = parts;
    this.#ground = ground;
    this.#garbage = heap && new Garbage(heap, ms(ground.native.monotonic()));
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.#ground.clean();
    this.#segments = new Segments(this.#ground, { readable: () => this.#readable(), used: (router) => this.#used(router) });
    this.#deadline = this.#ground.native.deadline();
    const now = this.#now();
    this.#nextSecond = ms(now + SECOND);
    this.#lateness = new OwnLateness(realtime, now);
    const { pulse, pid, version } = parts;
    const untold = new Untold();
    this.#sessions = new Sessions({
      ground, pulse, untold, tell, log, worst: (at) => this.#lateness.worst(at),
      turned: (session) => this.#tracks.noteSession(session), overdue: () => this.#turnIfOverdue(), read: () => this.#sessionsRead(),
    });
    this.#account = new Account({
      native: ground.native, hello: { pulse, pid, version }, tell, log, untold, host: this.#host, drivers: this.#drivers, timing: () => this.#lateness.timing(this.#now()),
    });
    const shared = { ground, host: this.#host, now: () => this.#now(), carryOut: (effects: readonly HostEffect[]) => this.#carryOut(effects) };
    this.#tracks = new TrackWatch(ground, this.#host, (session) => this.#sessions.isUp(session));
    this.#rules = new AcceptRules(ground);
    this.#objections = new Objections({ ...shared, account: this.#account });
    this.#binder = new RouterBinder({
      ...shared, segments: this.#segments, objections: this.#objections, drivers: this.#drivers, slowly: (act) => this.#slowly(act),
    });
    this.#effects = new RouterEffects({
      drivers: this.#drivers, binder: this.#binder, objections: this.#objections, account: this.#account, now: () => this.#now(),
      worst: (at) => this.#lateness.worst(at), later: (chore) => void this.#chores.push(chore), slowly: (act) => this.#slowly(act),
    });
    this.#carryOut(this.#host.holdable(this.#lateness.holdable, now));
    this.#ground.onChange((change) => this.#groundChanged(change));
    this.#deadline.onExpired(() => this.#expired());
    this.#arm();
  }

  /** What a new listener is told first. */
  greeting(): PulseMessage[] {
    return [...this.#account.greeting(), ...this.#sessions.greeting()];
  }

  /** Resolves when it is carried out. */
  command(command: ReadCommand): Promise<void> {
    this.#commands = this.#commands.then(() => this.#obey(command));
    return this.#commands;
  }

  /** At once, without a word to anybody: for tests, as if it had been killed. */
  close(): void {
    this.#closed = true;
    this.#deadline.close();
    this.#segments.close();
    this.#sessions.close();
    this.#ground.close();
  }

  async #obey(command: ReadCommand): Promise<void> {
    if (this.#closed) return;
    switch (command.kind) {
      case 'routers':
        if (this.#ending === undefined) await this.#configure(command.routers, command.unread);
        return;
      case 'sessions':
        if (this.#ending !== undefined) return;
        this.#sessions.configure(command, command.unread);
        this.#sessionsRead();
        return;
      case 'tracks':
        this.#carryOut(this.#tracks.told(command.up, this.#now()));
        this.#arm();
        return;
      case 'seen':
        this.#account.seen(command.sequence);
        return;
      case 'end':
        this.#end(command.reason);
        return;
      default: unreachable(command);
    }
  }

  async #configure(plans: readonly RouterPlan[], unread: readonly UnreadPlan[] = []): Promise<void> {
    const wanted: ReadPlan[] = [];
    this.#account.begin();
    for (const { name, reason } of unread) this.#account.impossible({ name }, reason);
    for (const plan of plans) {
      try {
        wanted.push(readPlan(plan));
      } catch (error) {
        this.#account.impossible(plan, formatError(error));
      }
    }
    // In force before anything is taken.
    await this.#rules.want(wanted);
    if (this.#closed || this.#ending !== undefined) return;
    const touched = new Set<string>();
    for (const read of wanted) {
      const driver = this.#drivers.get(read.plan.name);
      if (driver?.read.text !== read.text) touched.add(read.plan.name);
      if (driver && driver.read.router.identity === read.router.identity && driver.read.text !== read.text) this.#effects.attempt(driver, () => driver.update(read));
    }
    this.#carryOut(this.#host.configure(wanted.map(({ router }) => router), this.#now()));
    for (const read of wanted) {
      const { name } = read.plan;
      const driver = this.#drivers.get(name) ?? this.#begin(read);
      this.#objections.set(name, 'accept', this.#rules.objection(name));
      // One that is as it was is not even looked at; the others one by one, since each takes some ms of everybody's time.
      if (touched.has(name)) this.#chores.push(() => this.#drivers.get(name) === driver && this.#binder.renewed(driver));
    }
    this.#tracks.want(wanted.flatMap(({ plan }) => plan.track));
    this.#carryOut(this.#tracks.read(this.#now()));
    this.#account.changed();
    this.#arm();
  }

  #begin(read: ReadPlan): RouterDriver {
    const driver = new RouterDriver(this.#ground, read);
    this.#drivers.set(read.plan.name, driver);
    return driver;
  }

  /** Rules that could not be put in force. */
  async #applyRules(): Promise<void> {
    await this.#rules.apply();
    if (this.#closed) return;
    for (const name of this.#drivers.keys()) this.#objections.set(name, 'accept', this.#rules.objection(name));
    this.#arm();
  }

  /** Only noted: however many changes come, they are looked at together, in the turn that comes at once. */
  #groundChanged(change: GroundChange): void {
    this.#binder.note(change);
    this.#sessions.note(change);
    this.#tracks.note(change);
    this.#news = true;
    this.#arm();
  }

  #settle(): void {
    if (!this.#news) return;
    this.#news = false;
    this.#binder.settle();
    this.#sessions.settle();
    this.#carryOut(this.#tracks.read(this.#now()));
  }

  /** A neighbour was seen to use this host. */
  #used(router: string): void {
    this.#carryOut(this.#host.used(router, this.#now()));
    this.#arm();
  }

  #readable(): void {
    if (this.#turnIfOverdue()) return;
    this.#drain();
    this.#arm();
  }

  /** Sessions may have turned: what tracks them follows at once. */
  #sessionsRead(): void {
    this.#carryOut(this.#tracks.read(this.#now()));
    this.#arm();
  }

  #drain(): void {
    this.#sessions.drain();
    for (const segment of this.#segments.all()) segment.drain((arrival) => this.#hear(arrival, segment.routers));
  }

  #hear({ frame, at }: Arrival, routers: ReadonlyMap<number, RouterDriver>): void {
    const expected = (_: 4 | 6, vrid: number): VrrpExpected | undefined => routers.get(vrid)?.expected;
    const heard = decodeVrrpFrame(frame, expected);
    if (heard.kind === 'drop') {
      // What names none of this host's routers is nobody's fault.
      if (heard.vrid !== undefined) routers.get(heard.vrid)?.dropped(heard.reason);
      return;
    }
    const { advert: { vrid, priority, interval, addresses, checksum }, source: from } = heard;
    const driver = routers.get(vrid);
    if (!driver) return;
    driver.heard();
    driver.lastDialect = { from, checksum };
    this.#carryOut(this.#host.heard(driver.name, { from, priority, interval, addresses, at }, this.#now()));
  }

  /**
   * Who slept may be woken by what came in meanwhile, before the deadline that passed in its sleep. What came in would move that on, and
   * nobody would know that it slept: so the turn is taken first, and reads everything. True: nothing is left to read.
   */
  #turnIfOverdue(): boolean {
    if (this.#closed || this.#now() <= this.#due) return false;
    this.#expired();
    return true;
  }

  #expired(): void {
    const began = this.#now();
    this.#armed = undefined;
    // What can wait does not count as late.
    if (began >= this.#due) this.#tick(ms(Math.max(0, began - Math.max(this.#due, this.#excused))), began);
    this.#due = Infinity;
    this.#ground.drain();
    this.#settle();
    this.#drain();
    this.#sessions.expire(this.#now());
    this.#carryOut(this.#tracks.read(this.#now()));
    this.#carryOut(this.#host.expire(this.#now()));
    this.#effects.retry(this.#now());
    if (this.#now() >= this.#nextSecond) this.#everySecond();
    for (const until = this.#now() + CHORES; this.#chores.length > 0 && this.#now() < until; ) this.#chores.shift()?.();
    if (this.#now() >= this.#account.due) this.#account.tellStatus(this.#now());
    if (this.#now() >= this.#sessions.due) this.#sessions.tell(this.#now());
    if (this.#isQuiet()) this.#segments.bury();
    if (this.#garbage?.mayCollect(() => this.#isIdle(), this.#now()) === true) this.#excused = this.#now();
    if (this.#ending !== undefined) this.#finish();
    if (!this.#closed) this.#arm();
  }

  /** Nobody waits for it: it only listens, or it has spoken just now and speaks again much later. */
  #isIdle(): boolean {
    return (this.#sessions.idle && [...this.#drivers.values()].every(({ seated }) => !seated)) || this.#isQuiet();
  }

  #isQuiet(): boolean {
    return Math.min(this.#host.deadline() ?? Infinity, this.#sessions.deadline()) > this.#now() + QUIET;
  }

  #tick(late: Milliseconds, now: Milliseconds): void {
    this.#sessions.late(late, now);
    if (this.#lateness.tick(late, now)) this.#look(now);
  }

  #look(now: Milliseconds): void {
    if (this.#lateness.look(now)) this.#carryOut(this.#host.holdable(this.#lateness.holdable, now));
  }

  #everySecond(): void {
    const now = this.#now();
    this.#nextSecond = ms(Math.max(this.#nextSecond + SECOND, now));
    this.#look(now);
    this.#binder.everySecond();
    this.#sessions.everySecond();
    if (this.#rules.refused) this.#commands = this.#commands.then(() => this.#applyRules());
    for (const driver of this.#drivers.values()) {
      if (driver.seated) this.#slowly(() => this.#renew(driver));
      if (driver.read.peers.length > 0) this.#chores.push(() => this.#binder.findPeers(driver));
    }
    // Closing one takes the kernel some 10 ms, in which nothing else is done here: not while any router runs.
    if (this.#drivers.size === 0) this.#segments.close();
    for (const segment of this.#segments.all()) {
      const lost = segment.overruns();
      if (lost > 0) for (const driver of segment.routers.values()) driver.dropped('overrun', lost);
    }
    this.#account.changed();
  }

  async #renew(driver: RouterDriver): Promise<void> {
    try {
      await driver.binding?.seat.renew();
    } catch (error) {
      this.#effects.fail(driver, error);
    }
  }

  #carryOut(effects: readonly HostEffect[]): void {
    this.#effects.carryOut(effects);
  }

  /** Off this thread; the ground does what is urgent first. */
  #slowly(act: () => Promise<void>): void {
    const work = async (): Promise<void> => {
      try {
        await act();
      } catch (error) {
        if (!(error instanceof GodwitError)) throw error;
        this.#account.line(`refused: ${formatError(error)}`);
      }
    };
    const done = work().finally(() => this.#slow.delete(done));
    this.#slow.add(done);
  }

  #end(reason: string): void {
    if (this.#ending !== undefined) return;
    this.#account.line(`ends: ${reason}`);
    this.#reason = reason;
    const now = this.#now();
    this.#ending = ms(now + PATIENCE);
    this.#carryOut(this.#host.configure([], now));
    this.#arm(now);
  }

  /** When all have left, or do not. */
  #finish(): void {
    if (this.#drivers.size > 0 && this.#now() < (this.#ending ?? Infinity)) return;
    for (const driver of this.#drivers.values()) {
      driver.release();
      this.#binder.unbind(driver);
    }
    this.#drivers.clear();
    this.#closed = true;
    this.#deadline.close();
    this.#account.tellStatus(this.#now());
    // After the routers: who takes their place hears of it first.
    this.#sessions.end(this.#reason);
    this.#sessions.close();
    const finish = async (): Promise<void> => {
      await Promise.all(this.#slow);
      this.#segments.close();
      await this.#ground.refuse([]).catch(() => undefined);
      this.#ground.close();
      this.#resolveEnded();
    };
    void finish();
  }

  #now(): Milliseconds {
    return ms(this.#ground.native.monotonic());
  }

  /** For the earliest of all that waits. */
  #arm(at?: Milliseconds): void {
    if (this.#closed) return;
    const protocol = Math.min(this.#host.deadline() ?? Infinity, this.#sessions.deadline(), this.#nextSecond, this.#ending ?? Infinity);
    this.#due = protocol;
    const other = this.#chores.length > 0 || this.#news ? this.#now() : Math.min(this.#account.due, this.#sessions.due, this.#effects.due);
    const earliest = Math.min(protocol, other, at ?? Infinity);
    // Most of what comes in changes nothing about it, and arming costs as much as receiving.
    if (earliest !== this.#armed) this.#deadline.arm(earliest);
    this.#armed = earliest;
  }
}
