/** The plans of the lab's usual sessions, for both programs. */
import type { BfdSessionPlan } from '../model/bfd-session.ts';
import { lanAddress, multihopAddress } from './bfd-lab.ts';
import type { FrrBfdPeer } from './frr-bfd.ts';

/** Over one hop to host `peer` of the lab, called by its address, with what is different here. */
export function pulseSession(peer: number, plan: Partial<BfdSessionPlan> = {}): BfdSessionPlan {
  const address = lanAddress(peer);
  const way = { hops: 'single', interface: 'lan' } as const;
  return { name: address, peer: address, way, interval: 50, receive: 50, multiplier: 3, echoReceive: 0, ...plan };
}

export function pulseMultihop(own: number, peer: number, plan: Partial<BfdSessionPlan> = {}): BfdSessionPlan {
  const address = multihopAddress(peer);
  return pulseSession(peer, { name: address, peer: address, way: { hops: 'multi', local: multihopAddress(own), minTtl: 254 }, ...plan });
}

export function frrSession(peer: number, plan: Partial<FrrBfdPeer> = {}): FrrBfdPeer {
  return { peer: lanAddress(peer), way: { hops: 'single', interface: 'lan' }, interval: 50, multiplier: 3, ...plan };
}

export function frrMultihop(own: number, peer: number, plan: Partial<FrrBfdPeer> = {}): FrrBfdPeer {
  return frrSession(peer, { peer: multihopAddress(peer), way: { hops: 'multi', local: multihopAddress(own), minTtl: 254 }, ...plan });
}
