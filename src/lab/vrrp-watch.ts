/** Every advert on every router's cable. */
import type { Host } from '../host/host.ts';
import type { FilterInstruction } from '../native/native.ts';
import { type WireAdvert, readAdvert } from './vrrp-advert.ts';
import { type WatchedPort, WireWatch } from './wire-watch.ts';

/** IPv4 or IPv6 with protocol 112 right behind the header (ldh 12, ldb 23, ldb 20). */
const VRRP_ONLY: readonly FilterInstruction[] = [
  { code: 0x28, jt: 0, jf: 0, k: 12 }, { code: 0x15, jt: 1, jf: 0, k: 0x0800 }, { code: 0x15, jt: 2, jf: 5, k: 0x86dd },
  { code: 0x30, jt: 0, jf: 0, k: 23 }, { code: 0x15, jt: 2, jf: 3, k: 112 },
  { code: 0x30, jt: 0, jf: 0, k: 20 }, { code: 0x15, jt: 0, jf: 1, k: 112 },
  { code: 0x06, jt: 0, jf: 0, k: 0xffffffff }, { code: 0x06, jt: 0, jf: 0, k: 0 },
];

/** Adverts that a bench still looks back at when it forgets. */
export const STILL_WANTED = 16;

export type VrrpWatch = WireWatch<WireAdvert>;

export const watchVrrp = (host: Host, ports: readonly WatchedPort[]): VrrpWatch =>
  new WireWatch(host, ports, {
    filter: VRRP_ONLY, receiveBuffer: 8 << 20,
    read: (frame, { at, name, direction }) => {
      const read = readAdvert(frame);
      return read && { ...read, at, router: name, direction };
    },
  });
