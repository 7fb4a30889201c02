/**
 * policy/: what should happen. From facts about hosts and VMs to a decision with its reasons, in words for people. Pure: the
 * facts come in as arguments, gathered by the rooms above; nothing is looked up, and the same facts give the same answer.
 */
export { type HostFacts, type KernelFeature, type MoveFacts, type Plan, type QemuFacts, planMove, tunnelOverhead } from './plan.ts';
export { type FrameTried, type GatewayTried, type NetworkTried, type PathTried, type Ways, frameCame, gatewayShared } from './ways.ts';
