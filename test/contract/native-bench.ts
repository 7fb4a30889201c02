/** What the parts of the contract of `Native` share: the fixture, frames, and how a test opens and closes things. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { SystemError } from '../../src/native/native.ts';
import type { Native, Netns, PacketSocket, PacketSocketOptions, ReceivedFrame, Tap, TapOptions } from '../../src/native/native.ts';

/** Two namespaces, `west` and `east`, joined by links called `west` and `east`, both up, MTU 1500. Nobody else sends there. */
export interface NativeFixture {
  readonly native: Native;
  readonly west: string;
  readonly east: string;
  ifindex(netns: string, link: string): number;
  mac(netns: string, link: string): Uint8Array;
  setUp(netns: string, link: string, up: boolean): void;
  hasLink(netns: string, link: string): boolean;
  deleteLink(netns: string, link: string): void;
  /** Another process that holds a copy of the tap's descriptor, until `release`. */
  holdTap(tap: Tap): Promise<{ readonly pid: number; readonly fd: number; release(): Promise<void> }>;
  /** Lets so many ms pass where time does not by itself. */
  passTime(ms: number): Promise<void>;
  /** The IPv4 groups of which the kernel is a member on a link, as texts, sorted. */
  ipGroups(netns: string, link: string): string[];
  /** Gives a link an IP address. */
  addAddress(netns: string, link: string, address: Uint8Array, prefixLength: number): void;
  /** Removes all of it. */
  remove(): Promise<void>;
}

export const ETH_P_ALL = 3;
/** IEEE local experimental EtherTypes. */
export const TYPE = 0x88b5;
export const OTHER_TYPE = 0x88b6;
export const BROADCAST = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
export const STRANGER = Uint8Array.of(0x02, 0xee, 0, 0, 0, 1);

/** A frame of 60 bytes, or more, that carries a number. */
export function frame(number: number, to: Uint8Array = BROADCAST, type = TYPE, length = 60): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set(to);
  bytes.set(STRANGER, 6);
  new DataView(bytes.buffer).setUint16(12, type);
  new DataView(bytes.buffer).setUint16(14, number);
  return bytes;
}

export const numberOf = ({ frame: bytes }: ReceivedFrame): number => ((bytes[14] ?? 0) << 8) | (bytes[15] ?? 0);

export function drain(source: { receive(): ReceivedFrame | undefined }): ReceivedFrame[] {
  const frames: ReceivedFrame[] = [];
  for (let next = source.receive(); next !== undefined; next = source.receive()) frames.push(next);
  return frames;
}

export function drainTap(tap: Tap): ReceivedFrame[] {
  return drain({ receive: () => tap.read() });
}

/** The next `count` frames, as they become readable. */
export function collect(socket: PacketSocket, count: number): Promise<ReceivedFrame[]> {
  const frames: ReceivedFrame[] = [];
  return new Promise((resolve) => {
    socket.onReadable(() => {
      frames.push(...drain(socket));
      if (frames.length < count) return;
      socket.onReadable(undefined);
      resolve(frames);
    });
  });
}

/** For assert.throws: a SystemError of that errno, whose text names `what`. */
export function system(errnoName: string, what: string | RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof SystemError, String(error));
    assert.equal(error.errnoName, errnoName, error.message);
    assert.equal(error.code, 'NATIVE_SYSTEM');
    assert.ok(error.errno > 0);
    assert.match(error.message, new RegExp(what));
    return true;
  };
}

type SocketOptions = Omit<PacketSocketOptions, 'ifindex'>;

/** One fixture for a whole run of the contract, and what tests open on it, closed when the test ends. */
export class Bench {
  readonly fixture: NativeFixture;
  readonly native: Native;
  readonly west: Netns;
  readonly east: Netns;
  #taps = 0;

  constructor(fixture: NativeFixture) {
    this.fixture = fixture;
    this.native = fixture.native;
    this.west = this.native.openNetns(fixture.west);
    this.east = this.native.openNetns(fixture.east);
  }

  async end(): Promise<void> {
    this.west.close();
    this.east.close();
    await this.fixture.remove();
  }

  closing<T extends { close(): void }>(t: TestContext, opened: T): T {
    t.after(() => opened.close());
    return opened;
  }

  /** A tap of its own in west, up. */
  makeTap(t: TestContext, options: Omit<TapOptions, 'name'> = {}): Tap {
    const tap = this.closing(t, this.native.createTap(this.west, { name: `tap${this.#taps++}`, ...options }));
    this.fixture.setUp(this.fixture.west, tap.name, true);
    return tap;
  }

  onTap(t: TestContext, tap: Tap, options: SocketOptions): PacketSocket {
    return this.#socket(t, this.west, tap.name, options);
  }

  onWest(t: TestContext, options: SocketOptions): PacketSocket {
    return this.#socket(t, this.west, 'west', options);
  }

  onEast(t: TestContext, options: SocketOptions): PacketSocket {
    return this.#socket(t, this.east, 'east', options);
  }

  /** Does west have a link of that name? */
  hasLink(name: string): boolean {
    return this.fixture.hasLink(this.fixture.west, name);
  }

  #socket(t: TestContext, netns: Netns, link: string, options: SocketOptions): PacketSocket {
    return this.closing(t, this.native.packetSocket(netns, { ifindex: this.fixture.ifindex(netns.name, link), ...options }));
  }
}
