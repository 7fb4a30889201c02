/** `Native` on the Linux kernel, by way of the addon rawio.c. Needs root for nearly everything. */
import { constants } from 'node:fs';
import { errno, systemError } from './errno.ts';
import { clockError } from './kernel-clock.ts';
import { CLOCK_MONOTONIC, CLOCK_REALTIME, deadline } from './kernel-deadline.ts';
import { check } from './kernel-descriptor.ts';
import { realtime } from './kernel-realtime.ts';
import { fdPair, joinGroup, netlinkSocket, packetSocket } from './kernel-sockets.ts';
import { createTap, takeTap } from './kernel-tap.ts';
import { udpSocket } from './kernel-udp.ts';
import { checkNetnsName, refusePromise } from './native.ts';
import type { Native, Netns } from './native.ts';
import { loadRawio } from './rawio.ts';
import type { Rawio } from './rawio.ts';

const CLONE_NEWNET = 0x40000000;
/** Of this thread: setns moves one thread, and a worker is one of its own. */
const OWN_NETNS = '/proc/thread-self/ns/net';
/** Where `ip netns` keeps them (ip-netns(8)). */
const NAMED_NETNS = '/run/netns';

class KernelNetns implements Netns {
  readonly name: string;
  readonly #rawio: Rawio;
  #fd: number;

  constructor(rawio: Rawio, name: string, path: string) {
    this.name = name;
    this.#rawio = rawio;
    this.#fd = check(`open ${path}`, rawio.open(path, constants.O_RDONLY));
  }

  get fd(): number {
    return this.#fd;
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#rawio.close(this.#fd);
    this.#fd = -1;
  }
}

/**
 * The kernel of this machine, for the calling thread.
 * @throws NativeMissingError (NATIVE_MISSING) when the addon is not built.
 */
export function kernelNative(): Native {
  const rawio = loadRawio();

  function openNetns(name?: string): Netns {
    if (name === undefined) return new KernelNetns(rawio, '', OWN_NETNS);
    checkNetnsName(name);
    return new KernelNetns(rawio, name, `${NAMED_NETNS}/${name}`);
  }

  function inNetns<T>(netns: Netns, fn: () => T): T {
    const home = openNetns();
    try {
      check(`setns ${netns.name}`, rawio.setns(netns.fd, CLONE_NEWNET));
      try {
        return refusePromise(fn());
      } finally {
        check('setns back', rawio.setns(home.fd, CLONE_NEWNET));
      }
    } finally {
      home.close();
    }
  }

  return {
    monotonic: () => rawio.clockGettime(CLOCK_MONOTONIC),
    now: () => rawio.clockGettime(CLOCK_REALTIME),
    clockError: () => clockError(rawio),
    deadline: () => deadline(rawio),
    realtime: (priority) => realtime(rawio, priority),
    joinGroup: (netns, ifindex, group) => inNetns(netns, () => joinGroup(rawio, ifindex, group)),
    openNetns,
    inNetns,
    packetSocket: (netns, options) => inNetns(netns, () => packetSocket(rawio, options)),
    netlinkSocket: (netns, options) => inNetns(netns, () => netlinkSocket(rawio, options)),
    udpSocket: (netns, options) => inNetns(netns, () => udpSocket(rawio, options)),
    createTap: (netns, options) => inNetns(netns, () => createTap(rawio, options)),
    takeTap: (pid, fd) => takeTap(rawio, pid, fd),
    fdPair: () => fdPair(rawio),
    closeFd(fd) {
      if (rawio.close(fd) < 0) throw systemError(`close ${fd}`, errno.EBADF);
    },
  };
}
