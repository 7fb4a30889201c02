/**
 * agent/: one host's side of what Godwit does: runs VMs and carries out moves. It executes what protocol/ decides, on host/
 * and vm/. `move.ts` drives a whole move; `ends.ts` says what its two ends are, and `hypervisor.ts` what is needed of a host.
 */
export { KernelGuest } from './kernel-guest.ts';
export { getToKnow } from './plan-facts.ts';
export { move, type MoveOptions, type MoveProgress } from './move.ts';
