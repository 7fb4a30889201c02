/** Where BFD packets come in: one socket for each family and port that a session uses (RFC 5881 §4, RFC 5883 §5). */
import { type Milliseconds } from '../base/units.ts';
import { SystemError } from '../native/native.ts';
import type { ReceivedDatagram, UdpDestination, UdpSocket } from '../native/udp.ts';
import { formatError } from '../base/error.ts';
import { ArrivalClock } from './arrival-clock.ts';
import { CS6 } from './session-sender.ts';
import { BFD_TTL } from '../wire/bfd.ts';
import type { PulseGround } from './ground.ts';

/** Bytes: some thousands of packets. */
const RECEIVE_BUFFER = 1 << 21;
/** Datagrams that one drain reads at most: more than the buffer holds. */
const MOST = 8192;

export interface Door {
  readonly family: 4 | 6;
  readonly port: number;
}

/** `at`: on the monotonic clock. */
export type HearDatagram = (door: Door, datagram: ReceivedDatagram, at: Milliseconds) => void;

/** Around the reading of one socket alone, outside of a turn. */
export interface OutsideTurns {
  /** Before it. True: a turn was due and is over, and nothing is left to read. */
  readonly overdue: () => boolean;
  /** After it: deadlines may be others. */
  readonly read: () => void;
}

const keyOf = ({ family, port }: Door): string => `${family} ${port}`;

export class SessionListeners {
  readonly #ground: PulseGround;
  readonly #hear: HearDatagram;
  readonly #outside: OutsideTurns;
  readonly #open = new Map<string, { readonly door: Door; readonly socket: UdpSocket; readonly clock: ArrivalClock }>();
  readonly #refused = new Map<string, string>();
  #wanted = new Map<string, Door>();

  constructor(ground: PulseGround, hear: HearDatagram, outside: OutsideTurns) {
    this.#ground = ground;
    this.#hear = hear;
    this.#outside = outside;
  }

  /** Exactly these from now on. Closing one costs next to nothing: UDP sockets wait for nobody. */
  want(doors: readonly Door[]): void {
    this.#wanted = new Map(doors.map((door) => [keyOf(door), door]));
    for (const [key, { socket }] of this.#open) {
      if (this.#wanted.has(key)) continue;
      socket.close();
      this.#open.delete(key);
    }
    this.#refused.clear();
    this.retry();
  }

  /** Those that could not be opened. */
  retry(): void {
    for (const [key, door] of this.#wanted) {
      if (this.#open.has(key)) continue;
      try {
        this.#begin(key, door);
        this.#refused.delete(key);
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        this.#refused.set(key, error.errnoName === 'EADDRINUSE'
          ? `Another program has UDP port ${door.port}: end it, or its BFD; ss -ulpn shows who`
          : formatError(error));
      }
    }
  }

  /** Why nothing can come in there. */
  refusal(door: Door): string | undefined {
    return this.#refused.get(keyOf(door));
  }

  /** All that came in before this call, oldest first of each. */
  drain(): void {
    for (const { door, socket, clock } of this.#open.values()) this.#drain(door, socket, clock);
  }

  /** From that port. Gives an errno's name where it is not sent. */
  send(door: Door, data: Uint8Array, to: UdpDestination): string | undefined {
    try {
      this.#open.get(keyOf(door))?.socket.send(data, to);
      return undefined;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      return error.errnoName;
    }
  }

  close(): void {
    this.want([]);
  }

  #begin(key: string, door: Door): void {
    const { family, port } = door;
    const { native, netns } = this.#ground;
    const socket = native.udpSocket(netns, { family, port, receiveBuffer: RECEIVE_BUFFER, ttl: BFD_TTL, dscp: CS6 });
    const clock = new ArrivalClock(native);
    this.#open.set(key, { door, socket, clock });
    socket.onReadable(() => {
      if (this.#outside.overdue()) return;
      this.#drain(door, socket, clock);
      this.#outside.read();
    });
  }

  #drain(door: Door, socket: UdpSocket, clock: ArrivalClock): void {
    clock.begin();
    for (let count = 0; count < MOST; count++) {
      const datagram = receive(socket);
      if (!datagram) break;
      const at = clock.at(datagram.timestamp);
      this.#hear(door, datagram, at);
      if (clock.isNew(at)) break;
    }
    clock.end();
  }
}

function receive(socket: UdpSocket): ReceivedDatagram | undefined {
  try {
    return socket.receive();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return undefined;
  }
}
