/** Counters of queueing disciplines and of their classes (RTM_GETQDISC, RTM_GETTCLASS, TCA_STATS2; linux/gen_stats.h, tc(8)). */
import type { Netlink } from './netlink.ts';
import { concat, decodeAttributes, readNumber, readText, u16, u32, u8 } from './netlink-message.ts';

const RTM_GETQDISC = 38;
const RTM_GETTCLASS = 42;
const TCA = { kind: 1, stats2: 7 } as const;
const TCA_STATS = { basic: 1, queue: 3, packets64: 8 } as const;
/** sizeof(struct tcmsg): family, padding, ifindex, handle, parent, info. */
const HEADER = 20;
const TC_H_ROOT = 0xffffffff;
/** These queue nothing. */
const UNQUEUED: ReadonlySet<string> = new Set(['noqueue', 'clsact', 'ingress']);
/** Those whose classes are the administrator's, or a queue of the hardware each. */
const CLASSFUL: ReadonlySet<string> = new Set(['htb', 'hfsc', 'drr', 'qfq', 'ets', 'prio', 'multiq', 'mq', 'mqprio', 'cbq']);
const NONE = new Uint8Array();

export interface QueueTotals {
  /** tc's handle: `1:` of a discipline, `1:10` of a class; `0:` of one that the kernel put there. */
  readonly handle: string;
  readonly bytes: number;
  readonly packets: number;
  readonly drops: number;
  /** Bytes that wait now. */
  readonly backlog: number;
}

export interface RootQueue extends QueueTotals {
  /** Whether there are classes to be asked for. */
  readonly classful: boolean;
}

/** The root discipline of every interface that has a queue, by the interface's index. It counts what is dropped below it too. */
export function readRootQueues(netlink: Netlink): Map<number, RootQueue> {
  const roots = new Map<number, RootQueue>();
  for (const { body } of netlink.dump({ what: 'read the queues', type: RTM_GETQDISC, header: tcmsg(0) })) {
    const data = new DataView(body.buffer, body.byteOffset, body.byteLength);
    if (data.getUint32(12, true) !== TC_H_ROOT) continue;
    const attributes = decodeAttributes(body.subarray(HEADER));
    const kind = readText(attributes.get(TCA.kind) ?? NONE);
    if (!UNQUEUED.has(kind)) roots.set(data.getUint32(4, true), { ...totalsOf(body, attributes), classful: CLASSFUL.has(kind) });
  }
  return roots;
}

/** Empty where the interface has gone. */
export function readQueueClasses(netlink: Netlink, device: number): QueueTotals[] {
  return netlink.dump({ what: `read the classes of interface ${device}`, type: RTM_GETTCLASS, header: tcmsg(device) })
    .map(({ body }) => totalsOf(body, decodeAttributes(body.subarray(HEADER))));
}

const tcmsg = (device: number): Uint8Array => concat(u8(0), u8(0), u16(0), u32(device), u32(0), u32(0), u32(0));

function totalsOf(body: Uint8Array, attributes: ReadonlyMap<number, Uint8Array>): QueueTotals {
  const stats = decodeAttributes(attributes.get(TCA.stats2) ?? NONE);
  const basic = stats.get(TCA_STATS.basic) ?? NONE;
  // struct gnet_stats_queue: qlen, backlog, drops, requeues, overlimits
  const queue = stats.get(TCA_STATS.queue) ?? NONE;
  const handle = readNumber(body.subarray(8, 12));
  return {
    handle: `${(handle >>> 16).toString(16)}:${handle & 0xffff ? (handle & 0xffff).toString(16) : ''}`,
    bytes: readNumber(basic.subarray(0, 8)),
    packets: readNumber(stats.get(TCA_STATS.packets64) ?? basic.subarray(8, 12)),
    backlog: readNumber(queue.subarray(4, 8)),
    drops: readNumber(queue.subarray(8, 12)),
  };
}
