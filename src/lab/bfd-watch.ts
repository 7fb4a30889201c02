/** Every BFD packet on every host's cable. */
import type { Host } from '../host/host.ts';
import type { FilterInstruction } from '../native/native.ts';
import { type WireBfd, readBfd } from './bfd-packet.ts';
import { type WatchedPort, WireWatch } from './wire-watch.ts';

/** IPv4 without options or IPv6, UDP, to port 3784, 3785 or 4784. */
const BFD_ONLY: readonly FilterInstruction[] = [
  { code: 0x28, jt: 0, jf: 0, k: 12 }, { code: 0x15, jt: 0, jf: 4, k: 0x0800 },
  { code: 0x30, jt: 0, jf: 0, k: 23 }, { code: 0x15, jt: 0, jf: 10, k: 17 }, { code: 0x28, jt: 0, jf: 0, k: 36 },
  { code: 0x05, jt: 0, jf: 0, k: 4 },
  { code: 0x15, jt: 0, jf: 7, k: 0x86dd }, { code: 0x30, jt: 0, jf: 0, k: 20 }, { code: 0x15, jt: 0, jf: 5, k: 17 },
  { code: 0x28, jt: 0, jf: 0, k: 56 },
  { code: 0x15, jt: 2, jf: 0, k: 3784 }, { code: 0x15, jt: 1, jf: 0, k: 3785 }, { code: 0x15, jt: 0, jf: 1, k: 4784 },
  { code: 0x06, jt: 0, jf: 0, k: 0xffffffff }, { code: 0x06, jt: 0, jf: 0, k: 0 },
];

export type BfdWatch = WireWatch<WireBfd>;

export const watchBfd = (host: Host, ports: readonly WatchedPort[], keep: (packet: WireBfd) => boolean = () => true): BfdWatch =>
  new WireWatch(host, ports, {
    filter: BFD_ONLY, receiveBuffer: 16 << 20, keep,
    read: (frame, { at, name, direction }) => {
      const read = readBfd(frame);
      return read && { ...read, at, host: name, direction };
    },
  });
