/**
 * Requests to the kernel's routing netlink from Node's thread pool, so that the pulse's own thread goes on meanwhile. All changes of
 * devices and addresses, of all namespaces, wait for one lock (RTNL). Whoever takes a device down, us too, holds it for 10 to 20 ms, in
 * which the kernel waits for its readers; whoever removes a namespace, for longer.
 */
import { write } from 'node:fs';
import type { Request } from '../host/netlink.ts';
import { KernelRefused } from '../host/netlink.ts';
import { NLM_F_ACK, NLM_F_REQUEST, acknowledgement, concat, decodeMessages, encodeAttributes, encodeMessage } from '../host/netlink-message.ts';
import type { Native, NetlinkSocket, Netns } from '../native/native.ts';
import { NativeMisuseError } from '../native/native.ts';

export class SlowNetlink {
  readonly #socket: NetlinkSocket;
  readonly #fd: number;
  #sequence = 0;
  #closed = false;
  /** One at a time: the socket's answers are in the order of its requests. */
  #last: Promise<void> = Promise.resolve();

  /** Throws NativeMisuseError on a network in memory, where nothing is slow. */
  constructor({ native, netns }: { readonly native: Native; readonly netns: Netns }) {
    this.#socket = native.netlinkSocket(netns, { protocol: 0 });
    const fd: unknown = Reflect.get(this.#socket, 'fd');
    if (typeof fd !== 'number') throw new NativeMisuseError('slow requests need a netlink socket with a descriptor');
    this.#fd = fd;
  }

  /** Resolves when the kernel has done it, or, once closed, without having asked. Rejects with KernelRefused, SystemError. */
  change(request: Request): Promise<void> {
    const done = this.#last.then(() => this.#exchange(request));
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** What is under way goes on; nothing may be, where its descriptor could be another's by then: await the last `change` first. */
  close(): void {
    this.#closed = true;
    this.#socket.close();
  }

  async #exchange({ what, type, flags = 0, header, attributes = [] }: Request): Promise<void> {
    if (this.#closed) return;
    const sequence = ++this.#sequence;
    const message = encodeMessage(type, NLM_F_REQUEST | NLM_F_ACK | flags, sequence, concat(header, encodeAttributes(attributes)));
    await new Promise<void>((resolve, reject) => {
      write(this.#fd, message, (error) => (error ? reject(error) : resolve()));
    });
    // The kernel has answered before the write returned.
    for (let datagram; (datagram = this.#socket.receive()); ) {
      const answer = decodeMessages(datagram).find((one) => one.sequence === sequence);
      const { errno, words } = (answer && acknowledgement(answer)) ?? { errno: 0, words: '' };
      if (errno !== 0) throw new KernelRefused(what, errno, words);
    }
  }
}

/** Refused for one of these reasons: nothing is left to do. */
export async function unless(errnos: readonly number[], change: Promise<void>): Promise<void> {
  try {
    await change;
  } catch (error) {
    if (error instanceof KernelRefused && errnos.includes(error.errno)) return;
    throw error;
  }
}
