/** Where one session's packets leave: a socket of its own, since its source port is its own (RFC 5881 §4), bound to its link over one hop. */
import { GodwitError, formatError } from '../base/error.ts';
import { SystemError } from '../native/native.ts';
import type { UdpDestination, UdpRefusal, UdpSocket, UdpSocketOptions } from '../native/udp.ts';
import { BFD_TTL, type BfdPath, bfdPort, bfdSourcePorts } from '../wire/bfd.ts';
import type { PulseGround } from './ground.ts';

/** Network control (RFC 4594 §3.1): before what it is there to protect. */
export const CS6 = 48;

export class SessionSender {
  readonly #socket: UdpSocket;
  readonly #to: UdpDestination;

  /** @param ifindex of the path's interface. Throws SystemError. */
  constructor(ground: PulseGround, path: BfdPath, sourcePort: number, ifindex: number | undefined) {
    const { native, netns } = ground;
    const { family } = path.peer;
    const options: Omit<UdpSocketOptions, 'port'> = {
      family, ttl: BFD_TTL, dscp: CS6,
      // Nobody sends anything there: what comes all the same is to take no memory.
      receiveBuffer: 0,
      ...(ifindex !== undefined && { ifindex }),
      ...(path.hops === 'multi' && { address: path.local.bytes() }),
    };
    try {
      this.#socket = native.udpSocket(netns, { ...options, port: sourcePort });
    } catch (error) {
      if (!(error instanceof SystemError) || error.errnoName !== 'EADDRINUSE') throw error;
      this.#socket = native.udpSocket(netns, { ...options, port: bfdSourcePorts });
    }
    this.#to = { address: path.peer.bytes(), port: bfdPort[path.hops] };
  }

  /** What kept it back, as an errno's name. */
  send(bytes: Uint8Array): string | undefined {
    try {
      this.#socket.send(bytes, this.#to);
      return undefined;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      return error.errnoName;
    }
  }

  /** What ICMP said of what it sent, since the last call: the last of it. */
  refusal(): UdpRefusal | undefined {
    return this.#socket.refusals().at(-1);
  }

  close(): void {
    this.#socket.close();
  }
}

/** Why a socket could not be opened, in words. */
export function socketTrouble(error: unknown, path: BfdPath): string {
  if (!(error instanceof GodwitError)) throw error;
  if (error instanceof SystemError && error.errnoName === 'EADDRNOTAVAIL' && path.hops === 'multi') {
    return `This host does not have the address ${path.local}`;
  }
  return formatError(error);
}
