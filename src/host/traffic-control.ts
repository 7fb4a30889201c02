/**
 * Packet redirection by tc: clsact, u32 classifiers, mirred (linux/pkt_sched.h, pkt_cls.h, tc_act/tc_mirred.h).
 *
 * A live device gets filters only. Adding clsact to a tap under traffic loses frames (it suspends the device), adding or
 * removing a filter does not; so `attach` belongs to the making of a device.
 */
import { type Netlink } from './netlink.ts';
import {
  type Attribute, NLM_F_CREATE, NLM_F_EXCL, concat, decodeAttributes, readNumber, readText, text, u16, u16be, u32, u32be, u8,
} from './netlink-message.ts';

const RTM_NEWQDISC = 36;
const RTM_GETQDISC = 38;
const RTM_NEWTFILTER = 44;
const RTM_DELTFILTER = 45;
const RTM_GETTFILTER = 46;
const TC_H_CLSACT = 0xfffffff1;
const CLSACT_HANDLE = 0xffff0000;
const ETH_P_ALL = 3;
const TCA = { kind: 1, options: 2, stats2: 7 } as const;
const TCA_U32_SEL = 5;
const TCA_U32_ACT = 7;
const TC_U32_TERMINAL = 1;
const TCA_ACT_KIND = 1;
const TCA_ACT_OPTIONS = 2;
const TCA_ACT_STATS = 4;
const TCA_STATS_BASIC = 1;
const TCA_STATS_QUEUE = 3;
const TCA_STATS_PKT64 = 8;
const TCA_MIRRED_PARMS = 2;
const TC_ACT_STOLEN = 4;
const TCA_EGRESS_REDIR = 1;

export type Hook = 'ingress' | 'egress';
const parents: Readonly<Record<Hook, number>> = { ingress: 0xfffffff2, egress: 0xfffffff3 };

/** `group` is broadcast and multicast, told by the group bit of the destination MAC (IEEE 802.3, 3.2.3). */
export type FrameClass = 'group' | 'unicast' | 'all';

/** A filter that sends what matches out of another interface. At one hook each preference holds one of them. */
export interface Redirect {
  readonly hook: Hook;
  /** Lower is asked first; 1..65535. */
  readonly preference: number;
  readonly match: FrameClass;
  readonly to: number;
}

/**
 * `packets` counts frames as they are on the wire, a GSO frame as its segments. At the egress of a tap a GSO frame from another
 * guest of the same host counts as none: the kernel does not know its segments yet (SKB_GSO_DODGY).
 */
export interface FilterCounters {
  readonly preference: number;
  /** Index of the interface that the filter sends to. */
  readonly to: number;
  readonly packets: number;
  readonly bytes: number;
  readonly drops: number;
}

export interface QueueCounters {
  readonly drops: number;
  /** Frames waiting. */
  readonly backlog: number;
}

export class TrafficControl {
  readonly #netlink: Netlink;

  constructor(netlink: Netlink) {
    this.#netlink = netlink;
  }

  attach(device: number): void {
    this.#netlink.change({
      what: `attach clsact to interface ${device}`, type: RTM_NEWQDISC, flags: NLM_F_CREATE | NLM_F_EXCL,
      header: tcmsg(device, CLSACT_HANDLE, TC_H_CLSACT, 0), attributes: [[TCA.kind, text('clsact')]],
    });
  }

  redirect(device: number, redirect: Redirect): void {
    this.#filter(`redirect from interface ${device} to ${redirect.to}`, device, redirect, [[TCA_U32_ACT, [[1, mirred(redirect.to)]]]]);
  }

  /** A filter that matches and does nothing. */
  classify(device: number, filter: Omit<Redirect, 'to'>): void {
    this.#filter(`classify frames of interface ${device}`, device, filter, []);
  }

  /** Throws KernelRefused ENOENT where there is none. */
  remove(device: number, hook: Hook, preference: number): void {
    this.#netlink.change({
      what: `remove filter ${preference} of interface ${device}`, type: RTM_DELTFILTER,
      header: tcmsg(device, 0, parents[hook], info(preference)),
    });
  }

  counters(device: number, hook: Hook): FilterCounters[] {
    const found: FilterCounters[] = [];
    const answers = this.#netlink.dump({
      what: `read the filters of interface ${device}`, type: RTM_GETTFILTER, header: tcmsg(device, 0, parents[hook], 0),
    });
    for (const { body } of answers) {
      const options = decodeAttributes(decodeAttributes(body.subarray(20)).get(TCA.options) ?? new Uint8Array());
      const action = decodeAttributes(options.get(TCA_U32_ACT) ?? new Uint8Array()).get(1);
      if (!action) continue;
      const stats = decodeAttributes(decodeAttributes(action).get(TCA_ACT_STATS) ?? new Uint8Array());
      const basic = stats.get(TCA_STATS_BASIC) ?? new Uint8Array();
      const queue = stats.get(TCA_STATS_QUEUE) ?? new Uint8Array();
      found.push({
        preference: readNumber(body.subarray(16, 20)) >>> 16,
        to: readNumber(mirredParameters(action).subarray(24, 28)),
        packets: readNumber(stats.get(TCA_STATS_PKT64) ?? basic.subarray(8, 12)),
        bytes: readNumber(basic.subarray(0, 8)),
        // mirred counts a frame it could not hand on as an overlimit (act_mirred.c)
        drops: readNumber(queue.subarray(8, 12)) + readNumber(queue.subarray(16, 20)),
      });
    }
    return found;
  }

  /** Does a filter at this device's ingress send into `target`? */
  feeds(device: number, target: number): boolean {
    return this.counters(device, 'ingress').some((f) => f.to === target);
  }

  /** The drop and backlog counters of all queueing disciplines of a device together. */
  queues(device: number): QueueCounters {
    let drops = 0;
    let backlog = 0;
    for (const { body } of this.#netlink.dump({ what: 'read the queues', type: RTM_GETQDISC, header: tcmsg(device, 0, 0, 0) })) {
      if (readNumber(body.subarray(4, 8)) !== device) continue;
      const attributes = decodeAttributes(body.subarray(20));
      if (readText(attributes.get(TCA.kind) ?? new Uint8Array()) === 'clsact') continue;
      const queue = decodeAttributes(attributes.get(TCA.stats2) ?? new Uint8Array()).get(TCA_STATS_QUEUE) ?? new Uint8Array();
      backlog += readNumber(queue.subarray(0, 4));
      drops += readNumber(queue.subarray(8, 12));
    }
    return { drops, backlog };
  }

  #filter(what: string, device: number, { hook, preference, match }: Omit<Redirect, 'to'>, actions: readonly Attribute[]): void {
    this.#netlink.change({
      what, type: RTM_NEWTFILTER, flags: NLM_F_CREATE | NLM_F_EXCL, header: tcmsg(device, 0, parents[hook], info(preference)),
      attributes: [[TCA.kind, text('u32')], [TCA.options, [[TCA_U32_SEL, selector(match)], ...actions]]],
    });
  }
}

/** struct tcmsg. */
function tcmsg(device: number, handle: number, parent: number, information: number): Uint8Array {
  return concat(u8(0), u8(0), u16(0), u32(device), u32(handle), u32(parent), u32(information));
}

/** tcm_info: preference in the upper half, protocol in network order in the lower. */
function info(preference: number): number {
  return ((preference << 16) | (ETH_P_ALL << 8)) >>> 0;
}

/** The key covers the 4 bytes from 16 before the network header: 2 of headroom, then the first 2 of the destination MAC. */
const GROUP_BIT = { mask: 0x00000100, offset: -16 } as const;

/** struct tc_u32_sel with one key. */
function selector(match: FrameClass): Uint8Array {
  const [mask, value, offset] = match === 'all' ? [0, 0, 0] : [GROUP_BIT.mask, match === 'group' ? GROUP_BIT.mask : 0, GROUP_BIT.offset];
  const key = concat(u32be(mask), u32be(value), u32(offset), u32(0));
  return concat(u8(TC_U32_TERMINAL), u8(0), u8(1), u8(0), u16be(0), u16(0), u16(0), u16(0), u32be(0), key);
}

function mirredParameters(action: Uint8Array): Uint8Array {
  const options = decodeAttributes(decodeAttributes(action).get(TCA_ACT_OPTIONS) ?? new Uint8Array());
  return options.get(TCA_MIRRED_PARMS) ?? new Uint8Array();
}

function mirred(to: number): readonly Attribute[] {
  const parameters = concat(u32(0), u32(0), u32(TC_ACT_STOLEN), u32(0), u32(0), u32(TCA_EGRESS_REDIR), u32(to));
  return [[TCA_ACT_KIND, text('mirred')], [TCA_ACT_OPTIONS, [[TCA_MIRRED_PARMS, parameters]]]];
}
