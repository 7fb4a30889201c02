/** Netlink sockets and descriptor-carrying pairs of the network in memory. */
import { errno, systemError } from './errno.ts';
import { MemoryDescriptor, OpenFile } from './memory-descriptor.ts';
import type { DescriptorTable } from './memory-descriptor.ts';
import { NativeMisuseError } from './native.ts';
import type { FdSocket, NetlinkSocket, NetlinkSocketOptions } from './native.ts';

/** Answers one netlink request with any number of datagrams, the way the kernel does: before `send` returns. */
export type NetlinkResponder = (request: Uint8Array, netns: string) => Uint8Array[];

const NLMSG_ERROR = 2;
const NLM_F_CAPPED = 0x100;
const HEADER_BYTES = 16;

/** struct nlmsgerr (linux/netlink.h) for a request: the negative error number and the request's header. */
export function netlinkError(request: Uint8Array, error: number): Uint8Array {
  const message = new Uint8Array(HEADER_BYTES + 4 + HEADER_BYTES);
  message.set(request.subarray(0, HEADER_BYTES), HEADER_BYTES + 4);
  message.set(request.subarray(8, HEADER_BYTES), 8); // sequence number and port
  const view = new DataView(message.buffer);
  view.setUint32(0, message.length, true);
  view.setUint16(4, NLMSG_ERROR, true);
  view.setUint16(6, NLM_F_CAPPED, true);
  view.setInt32(HEADER_BYTES, -error, true);
  return message;
}

export class MemoryNetlinkSocket extends MemoryDescriptor implements NetlinkSocket {
  readonly portId: number;
  readonly groups: number;
  readonly #queue: Uint8Array[] = [];
  readonly #respond: (request: Uint8Array) => Uint8Array[];

  constructor(
    table: DescriptorTable,
    options: NetlinkSocketOptions,
    portId: number,
    respond: (request: Uint8Array) => Uint8Array[],
    released: (socket: MemoryNetlinkSocket) => void,
  ) {
    super(table, new OpenFile(() => released(this)), `netlink socket of protocol ${options.protocol}`);
    this.portId = portId;
    this.groups = options.groups ?? 0;
    this.#respond = respond;
  }

  send(message: Uint8Array): void {
    this.checkOpen('send');
    for (const answer of this.#respond(message.slice())) this.enqueue(answer);
  }

  receive(): Uint8Array | undefined {
    this.checkOpen('recv');
    return this.#queue.shift();
  }

  enqueue(datagram: Uint8Array): void {
    this.#queue.push(datagram.slice());
    this.wake();
  }

  protected hasInput(): boolean {
    return this.#queue.length > 0;
  }
}

interface Parcel {
  readonly data: Uint8Array;
  readonly files: readonly OpenFile[];
}

export class MemoryFdSocket extends MemoryDescriptor implements FdSocket {
  readonly #table: DescriptorTable;
  readonly #queue: Parcel[] = [];
  #peer: MemoryFdSocket | undefined;
  #ended = false;
  /** The other end was closed before it had read everything; the next call says so, once (unix(7)). */
  #reset = false;

  private constructor(table: DescriptorTable) {
    super(table, new OpenFile(() => this.#released()), 'descriptor socket');
    this.#table = table;
  }

  static pair(table: DescriptorTable): readonly [FdSocket, FdSocket] {
    const one = new MemoryFdSocket(table);
    const other = new MemoryFdSocket(table);
    one.#peer = other;
    other.#peer = one;
    return [one, other];
  }

  send(data: Uint8Array, fds: readonly number[]): void {
    if (data.length === 0) throw new NativeMisuseError('send on a descriptor socket: no data; at least one byte goes with descriptors');
    this.checkOpen('sendmsg');
    this.#throwReset('sendmsg');
    if (this.#peer === undefined || this.#ended) throw systemError(`sendmsg ${this.what}`, errno.EPIPE);
    const files = fds.map((fd) => this.#table.get(fd)); // all or none
    for (const file of files) file.retain();
    this.#peer.#queue.push({ data: data.slice(), files });
    this.#peer.wake();
  }

  receive(): { readonly data: Uint8Array; readonly fds: readonly number[] } | undefined {
    this.checkOpen('recvmsg');
    this.#throwReset('recvmsg');
    const parcel = this.#queue.shift();
    if (parcel === undefined) return this.#ended ? { data: new Uint8Array(0), fds: [] } : undefined;
    const fds = parcel.files.map((file) => this.#table.open(file));
    for (const file of parcel.files) file.release();
    return { data: parcel.data, fds };
  }

  protected hasInput(): boolean {
    return this.#queue.length > 0 || this.#ended;
  }

  #throwReset(call: string): void {
    if (!this.#reset) return;
    this.#reset = false;
    throw systemError(`${call} ${this.what}`, errno.ECONNRESET);
  }

  #released(): void {
    const unread = this.#queue.splice(0);
    for (const parcel of unread) for (const file of parcel.files) file.release();
    if (this.#peer === undefined) return;
    this.#peer.#ended = true;
    this.#peer.#reset = unread.length > 0;
    this.#peer.wake();
  }
}
