/** Requests to the kernel's routing netlink, one at a time, each acknowledged before the call returns. */
import { constants } from 'node:os';
import { getSystemErrorMessage, getSystemErrorName } from 'node:util';
import { GodwitError } from '../base/error.ts';
import type { Native, NetlinkSocket, Netns } from '../native/native.ts';
import {
  type Attribute, type NetlinkMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, acknowledgement, concat,
  decodeMessages, encodeAttributes, encodeMessage,
} from './netlink-message.ts';

/** The kernel said no. `errno` is positive; `words` are the kernel's (may be empty). */
export class KernelRefused extends GodwitError {
  readonly errno: number;
  readonly words: string;

  constructor(what: string, errno: number, words: string) {
    const said = words || getSystemErrorMessage(-errno);
    super('HOST_KERNEL_REFUSED', `The kernel refused to ${what}: ${said} (errno ${errno}, ${getSystemErrorName(-errno)})`);
    this.errno = errno;
    this.words = words;
  }
}

const { ENODEV, ENOENT, ESRCH, EINTR, EIO } = constants.errno;
const GONE: ReadonlySet<number> = new Set([ENODEV, ENOENT, ESRCH]);

/** Carries out what there is nothing to do for where the device, entry or route is gone already. */
export function ifThere(change: () => void): void {
  try {
    change();
  } catch (error) {
    if (!(error instanceof KernelRefused && GONE.has(error.errno))) throw error;
  }
}

/** One thing to ask of the kernel. `what` completes "The kernel refused to …". */
export interface Request {
  readonly what: string;
  readonly type: number;
  /** NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE. */
  readonly flags?: number;
  /** The family's fixed header (struct ifinfomsg, tcmsg, ndmsg, …). */
  readonly header: Uint8Array;
  readonly attributes?: readonly Attribute[];
}

/** A dump that the kernel interrupts again and again would otherwise never end. */
const DUMP_TRIES = 8;

export class Netlink {
  readonly #socket: NetlinkSocket;
  #sequence = 0;

  /** @param protocol of netlink(7): NETLINK_ROUTE without one */
  constructor(native: Native, netns: Netns, protocol = 0) {
    this.#socket = native.netlinkSocket(netns, { protocol, receiveBuffer: 4 << 20 });
  }

  /** Carries out one change. Throws KernelRefused. */
  change(request: Request): void {
    this.#exchange(request, NLM_F_ACK);
  }

  /** One object. Throws KernelRefused (ENODEV, ENOENT) where there is none. */
  get(request: Request): NetlinkMessage {
    const { answers: [answer] } = this.#exchange(request, NLM_F_ACK);
    if (!answer) throw new KernelRefused(request.what, ENOENT, 'no answer');
    return answer;
  }

  /** All objects: begun again when the kernel says that they changed meanwhile (NLM_F_DUMP_INTR). */
  dump(request: Request): NetlinkMessage[] {
    for (let i = 0; i < DUMP_TRIES; i++) {
      const { answers, last } = this.#exchange(request, NLM_F_DUMP);
      // A change seen only after the last object is told by the end of the list alone.
      if (![...answers, last].some((m) => m.flags & NLM_F_DUMP_INTR)) return answers;
    }
    throw new KernelRefused(request.what, EINTR, `the list kept changing, ${DUMP_TRIES} times`);
  }

  close(): void {
    this.#socket.close();
  }

  #exchange(request: Request, flags: number): { readonly answers: NetlinkMessage[]; readonly last: NetlinkMessage } {
    this.#sequence = (this.#sequence + 1) >>> 0;
    const body = concat(request.header, encodeAttributes(request.attributes ?? []));
    this.#socket.send(encodeMessage(request.type, NLM_F_REQUEST | flags | (request.flags ?? 0), this.#sequence, body));
    const answers: NetlinkMessage[] = [];
    for (;;) {
      // The kernel answers before send() returns, and continues a dump inside recv(): nothing to wait for.
      const datagram = this.#socket.receive();
      if (!datagram) throw new KernelRefused(request.what, EIO, 'no acknowledgement');
      for (const message of decodeMessages(datagram)) {
        if (message.sequence !== this.#sequence) continue;
        const ack = acknowledgement(message);
        if (!ack) answers.push(message);
        else if (ack.errno !== 0) throw new KernelRefused(request.what, ack.errno, ack.words);
        else return { answers, last: message };
      }
    }
  }
}
