/** What runs virtual routers in a lab: Godwit's pulse, keepalived, FRR's vrrpd, all from the same plan. */
import type { RouterPlan } from '../model/virtual-router.ts';

export interface VrrpPeer {
  readonly program: 'godwit' | 'keepalived' | 'frr';
  /** As its users end it: SIGTERM, or the command for it. Resolves when all of it has ended. */
  stop(): Promise<void>;
  /** SIGKILL to every process of it, none of which gets to act on another's end. */
  kill(): void;
  /** Adverts it refused, by its own word, by router and reason; empty when it took all. */
  refused(): Promise<Readonly<Record<string, Readonly<Record<string, number>>>>>;
  /** Adverts it took, by its own word, by router. */
  taken(): Promise<Readonly<Record<string, number>>>;
}

/** The plan of the lab's usual router, `vrid` 51, with what is different here. */
export function labPlan(plan: Partial<RouterPlan> = {}): RouterPlan {
  const family = plan.family ?? 4;
  return {
    name: 'gw', vrid: 51, version: 3, family, device: 'lan',
    addresses: family === 4 ? [{ address: '10.90.0.254', prefixLength: 24 }] : [{ address: 'fe80::254', prefixLength: 64 }, { address: 'fd90::254', prefixLength: 64 }],
    priority: 100, interval: 100, virtualMac: true, preempt: true, preemptDelay: 0, accept: true, checksum: 'pseudo-header', peers: [],
    minTtl: 255, announce: { count: 5, interval: 100 }, track: [], ...plan,
  };
}
