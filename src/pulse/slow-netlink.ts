/**
 * Requests to the kernel's routing netlink from Node's thread pool, so that the pulse's own thread goes on meanwhile. All changes of
 * devices and addresses, of all namespaces, wait for one lock (RTNL). Whoever takes a device down, us too, holds it for 10 to 20 ms, in
 * which the kernel waits for its readers; whoever removes a namespace, for longer. So what is urgent never waits for more than one other.
 */
import { write } from 'node:fs';
import type { Request } from '../host/netlink.ts';
import { KernelRefused } from '../host/netlink.ts';
import { NLM_F_ACK, NLM_F_REQUEST, acknowledgement, concat, decodeMessages, encodeAttributes, encodeMessage } from '../host/netlink-message.ts';
import type { Native, NetlinkSocket, Netns } from '../native/native.ts';
import { NativeMisuseError } from '../native/native.ts';

/** Asked when its turn has come: by then there may be nothing left to do. Its requests go to the kernel together. */
export type Ask = () => readonly Request[];

interface Turn {
  readonly ask: Ask;
  readonly tolerated: readonly number[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class SlowNetlink {
  readonly #socket: NetlinkSocket;
  readonly #fd: number;
  readonly #urgent: Turn[] = [];
  readonly #ordinary: Turn[] = [];
  #sequence = 0;
  #closed = false;
  #busy = false;

  /** Throws NativeMisuseError on a network in memory, where nothing is slow. */
  constructor({ native, netns }: { readonly native: Native; readonly netns: Netns }) {
    this.#socket = native.netlinkSocket(netns, { protocol: 0 });
    const fd: unknown = Reflect.get(this.#socket, 'fd');
    if (typeof fd !== 'number') throw new NativeMisuseError('slow requests need a netlink socket with a descriptor');
    this.#fd = fd;
  }

  /**
   * Before all that is not urgent. Resolves when the kernel has done it, has refused it by a tolerated errno, or, once closed, without
   * having asked. Rejects with KernelRefused, SystemError.
   */
  urgently(ask: Ask, tolerated: readonly number[] = []): Promise<void> {
    return this.#queue(this.#urgent, ask, tolerated);
  }

  /** The same when nothing urgent waits. */
  whenQuiet(ask: Ask, tolerated: readonly number[] = []): Promise<void> {
    return this.#queue(this.#ordinary, ask, tolerated);
  }

  /** What is under way goes on; nothing may be, where its descriptor could be another's by then: await what was asked first. */
  close(): void {
    this.#closed = true;
    this.#socket.close();
  }

  #queue(queue: Turn[], ask: Ask, tolerated: readonly number[]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    queue.push({ ask, tolerated, resolve, reject });
    if (!this.#busy) void this.#run();
    return promise;
  }

  /** One at a time: the socket's answers are those to the last request. */
  async #run(): Promise<void> {
    this.#busy = true;
    for (let turn; (turn = this.#urgent.shift() ?? this.#ordinary.shift()); ) {
      try {
        if (!this.#closed) await this.#exchange(turn.ask(), turn.tolerated);
        turn.resolve();
      } catch (error) {
        turn.reject(error);
      }
    }
    this.#busy = false;
  }

  async #exchange(requests: readonly Request[], tolerated: readonly number[]): Promise<void> {
    if (requests.length === 0) return;
    const first = this.#sequence + 1;
    const message = concat(...requests.map(({ type, flags = 0, header, attributes = [] }) =>
      encodeMessage(type, NLM_F_REQUEST | NLM_F_ACK | flags, ++this.#sequence, concat(header, encodeAttributes(attributes)))));
    await new Promise<void>((resolve, reject) => {
      write(this.#fd, message, (error) => (error ? reject(error) : resolve()));
    });
    let refused: KernelRefused | undefined;
    // The kernel has answered before the write returned.
    for (let datagram; (datagram = this.#socket.receive()); ) {
      for (const answer of decodeMessages(datagram)) {
        const request = requests[answer.sequence - first];
        const { errno, words } = acknowledgement(answer) ?? { errno: 0, words: '' };
        if (request && errno !== 0 && !tolerated.includes(errno)) refused ??= new KernelRefused(request.what, errno, words);
      }
    }
    if (refused) throw refused;
  }
}
