/**
 * agent/: one host's side of what Godwit does: runs VMs and carries out moves. It executes what protocol/ decides, on host/
 * and vm/. `move.ts` drives a whole move; `move-source.ts` and `move-destination.ts` are the two hosts' sides of it.
 */
export { endVm, placeVm, type RunningVm } from './running-vm.ts';
export { getToKnow } from './plan-facts.ts';
export { move, type MoveOptions, type MoveProgress } from './move.ts';
