/** The words of the VRRP machine (`vrrp.ts`): what it is told, what it asks for, and what it remembers. */
import { unreachable } from '../base/error.ts';
import { type Milliseconds, ms } from '../base/units.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { type AnnounceEffect, type AnnounceSettings, type Announcing, announceDeadline } from './vrrp-announce.ts';
import { effectiveInterval } from './vrrp-timers.ts';

export interface VrrpSettings {
  readonly vrid: number;
  readonly version: 2 | 3;
  readonly addresses: readonly IpAddress[];
  /** 1..255, with what tracking left of it; 255 owns the addresses. */
  readonly priority: number;
  readonly interval: Milliseconds;
  readonly preempt: boolean;
  /** A Backup that could preempt waits this long after it began to hear a weaker Active, and from then on no longer listens to it. */
  readonly preemptDelay: Milliseconds;
  readonly announce: AnnounceSettings;
}

/** What an advert says, from whom; the codec (wire/vrrp.ts) has checked its form. */
export interface HeardAdvert {
  readonly from: IpAddress;
  /** 0..255 */
  readonly priority: number;
  /** Its Max Advertise Interval; version 2: Adver Int. */
  readonly interval: Milliseconds;
  readonly addresses: readonly IpAddress[];
  /** When it came in. */
  readonly at: Milliseconds;
}

export type VrrpEvent =
  /** Everything it hangs on is there: its own address, which breaks ties, too. While it runs: that address is another one now. */
  | { readonly kind: 'start'; readonly source: IpAddress }
  /** `fault`: it may start again; `stop`: the router was taken away or the program ends. Both leave with priority 0 if it was Active. */
  | { readonly kind: 'fault'; readonly reason: string }
  | { readonly kind: 'stop'; readonly reason: string }
  | { readonly kind: 'advert'; readonly advert: HeardAdvert }
  /** The sockets are drained. Before its deadline it changes nothing. */
  | { readonly kind: 'expire' }
  /** Tracking changed what the priority is. */
  | { readonly kind: 'priority'; readonly priority: number; readonly because: string }
  /** The sync group: the others of it became Active; or left, or cannot follow: listen anew. `again`: for the same reason as before. */
  | { readonly kind: 'group'; readonly to: 'active' | 'backup'; readonly because: string; readonly again?: boolean }
  /** Of the same virtual router: another VRID or version is another machine. */
  | { readonly kind: 'settings'; readonly settings: VrrpSettings }
  /** The smallest interval this host can hold now. */
  | { readonly kind: 'holdable'; readonly interval: Milliseconds }
  /** A neighbour was seen to use this host for one of the addresses. */
  | { readonly kind: 'used' };

export type VrrpEffect =
  | AnnounceEffect
  /**
   * Priority 0 says: I leave. `mac`: what the frame comes from. Switches send the virtual MAC's frames to whoever used it last, so who has
   * released speaks as its device: what it says late must not turn them away from its successor. No RFC has receivers look at it.
   */
  | { readonly do: 'send'; readonly priority: number; readonly interval: Milliseconds; readonly mac: 'virtual' | 'device' }
  /** Answer for the addresses from now on: install them. */
  | { readonly do: 'take' }
  /** At once, before anything else is done. */
  | { readonly do: 'release' }
  /** The list was changed while it is installed. */
  | { readonly do: 'readdress'; readonly add: readonly IpAddress[]; readonly remove: readonly IpAddress[] }
  | { readonly do: 'transition'; readonly from: VrrpPhase; readonly to: VrrpPhase; readonly rule: string }
  /** For the record: a rule fired that changed no phase. */
  | { readonly do: 'note'; readonly rule: string };

/** `leaving` is `initialize` to all others: it takes no part any more. */
export type VrrpPhase = 'initialize' | 'fault' | 'backup' | 'active';

export interface Common {
  readonly settings: VrrpSettings;
  readonly holdable: Milliseconds;
}

export interface Backup extends Common {
  readonly phase: 'backup';
  readonly source: IpAddress;
  /** Active_Adver_Interval */
  readonly activeInterval: Milliseconds;
  /** Active_Down_Timer */
  readonly activeDown: Milliseconds;
  /** When it next makes sure that it is awake. */
  readonly watch: Milliseconds;
  /** How often in a row it found that it had slept. */
  readonly naps: number;
  readonly weakerSince: Milliseconds | undefined;
  /** It lost a duel, and the winner may not know of it. */
  readonly farewell: { readonly left: number; readonly said: Milliseconds } | undefined;
}

export interface Active extends Common {
  readonly phase: 'active';
  readonly source: IpAddress;
  /** Adver_Timer */
  readonly nextAdvert: Milliseconds;
  readonly announcing: Announcing;
}

export interface Leaving extends Common {
  readonly phase: 'leaving';
  readonly source: IpAddress;
  readonly until: Milliseconds;
}

export type VrrpState =
  | (Common & { readonly phase: 'initialize' })
  | (Common & { readonly phase: 'fault'; readonly reason: string })
  | Backup
  | Active
  | Leaving;

export interface VrrpStep {
  readonly state: VrrpState;
  readonly effects: readonly VrrpEffect[];
}

export const phaseOf = (state: VrrpState): VrrpPhase => (state.phase === 'leaving' ? 'initialize' : state.phase);

/** What it sends by, or would. */
export const intervalOf = ({ settings, holdable }: VrrpState): Milliseconds => effectiveInterval(settings, holdable);

/** When `expire` is wanted. */
export function deadlineOf(state: VrrpState): Milliseconds | undefined {
  switch (state.phase) {
    case 'initialize':
    case 'fault': return undefined;
    case 'backup': return ms(Math.min(state.activeDown, state.watch));
    case 'active': return ms(Math.min(state.nextAdvert, announceDeadline(state.announcing)));
    case 'leaving': return state.until;
    default: return unreachable(state);
  }
}
