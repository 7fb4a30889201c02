/** What every descriptor of the kernel has in common: an owner, a listener, an end. */
import { errno, systemError } from './errno.ts';
import type { ReadableListener } from './native.ts';
import type { Rawio } from './rawio.ts';

const EMPTY = new Uint8Array(0);

/** Holds any datagram the kernel hands out whole: GSO frames reach 64 KiB plus headers, netlink dumps 32 KiB. */
const BUFFER_BYTES = 256 * 1024;

// Used within one system call and copied from at once, so that all descriptors of a thread can share them.
const buffer = new Uint8Array(BUFFER_BYTES);
const about = new Float64Array(2);

/** Throws the SystemError of a negative result, else returns it. */
export function check(call: string, result: number): number {
  if (result < 0) throw systemError(call, -result);
  return result;
}

/** A C int as setsockopt wants it. */
export function cInt(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}

/** The fields of the last datagram of `Descriptor.next`. */
export interface Datagram {
  readonly bytes: Uint8Array;
  readonly packetType: number;
  readonly timestamp: number;
}

/** Owns one descriptor. After `close` it is -1, so that every later call fails with EBADF and never hits another's. */
export class Descriptor {
  protected readonly rawio: Rawio;
  /** Names it in errors: `packet socket on 3`. */
  protected readonly what: string;
  #fd: number;
  #listener: ReadableListener | undefined;

  constructor(rawio: Rawio, fd: number, what: string) {
    this.rawio = rawio;
    this.#fd = fd;
    this.what = what;
  }

  get fd(): number {
    return this.#fd;
  }

  onReadable(listener: ReadableListener | undefined): void {
    const watched = this.#listener !== undefined;
    if (this.#fd < 0 && listener !== undefined) throw systemError(`poll ${this.what}`, errno.EBADF);
    this.#listener = listener;
    if (watched === (listener !== undefined)) return;
    if (watched) this.rawio.unwatch(this.#fd);
    else check(`poll ${this.what}`, this.rawio.watch(this.#fd, () => this.#listener?.()));
  }

  close(): void {
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#fd = -1;
    this.#listener = undefined;
    this.rawio.close(fd);
  }

  protected sendDatagram(head: Uint8Array | undefined, body: Uint8Array): void {
    check(`send ${this.what}`, this.rawio.send(this.#fd, head ?? EMPTY, body));
  }

  /** The next datagram whole, or undefined. */
  protected receiveDatagram(): Datagram | undefined {
    const bytes = this.#copy('recv', this.rawio.recv(this.#fd, buffer, about));
    return bytes && { bytes, packetType: about[0] ?? 0, timestamp: about[1] ?? 0 };
  }

  protected receiveWithFds(fds: Int32Array): Uint8Array | undefined {
    return this.#copy('recvmsg', this.rawio.recvFds(this.#fd, buffer, fds));
  }

  protected readBytes(): Uint8Array | undefined {
    return this.#copy('read', this.rawio.read(this.#fd, buffer));
  }

  #copy(call: string, length: number): Uint8Array | undefined {
    if (length === -errno.EAGAIN) return undefined;
    check(`${call} ${this.what}`, length);
    if (length > BUFFER_BYTES) throw systemError(`${call} ${this.what}: ${length} bytes`, errno.EMSGSIZE);
    return buffer.slice(0, length);
  }
}
