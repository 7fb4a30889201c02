/** The addon rawio.c as TypeScript sees it, and how it is found. Only the kernel-*.ts files use it. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { env } from 'node:process';
import { GodwitError } from '../base/error.ts';

/** Each function is one system call that does not wait, and returns what the call returned or -errno. */
export interface Rawio {
  /** O_CLOEXEC is added. */
  open(path: string, flags: number): number;
  close(fd: number): number;
  /** SOCK_NONBLOCK and SOCK_CLOEXEC are added, here and in socketpair. */
  socket(domain: number, type: number, protocol: number): number;
  socketpair(domain: number, type: number, ends: Int32Array): number;
  bind(fd: number, address: Uint8Array): number;
  getsockname(fd: number, address: Uint8Array): number;
  setsockopt(fd: number, level: number, name: number, value: Uint8Array): number;
  getsockopt(fd: number, level: number, name: number, value: Uint8Array): number;
  /** The argument, at most 256 bytes, is read and written. */
  ioctl(fd: number, request: number, argument: Uint8Array): number;
  /** SO_ATTACH_FILTER: the bytes of a struct sock_filter[]. */
  attachFilter(fd: number, program: Uint8Array): number;
  /** The one that returns no count: ms with fractions. */
  clockGettime(clock: number): number;
  /** Changes nothing. Fills `about`, of struct timex: status, maxerror. Returns the clock's state. */
  adjtimex(about: Float64Array): number;
  timerfdCreate(clock: number): number;
  /** TFD_TIMER_ABSTIME; 0, 0 disarms. Either way it is readable no more. */
  timerfdSettime(fd: number, seconds: number, nanoseconds: number): number;
  /** Of the calling thread, as is setpriority. */
  schedSetscheduler(policy: number, priority: number): number;
  setpriority(nice: number): number;
  /** `range`: address, length. */
  mlock2(range: Float64Array, flags: number): number;
  /** Fills `limits`: soft, hard; Infinity where there is none. */
  getrlimit(resource: number, limits: Float64Array): number;
  /** Lifts both limits. */
  unlimit(resource: number): number;
  /** Returns revents. */
  poll(fd: number, events: number): number;
  read(fd: number, buffer: Uint8Array): number;
  /** One write of both parts. */
  write(fd: number, head: Uint8Array, body: Uint8Array): number;
  /** One datagram of both parts. */
  send(fd: number, head: Uint8Array, body: Uint8Array): number;
  /** The whole length of the datagram, even where the buffer was shorter. Fills `about`: sll_pkttype, SO_TIMESTAMPNS in ms. */
  recv(fd: number, buffer: Uint8Array, about: Float64Array): number;
  /** Like recv, with flags, a name and control messages; `lengths`: how many bytes of name and of control were filled, msg_flags. */
  recvmsg(fd: number, flags: number, data: Uint8Array, name: Uint8Array, control: Uint8Array, lengths: Int32Array): number;
  /**
   * How many came, up to `count`: recvmsg many times in one call. Each has its even share of `names` and `controls` and four numbers of
   * `lengths`: how many bytes of data, of name and of control there are, msg_flags. Their data lies one behind the other; each may have as
   * much as its even share of `data` is.
   */
  recvmmsg(fd: number, count: number, data: Uint8Array, names: Uint8Array, controls: Uint8Array, lengths: Int32Array): number;
  sendmsg(fd: number, name: Uint8Array, control: Uint8Array, data: Uint8Array): number;
  sendFds(fd: number, data: Uint8Array, fds: Int32Array): number;
  /** Like recv; `fds` has room for 253 descriptors, -1 follows the last. EMFILE: the message is lost. */
  recvFds(fd: number, buffer: Uint8Array, fds: Int32Array): number;
  setns(fd: number, type: number): number;
  pidfdOpen(pid: number): number;
  pidfdGetfd(pidfd: number, fd: number): number;
  /** Level triggered; at most one per descriptor (EEXIST). Also fires for an error that the next receive fetches. */
  watch(fd: number, listener: () => void): number;
  unwatch(fd: number): number;
}

/** The addon is not built, or is not of this version. */
export class NativeMissingError extends GodwitError {
  constructor(path: string, found: string, cause?: unknown) {
    super('NATIVE_MISSING', `${found} at ${path}; build it with: sh tools/build-native.sh`, cause === undefined ? undefined : { cause });
  }
}

const FUNCTIONS = [
  'open', 'close', 'socket', 'socketpair', 'bind', 'getsockname', 'setsockopt', 'getsockopt', 'ioctl', 'poll', 'read', 'write', 'send',
  'recv', 'sendFds', 'recvFds', 'setns', 'pidfdOpen', 'pidfdGetfd', 'watch', 'unwatch',
  'attachFilter', 'clockGettime', 'timerfdCreate', 'timerfdSettime', 'schedSetscheduler', 'setpriority', 'mlock2', 'getrlimit', 'unlimit',
  'recvmsg', 'recvmmsg', 'sendmsg', 'adjtimex',
] as const satisfies readonly (keyof Rawio)[];

function isRawio(loaded: unknown): loaded is Rawio {
  return typeof loaded === 'object' && loaded !== null && FUNCTIONS.every((name) => typeof Reflect.get(loaded, name) === 'function');
}

/**
 * Loads the addon: GODWIT_RAWIO names another build (the one with the address sanitizer).
 * @throws NativeMissingError
 */
export function loadRawio(): Rawio {
  const path = env['GODWIT_RAWIO'] ?? join(import.meta.dirname, '../../.cache/native/rawio.node');
  if (!existsSync(path)) throw new NativeMissingError(path, 'No native addon');
  let loaded: unknown;
  try {
    loaded = createRequire(import.meta.url)(path);
  } catch (cause) {
    throw new NativeMissingError(path, 'No loadable native addon', cause);
  }
  if (!isRawio(loaded)) throw new NativeMissingError(path, 'A native addon of another version');
  return loaded;
}
