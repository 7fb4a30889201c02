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
import { type HostEffect, VrrpHost, trackKey } from '../protocol/vrrp-host.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { type VrrpExpected } from '../wire/vrrp.ts';
import { decodeVrrpFrame } from '../wire/vrrp-frame.ts';
import { Account } from './account.ts';
import type { GroundChange, PulseGround } from './ground.ts';
import { OwnLateness } from './own-lateness.ts';
import { type ReadPlan, readPlan } from './plan.ts';
import type { PulseCommand, PulseMessage } from './pulse-protocol.ts';
import { RouterDriver } from './router-driver.ts';
import { type Arrival } from './segment.ts';
import { Segments } from './segments.ts';
import { isUp } from './tracking.ts';

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
}

const SECOND = seconds(1);
/** How long one turn spends on what can wait. */
const CHORES = ms(1);
/** Routers that leave are waited for so long when the pulse is to end. */
const PATIENCE = seconds(5);

export class PulseProcess {
  /** Resolves when it was told to end and has left every router. */
  readonly ended: Promise<void>;
  readonly #ground: PulseGround;
  readonly #host = new VrrpHost();
  readonly #deadline: Deadline;
  readonly #segments: Segments;
  readonly #drivers = new Map<string, RouterDriver>();
  #wanted: readonly ReadPlan[] = [];
  /** Routers whose ground refused something that it may not refuse the next time. */
  readonly #retry = new Set<string>();
  /** What the agent looks at, as it last said. */
  readonly #told = new Map<string, boolean>();
  readonly #lateness: OwnLateness;
  readonly #account: Account;
  /** What the deadline is armed for, where that cannot wait. */
  #due: number | undefined;
  #nextSecond: Milliseconds;
  /** What can wait a little. */
  readonly #chores: (() => unknown)[] = [];
  /** What is done off this thread. */
  #slow: Promise<void> = Promise.resolve();
  /** Commands are carried out one after the other. */
  #commands: Promise<void> = Promise.resolve();
  #ending: Milliseconds | undefined;
  #resolveEnded: () => void = () => undefined;
  #closed = false;

  /** Removes what an earlier pulse left: one that starts finds no state worth keeping. */
  constructor(parts: PulseParts) {
    const { ground, realtime, tell, log } = parts;
    this.#ground = ground;
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
    this.#account = new Account({
      native: ground.native, hello: { pulse, pid, version }, tell, log, host: this.#host, drivers: this.#drivers, timing: () => this.#lateness.timing(this.#now()),
    });
    this.#carryOut(this.#host.holdable(this.#lateness.holdable, now));
    this.#ground.onChange((change) => this.#groundChanged(change));
    this.#deadline.onExpired(() => this.#expired());
    this.#arm();
  }

  /** What a new listener is told first. */
  greeting(): PulseMessage[] {
    return this.#account.greeting();
  }

  /** Resolves when it is carried out. */
  command(command: PulseCommand): Promise<void> {
    this.#commands = this.#commands.then(() => this.#obey(command));
    return this.#commands;
  }

  /** At once, without a word to anybody: for tests, as if it had been killed. */
  close(): void {
    this.#closed = true;
    this.#deadline.close();
    this.#segments.close();
    this.#ground.close();
  }

  async #obey(command: PulseCommand): Promise<void> {
    if (this.#closed) return;
    switch (command.kind) {
      case 'routers':
        if (this.#ending === undefined) await this.#configure(command.routers);
        return;
      case 'tracks': {
        const now = this.#now();
        const known = new Set(Object.keys(command.up));
        for (const key of this.#told.keys()) if (!known.has(key)) this.#track(key, undefined, now);
        for (const [key, up] of Object.entries(command.up)) this.#track(key, up, now);
        this.#arm();
        return;
      }
      case 'seen':
        this.#account.seen(command.sequence);
        return;
      case 'end':
        this.#end(command.reason);
        return;
      default: unreachable(command);
    }
  }

  #track(key: string, up: boolean | undefined, now: Milliseconds): void {
    if (up === undefined) this.#told.delete(key);
    else this.#told.set(key, up);
    this.#carryOut(this.#host.track(key, up, now));
  }

  async #configure(plans: readonly RouterPlan[]): Promise<void> {
    const wanted: ReadPlan[] = [];
    this.#account.begin();
    for (const plan of plans) {
      try {
        wanted.push(readPlan(plan));
      } catch (error) {
        this.#account.impossible(plan, formatError(error));
      }
    }
    // In force before anything is taken.
    let refusal: string | undefined;
    const guarded = wanted.filter(({ plan }) => !plan.accept && plan.priority !== 255);
    try {
      await this.#ground.refuse(guarded.flatMap(({ addresses }) => addresses.map(({ address }) => address)));
    } catch (error) {
      refusal = `What is addressed to its addresses cannot be refused: ${formatError(error)}`;
    }
    if (this.#closed || this.#ending !== undefined) return;
    this.#wanted = wanted;
    const touched = new Set<string>();
    for (const read of wanted) {
      const driver = this.#drivers.get(read.plan.name);
      if (driver?.read.text !== read.text) touched.add(read.plan.name);
      if (driver && driver.read.router.identity === read.router.identity && driver.read.text !== read.text) driver.update(read);
    }
    const now = this.#now();
    this.#carryOut(this.#host.configure(wanted.map(({ router }) => router), now));
    for (const read of wanted) {
      const { name } = read.plan;
      const driver = this.#drivers.get(name) ?? this.#begin(read);
      const reason = guarded.includes(read) ? refusal : undefined;
      // One that is as it was is not even looked at; the others one by one, since each takes some ms of everybody's time.
      if (reason !== this.#account.refusal(name)) this.#refuse(driver, reason);
      if (touched.has(name)) this.#chores.push(() => this.#drivers.get(name) === driver && this.#bind(driver));
    }
    this.#readTracks();
    this.#account.changed();
    this.#arm();
  }

  #begin(read: ReadPlan): RouterDriver {
    const driver = new RouterDriver(this.#ground, read);
    this.#drivers.set(read.plan.name, driver);
    return driver;
  }

  #refuse(driver: RouterDriver, reason: string | undefined): void {
    this.#account.refuse(driver.name, reason);
    this.#carryOut(this.#host.refuse(driver.name, reason, this.#now()));
  }

  /** Gives a router its device as that is now, and tells the machine what it has. */
  #bind(driver: RouterDriver): void {
    const { plan, virtualMac, source: given } = driver.read;
    const { family, vrid, name } = plan;
    const device = this.#ground.device(plan.device);
    if (driver.binding && driver.binding.device.index !== device?.index) this.#unbind(driver);
    if (device && !driver.binding) {
      try {
        const seat = this.#ground.seat({ name, vrid, family, device, virtualMac });
        driver.bind({ device, seat, ...this.#segments.join(device, family, driver) });
      } catch (error) {
        if (!(error instanceof GodwitError)) throw error;
        this.#refuse(driver, formatError(error));
        this.#retry.add(name);
      }
    }
    const source = device && (given ?? this.#ground.sources(device, family).find((address) => !this.#isVirtual(address)));
    if (source?.toString() !== driver.source?.toString()) driver.useSource(source);
    driver.findPeers();
    const now = this.#now();
    this.#carryOut(this.#host.link(name, device?.up ?? false, now));
    this.#carryOut(this.#host.source(name, source, now));
  }

  /** One that a router put there, on a kernel that forgets whose an address is. */
  #isVirtual(address: IpAddress): boolean {
    return this.#wanted.some(({ addresses }) => addresses.some((placed) => placed.address.equals(address)));
  }

  #unbind(driver: RouterDriver): void {
    const { binding } = driver;
    if (!binding) return;
    driver.bind(undefined);
    this.#segments.leave(binding.device, driver.read.plan.family, driver);
    this.#slowly(() => binding.seat.remove());
  }

  #groundChanged(change: GroundChange): void {
    const of = (driver: RouterDriver): boolean => change.kind === 'all'
      || (change.kind === 'device' && change.name === driver.read.plan.device)
      || (change.kind === 'address' && change.index === driver.binding?.device.index);
    for (const driver of this.#drivers.values()) {
      if (of(driver)) this.#bind(driver);
      driver.refresh();
    }
    if (change.kind !== 'address') this.#readTracks(change);
    this.#arm();
  }

  /** Looks at all that is tracked and that `change` can have changed. */
  #readTracks(change?: GroundChange): void {
    const tracks = new Map(this.#wanted.flatMap(({ plan }) => plan.track).map((track) => [trackKey(track), track]));
    for (const [key, track] of tracks) {
      if (change?.kind === 'device' && track.kind === 'interface' && track.interface !== change.name) continue;
      if (change?.kind === 'route' && track.kind !== 'route') continue;
      const up = isUp(track, this.#ground);
      if (up !== undefined) this.#carryOut(this.#host.track(key, up, this.#now()));
    }
  }

  /** A neighbour was seen to use this host. */
  #used(router: string): void {
    this.#carryOut(this.#host.used(router, this.#now()));
    this.#arm();
  }

  #readable(): void {
    this.#drain();
    this.#arm();
  }

  #drain(): void {
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

  #expired(): void {
    const began = this.#now();
    if (this.#due !== undefined) this.#tick(ms(began - this.#due), began);
    this.#due = undefined;
    this.#ground.drain();
    this.#drain();
    this.#carryOut(this.#host.expire(this.#now()));
    if (this.#now() >= this.#nextSecond) this.#everySecond();
    for (const until = this.#now() + CHORES; this.#chores.length > 0 && this.#now() < until; ) this.#chores.shift()?.();
    if (this.#now() >= this.#account.due) this.#account.tellStatus(this.#now());
    if (this.#ending !== undefined) this.#finish();
    if (!this.#closed) this.#arm();
  }

  #tick(late: Milliseconds, now: Milliseconds): void {
    if (this.#lateness.tick(late, now)) this.#look(now);
  }

  #look(now: Milliseconds): void {
    if (this.#lateness.look(now)) this.#carryOut(this.#host.holdable(this.#lateness.holdable, now));
  }

  #everySecond(): void {
    const now = this.#now();
    this.#nextSecond = ms(Math.max(this.#nextSecond + SECOND, now));
    this.#look(now);
    const again = [...this.#retry];
    this.#retry.clear();
    for (const name of again) {
      const driver = this.#drivers.get(name);
      if (!driver) continue;
      this.#refuse(driver, undefined);
      this.#bind(driver);
    }
    for (const driver of this.#drivers.values()) {
      if (driver.seated) this.#slowly(() => this.#renew(driver));
      if (driver.read.peers.length > 0) this.#chores.push(() => driver.findPeers());
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
      this.#fail(driver, error);
    }
  }

  #carryOut(effects: readonly HostEffect[]): void {
    for (const effect of effects) {
      const driver = this.#drivers.get(effect.router);
      if (driver) this.#carryOutOne(driver, effect);
    }
  }

  #carryOutOne(driver: RouterDriver, effect: HostEffect): void {
    const { name } = driver;
    switch (effect.do) {
      case 'send': return driver.send(effect.priority, effect.interval);
      case 'take':
      case 'readdress': return this.#attempt(driver, () => driver.take());
      case 'release': {
        this.#attempt(driver, () => driver.release());
        const seat = driver.binding?.seat;
        if (seat?.unsettled === true) this.#slowly(() => (seat.unsettled ? seat.settle() : Promise.resolve()));
        return;
      }
      case 'announce': return driver.announce();
      case 'verify': return driver.verify();
      case 'transition': return this.#account.record(driver, effect, this.#lateness.worst(this.#now()));
      case 'duel':
        this.#account.changed();
        return this.#account.line(`${name}: two Actives met, the other is ${effect.with}: ${effect.won ? 'this host stays' : 'this host steps back'}`);
      case 'healed':
        this.#account.changed();
        return this.#account.line(`${name}: healed: a neighbour uses this host, after ${effect.after.toFixed(1)} ms`);
      case 'note':
        return this.#account.line(`${name}: ${effect.rule}`);
      case 'gone':
        this.#unbind(driver);
        this.#drivers.delete(name);
        this.#account.refuse(name, undefined);
        this.#account.changed();
        return;
      default: unreachable(effect);
    }
  }

  /** What the ground refuses is the router's fault, never the pulse's end. */
  #attempt(driver: RouterDriver, act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#fail(driver, error);
    }
  }

  #fail(driver: RouterDriver, error: unknown): void {
    if (!(error instanceof GodwitError)) throw error;
    // Not from within the effects of the machine that is told.
    this.#chores.push(() => {
      this.#refuse(driver, formatError(error));
      this.#retry.add(driver.name);
    });
  }

  /** Off this thread, one at a time. */
  #slowly(act: () => Promise<void>): void {
    this.#slow = this.#slow.then(act).catch((error: unknown) => {
      if (!(error instanceof GodwitError)) throw error;
      this.#account.line(`refused: ${formatError(error)}`);
    });
  }

  #end(reason: string): void {
    if (this.#ending !== undefined) return;
    this.#account.line(`ends: ${reason}`);
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
      this.#unbind(driver);
    }
    this.#drivers.clear();
    this.#closed = true;
    this.#deadline.close();
    this.#account.tellStatus(this.#now());
    const finish = async (): Promise<void> => {
      await this.#slow;
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

  /** For the earliest of all that waits. What can wait does not count as late. */
  #arm(at?: Milliseconds): void {
    if (this.#closed) return;
    const protocol = Math.min(this.#host.deadline() ?? Infinity, this.#nextSecond, this.#ending ?? Infinity);
    this.#due = protocol;
    const other = this.#chores.length > 0 ? this.#now() : this.#account.due;
    if (Math.min(other, at ?? Infinity) < protocol) this.#due = undefined;
    this.#deadline.arm(Math.min(protocol, other, at ?? Infinity));
  }
}
