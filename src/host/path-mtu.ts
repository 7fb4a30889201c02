/**
 * Which sizes of IP packet reach another host whole: tried, not taken from the route. A datagram of each size goes to a responder
 * there (`answerPathProbes`), which tells what came.
 *
 * The kernel sends them, so they take the way of all other traffic, routed or bridged. It sets DF on what fits the path MTU that it
 * knows and cuts up what does not (ip(7), IP_PMTUDISC_WANT; RFC 8200 §5): so a size above that is never sent, and an answer counts
 * only if the size still fits when it comes.
 */
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:dgram';
import { systemClock } from '../native/system-clock.ts';
import { GodwitError } from '../base/error.ts';
import { type Milliseconds, ms } from '../base/units.ts';
import { type IpAddress, Ipv4Address, Ipv6Address } from '../wire/ip-address.ts';
import { type PathProbe, decodePathProbe, encodePathProbe } from '../wire/path-probe.ts';
import { DecodeError } from '../wire/wire.ts';
import type { Host } from './host.ts';
import { KernelRefused } from './netlink.ts';
import { bindUdp, closeUdp } from './udp.ts';

export interface PathMtu {
  /** Bytes of the largest IP packet that came through whole; 0 when none did. */
  readonly works: number;
  /** What was asked for, largest first. */
  readonly tried: readonly number[];
}

/** Between two tries of a size, ms. */
const INTERVAL = ms(200);
/** A first ARP request or neighbour solicitation that gets lost is repeated after 1000 ms (RFC 4861 §10, RETRANS_TIMER). */
const PATIENCE = ms(2500);

/** Bytes around a UDP payload: UDP 8, IPv4 20 (no options) or IPv6 40. */
export const datagramOverhead = (family: 4 | 6): number => 8 + (family === 4 ? 20 : 40);

/** Which size to send when; `limit` is the path MTU that the kernel knows at that moment. */
export class PathSearch {
  readonly tried: readonly number[];
  #works = 0;

  constructor(sizes: readonly number[]) {
    this.tried = [...new Set(sizes)].toSorted((a, b) => b - a);
  }

  /** Those above what is known to work: empty when the search is over. */
  open(limit: number): number[] {
    return this.tried.filter((size) => size > this.#works && size <= limit);
  }

  answered(size: number, limit: number): void {
    if (this.open(limit).includes(size)) this.#works = size;
  }

  get result(): PathMtu {
    return { works: this.#works, tried: this.tried };
  }
}

/**
 * From this host to `to`, where a responder listens on `port`. `sizes` are bytes of IP packet; one small one among them tells a
 * narrow path from no path. Ends as soon as the largest that could pass has, else after `within`. Does not try the way back.
 *
 * Rejects with GodwitError HOST_PATH_UNANSWERED when `to` says that nobody listens, or the kernel refuses to send;
 * HOST_NO_PMTU_DISCOVERY when this host sends without DF; KernelRefused when there is no route.
 */
export async function probePathMtu(
  host: Host, to: IpAddress, port: number, sizes: readonly number[], within: Milliseconds = PATIENCE,
): Promise<PathMtu> {
  if (to.family === 4) refuseFragments(host);
  const source = host.addresses.route(to).source ?? unspecified(to);
  const search = new PathSearch(sizes);
  const overhead = datagramOverhead(to.family);
  const nonce = randomInt(2 ** 32);
  const over = new AbortController();
  let failure: Error | undefined;
  const failed = (error: Error): void => {
    // Some hop was too narrow for a packet, and the kernel has learned that.
    if ('code' in error && error.code === 'EMSGSIZE') return;
    failure ??= error;
    over.abort();
  };
  const received = (bytes: Uint8Array): void => {
    const answer = pathProbe(bytes);
    if (answer?.kind !== 'answer' || answer.nonce !== nonce) return;
    const limit = knownMtu(host, to);
    search.answered(answer.length + overhead, limit);
    if (search.open(limit).length === 0) over.abort();
  };

  const socket = await bindUdp(host, source, 0);
  try {
    socket.on('error', failed).on('message', received);
    await connect(socket, to, port).catch(failed);
    for (const end = performance.now() + within; !over.signal.aborted; ) {
      const open = search.open(knownMtu(host, to));
      const left = end - performance.now();
      if (open.length === 0 || left <= 0) break;
      for (const size of open) {
        const probe = encodePathProbe({ kind: 'probe', nonce, length: size - overhead });
        socket.send(probe, (error) => {
          if (error) failed(error);
        });
      }
      await systemClock.sleep(ms(Math.min(INTERVAL, left)), over.signal);
    }
  } finally {
    closeUdp(socket);
  }
  if (failure === undefined) return search.result;
  const text = `No path probe of ${host.name} was answered at UDP port ${port} of ${to}: does an agent run there, and may it be reached?`;
  throw new GodwitError('HOST_PATH_UNANSWERED', text, { cause: failure });
}

/**
 * Answers probes at `at` until `close`. Anybody's, by less than they sent, so it is of no use to amplify. Rejects with GodwitError
 * HOST_UDP_UNBOUND.
 */
export async function answerPathProbes(host: Host, at: IpAddress, port: number): Promise<{ readonly port: number; close(): void }> {
  const socket = await bindUdp(host, at, port);
  // An answer that cannot be sent is a probe that is not answered, which its sender sees.
  const ignore = (): void => undefined;
  socket.on('error', ignore).on('message', (bytes, from) => {
    const probe = pathProbe(bytes);
    if (probe?.kind === 'probe') socket.send(encodePathProbe({ ...probe, kind: 'answer' }), from.port, from.address, ignore);
  });
  return { port: socket.address().port, close: () => closeUdp(socket) };
}

/** Of the route, learned from routers on the way included; else of the device. 0 when the route is gone. */
function knownMtu(host: Host, to: IpAddress): number {
  try {
    const { mtu, device } = host.addresses.route(to);
    return mtu > 0 ? mtu : (host.links.list().find(({ index }) => index === device)?.mtu ?? 0);
  } catch (error) {
    if (error instanceof KernelRefused) return 0;
    throw error;
  }
}

/** Documentation/networking/ip-sysctl.rst, ip_no_pmtu_disc: with 1 and 2 no socket sets DF unless it asks. */
function refuseFragments({ native, netns, name }: Host): void {
  const mode = native.inNetns(netns, () => readFileSync('/proc/sys/net/ipv4/ip_no_pmtu_disc', 'utf8')).trim();
  if (mode !== '1' && mode !== '2') return;
  const text = `${name} sends IPv4 without DF, so whatever it sends may arrive in fragments: set net.ipv4.ip_no_pmtu_disc to 0`;
  throw new GodwitError('HOST_NO_PMTU_DISCOVERY', text);
}

const unspecified = (to: IpAddress): IpAddress => (to.family === 4 ? Ipv4Address.unspecified : Ipv6Address.unspecified);

/** Only a connected socket is told by ICMP that nobody listens. */
function connect(socket: Socket, to: IpAddress, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.connect(port, to.toString(), (error?: Error) => (error ? reject(error) : resolve()));
  });
}

function pathProbe(bytes: Uint8Array): PathProbe | undefined {
  try {
    return decodePathProbe(bytes);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}
