/**
 * The BFD sessions of a pulse, beside its routers and in their turns: what came in is read before anything is decided on, and what is
 * decided is carried out at once. It knows no timer: whoever turns asks `deadline` and calls `drain`, then `expire`.
 */
import { createHash, randomBytes } from 'node:crypto';
import { type Milliseconds, ms } from '../base/units.ts';
import { unreachable } from '../base/error.ts';
import type { ReceivedDatagram } from '../native/udp.ts';
import { BfdHost, type BfdHostEffect } from '../protocol/bfd-host.ts';
import type { BfdEchoFrame } from '../wire/bfd-echo-frame.ts';
import { BFD_TTL, bfdPort } from '../wire/bfd.ts';
import { type IpAddress, Ipv4Address, Ipv6Address } from '../wire/ip-address.ts';
import { isLinkLocal } from '../wire/vrrp.ts';
import { EchoPorts } from './echo-ports.ts';
import type { Device, GroundChange, PulseGround } from './ground.ts';
import { PathWatch } from './path-watch.ts';
import type { UnreadPlan } from './pulse-command.ts';
import type { PulseCommand, PulseMessage } from './pulse-protocol.ts';
import { SessionAccount, type SessionAccountParts } from './session-account.ts';
import { SessionDriver } from './session-driver.ts';
import { type Door, type OutsideTurns, SessionListeners } from './session-listeners.ts';
import { type ReadSession, readSessions } from './session-plan.ts';

export interface SessionsParts extends Omit<SessionAccountParts, 'native'>, OutsideTurns {
  readonly ground: PulseGround;
  /** The latest that this process was in the last minute. */
  readonly worst: (now: Milliseconds) => number;
  /** A session came Up, or is so no longer. */
  readonly turned: (session: string) => void;
}

const sha1 = (bytes: Uint8Array): Uint8Array => createHash('sha1').update(bytes).digest();
/** 2^-32 is fine enough for jitter and for discriminators, and costs no random bytes from the system for each packet. */
const chance = Math.random;

export class Sessions {
  readonly #parts: SessionsParts;
  readonly #host: BfdHost;
  readonly #listeners: SessionListeners;
  readonly #echoes: EchoPorts;
  readonly #account: SessionAccount;
  readonly #watch = new PathWatch();
  #wanted: ReadonlyMap<string, ReadSession> = new Map();
  /** Of what is wanted, and of what is leaving. */
  readonly #drivers = new Map<string, SessionDriver>();
  /** Names of the links that sessions are on, by index. */
  readonly #links = new Map<number, string>();
  /** Interfaces and addresses that have changed since they were looked at. */
  readonly #stale = new Set<SessionDriver>();
  /** Where the control packet at hand was sent to. */
  #to: IpAddress | undefined;
  /** How late the decision at hand is. */
  #late = 0;

  constructor(parts: SessionsParts) {
    this.#parts = parts;
    const { ground, pulse, untold, tell, log } = parts;
    this.#host = new BfdHost({
      sha1, chance, echoKey: randomBytes(32),
      taken: (session, at, remote, interval) => {
        this.#watch.heard(session, at, remote, interval);
        const driver = this.#drivers.get(session);
        if (driver && this.#to) driver.local = this.#to;
      },
    });
    const outside = { overdue: parts.overdue, read: () => this.#read() };
    this.#echoes = new EchoPorts(ground, { ...outside, heard: (device, echo, at) => this.#heardEcho(device, echo, at) });
    this.#listeners = new SessionListeners(ground, (door, datagram, at) => this.#hear(door, datagram, at), outside);
    this.#account = new SessionAccount({ native: ground.native, pulse, untold, tell, log }, {
      host: this.#host, watch: this.#watch, drivers: () => this.#wantedDrivers(),
      deaf: (driver) => this.#listeners.refusal(doorOf(driver)) ?? this.#echoes.refusal(driver),
    });
  }

  /** What a new listener is told first, after `hello`. */
  greeting(): PulseMessage[] {
    return this.#account.greeting(this.#now());
  }

  /** All of them. `unread`: those that could not be read. */
  configure({ sessions, keys, detector }: Extract<PulseCommand, { kind: 'sessions' }>, unread: readonly UnreadPlan[] = []): void {
    const now = this.#now();
    const { wanted, impossible } = readSessions(sessions, keys, this.#wanted);
    const before = this.#wanted;
    this.#account.impossible([...unread, ...impossible]);
    this.#wanted = new Map(wanted.map((read) => [read.plan.name, read]));
    this.#carryOut(this.#host.configure(wanted.map(({ bfd }) => bfd), now));
    for (const read of wanted) this.#driverOf(read.plan.name)?.follow(read);
    this.#watch.want(wanted, detector, now);
    this.#settleSockets();
    for (const name of new Set([...before.keys(), ...this.#wanted.keys()])) {
      if (before.get(name) !== this.#wanted.get(name)) this.#parts.turned(name);
    }
    this.#account.changed();
  }

  /** Undefined: there is none of that name. */
  isUp(session: string): boolean | undefined {
    if (this.#wanted.has(session)) return this.#drivers.get(session)?.up ?? false;
    return this.#account.isImpossible(session) ? false : undefined;
  }

  /** Only noted; `settle` looks. */
  note(change: GroundChange): void {
    for (const driver of this.#drivers.values()) {
      const { path } = driver;
      if (change.kind === 'device' && path.hops === 'single' && path.interface === change.name) {
        if (change.removed) {
          driver.lost();
          this.#echoes.lost(change.index);
        }
        this.#stale.add(driver);
      } else if (change.kind === 'all' || (change.kind === 'address' && path.hops === 'multi')) this.#stale.add(driver);
    }
  }

  settle(): void {
    if (this.#stale.size === 0) return;
    for (const driver of this.#stale) driver.look();
    this.#stale.clear();
    this.#settleSockets();
    this.#account.changed();
  }

  /** This process came so late to what was due: before what its sockets hold is read. */
  late(late: Milliseconds, now: Milliseconds): void {
    this.#late = late;
    this.#watch.late(late, now);
  }

  drain(): void {
    this.#listeners.drain();
    this.#echoes.drain();
  }

  /** All sockets are drained. */
  expire(now: Milliseconds): void {
    if (now >= (this.#host.deadline() ?? Infinity)) this.#carryOut(this.#host.expire(now));
    if (now >= this.#watch.deadline()) this.#watch.expire(now);
    this.#late = 0;
    if (this.#watch.takeTurned()) this.#account.changed();
  }

  /** When `expire` is wanted. */
  deadline(): number {
    return Math.min(this.#host.deadline() ?? Infinity, this.#watch.deadline());
  }

  /** When `tell` is due, which can wait. */
  get due(): number {
    return this.#account.due;
  }

  tell(now: Milliseconds): void {
    this.#account.tell(now);
  }

  everySecond(): void {
    this.#listeners.retry();
    this.#echoes.everySecond();
    for (const driver of this.#drivers.values()) driver.everySecond();
    this.#account.changed();
  }

  /** All say AdminDown, once, and why is told. */
  end(reason: string): void {
    const now = this.#now();
    const disabled = `this host's pulse ends: ${reason}`;
    this.#carryOut(this.#host.configure([...this.#wanted.values()].map(({ bfd }) => ({ disabled, ...bfd })), now));
    if (this.#wanted.size > 0) this.#account.tell(now);
  }

  /** Nobody waits for this host here: no session is Up. */
  get idle(): boolean {
    return ![...this.#drivers.values()].some(({ up }) => up);
  }

  close(): void {
    this.#listeners.close();
    this.#echoes.close();
    for (const driver of this.#drivers.values()) driver.close();
    this.#drivers.clear();
  }

  #read(): void {
    if (this.#watch.takeTurned()) this.#account.changed();
    this.#parts.read();
  }

  #hear(door: Door, datagram: ReceivedDatagram, at: Milliseconds): void {
    const { data, from, to, ifindex, ttl } = datagram;
    const [source, destination] = [addressOf(from.address), addressOf(to)];
    if (door.port === bfdPort.echo && this.#isLooped(door, source, datagram)) return;
    const arrived = { source, destination, interface: this.#links.get(ifindex) ?? `link ${ifindex}`, port: door.port, ttl, payload: data, at };
    this.#to = destination;
    const effects = this.#host.heard(arrived, this.#now());
    this.#to = undefined;
    this.#carryOut(effects);
  }

  /**
   * An echo of the neighbour that is addressed to this host: FRR sends such over IPv6, and over link-local addresses nobody can send
   * others. It goes back as it came, with a TTL by which nobody sends it on again.
   */
  #isLooped(door: Door, source: IpAddress, { data, from, to, ifindex, ttl }: ReceivedDatagram): boolean {
    // One of this host's own, forwarded back by the neighbour: the echo port has it.
    if (source.equals(addressOf(to))) return true;
    if (ttl !== BFD_TTL || !this.#echoes.loops({ index: ifindex }, source)) return false;
    this.#listeners.send(door, data, { address: from.address, port: from.port, ifindex, ttl: BFD_TTL - 1 });
    return true;
  }

  #heardEcho({ name }: Device, { source, destination, ttl, payload }: BfdEchoFrame, at: Milliseconds): void {
    this.#carryOut(this.#host.heard({ source, destination, interface: name, port: bfdPort.echo, ttl, payload, at }, this.#now()));
  }

  #sendEcho({ device, local, path: { peer } }: SessionDriver, bytes: Uint8Array): string | undefined {
    if (!device || !local) return 'ENODEV';
    if (!isLinkLocal(peer)) return this.#echoes.send(device, local, peer, bytes);
    return this.#listeners.send({ family: 6, port: bfdPort.echo }, bytes, { address: peer.bytes(), port: bfdPort.echo, ifindex: device.index });
  }

  #carryOut(effects: readonly BfdHostEffect[]): void {
    for (const effect of effects) {
      const driver = this.#driverOf(effect.session);
      if (driver) this.#carryOutOne(driver, effect);
    }
  }

  #carryOutOne(driver: SessionDriver, effect: BfdHostEffect): void {
    switch (effect.do) {
      case 'send':
        driver.send(effect.bytes, effect.sourcePort, this.#now());
        return this.#watch.probed(effect.session);
      case 'echo': return driver.count(this.#sendEcho(driver, effect.bytes));
      case 'transition': {
        driver.up = effect.to === 'up';
        this.#account.record(driver, effect, this.#late, this.#parts.worst(this.#now()));
        if (effect.from === 'up' || effect.to === 'up') this.#parts.turned(effect.session);
        return;
      }
      case 'note': return this.#account.note(effect.session, effect.rule);
      case 'gone':
        driver.close();
        this.#drivers.delete(effect.session);
        return this.#settleSockets();
      default: unreachable(effect);
    }
  }

  /** With another path it is another session: the driver of the former one is gone by then. */
  #driverOf(name: string): SessionDriver | undefined {
    const known = this.#drivers.get(name);
    const read = this.#wanted.get(name);
    if (known || !read) return known;
    const driver = new SessionDriver(this.#parts.ground, read);
    this.#drivers.set(name, driver);
    return driver;
  }

  *#wantedDrivers(): Iterable<SessionDriver> {
    for (const name of this.#wanted.keys()) {
      const driver = this.#drivers.get(name);
      if (driver) yield driver;
    }
  }

  #settleSockets(): void {
    const doors = new Map<string, Door>();
    for (const driver of this.#drivers.values()) {
      for (const door of doorsOf(driver)) doors.set(`${door.family} ${door.port}`, door);
    }
    this.#listeners.want([...doors.values()]);
    this.#echoes.want([...this.#drivers.values()]);
    this.#links.clear();
    for (const { device } of this.#drivers.values()) if (device) this.#links.set(device.index, device.name);
  }

  #now(): Milliseconds {
    return ms(this.#parts.ground.native.monotonic());
  }
}

const doorOf = ({ path }: SessionDriver): Door => ({ family: path.peer.family, port: bfdPort[path.hops] });

function doorsOf(driver: SessionDriver): Door[] {
  const { path: { hops, peer }, settings } = driver;
  const echoes = hops === 'single' && (settings.requiredMinEchoRx > 0 || (settings.echo !== undefined && isLinkLocal(peer)));
  return echoes ? [doorOf(driver), { family: peer.family, port: bfdPort.echo }] : [doorOf(driver)];
}

const addressOf = (bytes: Uint8Array): IpAddress => (bytes.length === 4 ? Ipv4Address.of(bytes) : Ipv6Address.of(bytes));
