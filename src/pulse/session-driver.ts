/** One BFD session's part of this host: its interface, its socket, what it could not send. Its machine is in BfdHost. */
import { type Milliseconds, ms } from '../base/units.ts';
import type { BfdDown } from '../model/bfd-session.ts';
import type { UdpRefusal } from '../native/udp.ts';
import { addressText } from '../native/udp.ts';
import type { BfdSettings } from '../protocol/bfd.ts';
import type { BfdPath } from '../wire/bfd.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { Device, PulseGround } from './ground.ts';
import type { ReadSession } from './session-plan.ts';
import { SessionSender, socketTrouble } from './session-sender.ts';

/** Until a socket that could not be opened is tried again, unless something changed. */
const AGAIN = ms(1000);
/** Seconds: what nobody repeats for so long is no news any more. Each second a packet leaves that could be refused. */
const STALE = 3;

export class SessionDriver {
  /** Its path never changes: with another one it is another session. */
  readonly path: BfdPath;
  up = false;
  lastDown: BfdDown | undefined;
  readonly unsent: Record<string, number> = {};
  /** Its own address that the peer last sent to: where echoes come back to. */
  local: IpAddress | undefined;
  readonly #ground: PulseGround;
  #read: ReadSession;
  #device: Device | undefined;
  #sender: SessionSender | undefined;
  #trouble: string | undefined;
  #tryAt: number = -Infinity;
  #refusal: UdpRefusal | undefined;
  /** Seconds. */
  #refusedAgo = 0;

  constructor(ground: PulseGround, read: ReadSession) {
    this.#ground = ground;
    this.#read = read;
    this.path = read.bfd.path;
    this.look();
  }

  get name(): string {
    return this.#read.plan.name;
  }

  /** Its plan changed, and not its path. */
  follow(read: ReadSession): void {
    this.#read = read;
  }

  get settings(): BfdSettings {
    return this.#read.bfd.settings;
  }

  /** Over one hop: as long as it is there. */
  get device(): Device | undefined {
    return this.#device;
  }

  /** Why it cannot be carried out. */
  get trouble(): string | undefined {
    const { path } = this;
    if (path.hops === 'single' && !this.#device) return `There is no interface ${path.interface}`;
    if (path.hops === 'single' && this.#device?.up === false) return `Its interface ${path.interface} is down`;
    return this.#trouble ?? (this.up || !this.#refusal ? undefined : refusalText(this.#refusal));
  }

  /** Its interface or its address may have changed. */
  look(): void {
    this.#tryAt = -Infinity;
    if (this.path.hops === 'multi') {
      // One that could not be had may be there now.
      if (this.#trouble !== undefined) this.#close();
      return;
    }
    const device = this.#ground.device(this.path.interface);
    if (device?.index !== this.#device?.index) this.#close();
    this.#device = device;
  }

  /** The interface is gone, even if one with its index is there again. */
  lost(): void {
    this.#close();
    this.#device = undefined;
  }

  send(bytes: Uint8Array, sourcePort: number, now: Milliseconds): void {
    const sender = this.#sender ?? this.#open(sourcePort, now);
    this.count(sender ? sender.send(bytes) : 'ENODEV');
  }

  /** What kept something back that it was to send, as an errno's name. */
  count(errno: string | undefined): void {
    if (errno !== undefined) this.unsent[errno] = (this.unsent[errno] ?? 0) + 1;
  }

  everySecond(): void {
    if (this.up) this.#refusal = undefined;
    else {
      const refusal = this.#sender?.refusal();
      this.#refusedAgo = refusal ? 0 : this.#refusedAgo + 1;
      this.#refusal = refusal ?? (this.#refusedAgo < STALE ? this.#refusal : undefined);
    }
  }

  close(): void {
    this.#close();
  }

  #open(sourcePort: number, now: Milliseconds): SessionSender | undefined {
    if (now < this.#tryAt || (this.path.hops === 'single' && !this.#device)) return undefined;
    try {
      this.#sender = new SessionSender(this.#ground, this.path, sourcePort, this.#device?.index);
      this.#trouble = undefined;
    } catch (error) {
      this.#trouble = socketTrouble(error, this.path);
      this.#tryAt = now + AGAIN;
    }
    return this.#sender;
  }

  #close(): void {
    this.#sender?.close();
    this.#sender = undefined;
  }
}

const refusalText = ({ errnoName, by, to }: UdpRefusal): string => (errnoName === 'ECONNREFUSED'
  ? `${addressText(by)} says that nobody listens at its UDP port ${to.port}: does it speak BFD?`
  : `${addressText(by)} says that nothing gets there (${errnoName})`);
