/** What the control plane refuses, each with its code (docs/ERRORS.md), HTTP status, and what to do. */
import { ApiError, type Fault } from '../api/api.ts';
import { plurals } from '../api/http-paths.ts';
import { nearest } from '../api/nearest.ts';
import type { Kind } from '../model/resource.ts';

/** `known`: the names of those there are. */
export function notFound(kind: Kind, name: string, known: readonly string[] = []): ApiError {
  // Of an address, without its network, too.
  const meant = (kind === 'Address' ? known.find((other) => other.endsWith(`/${name}`)) : undefined) ?? nearest(name, known);
  const look = `\`godwit get ${plurals[kind]}\` shows those there are`;
  return new ApiError(404, 'CONTROL_NOT_FOUND', `There is no ${kind} ${name}: ${meant === undefined ? '' : `did you mean ${meant}? `}${look}`);
}
export const invalid = (faults: readonly Fault[]): ApiError =>
  new ApiError(400, 'CONTROL_INVALID', `Nothing was applied: ${faults.length === 1 ? 'one fault' : `${faults.length} faults`}. ${faults.map((f) => `${f.path}: ${f.message}`).join('; ')}`, { faults });
export const inUse = (kind: Kind, name: string, by: string): ApiError =>
  new ApiError(409, 'CONTROL_IN_USE', `${kind} ${name} cannot be deleted: ${by}`);
const lasting = {
  Event: 'Events cannot be deleted: the oldest go by themselves',
  Address: 'Addresses cannot be deleted: each is there as long as it is declared or seen',
  Path: 'Paths cannot be deleted: each is there as long as both of its hosts have an address on it',
} as const;
export const undeletable = (kind: keyof typeof lasting): ApiError => new ApiError(405, 'CONTROL_NOT_DELETABLE', lasting[kind]);

export const historyUnknown = (host: string, series: string, why: string): ApiError =>
  new ApiError(404, 'CONTROL_HISTORY_UNKNOWN', `${host} has no history of ${series}: ${why}`);
export const historySilent = (host: string, why: string, status = 503): ApiError =>
  new ApiError(status, 'CONTROL_HISTORY_SILENT', `No history comes from ${host}: ${why}`);

export const noTarget = (vm: string, reason: string): ApiError =>
  new ApiError(409, 'CONTROL_NO_TARGET', `${vm} cannot be moved anywhere now: ${reason}. Make room, or name a host`);
export const sameHost = (vm: string, host: string): ApiError =>
  new ApiError(409, 'CONTROL_SAME_HOST', `${vm} runs on ${host} already: name another host`);
export const vmMoving = (vm: string, migration: string): ApiError =>
  new ApiError(409, 'CONTROL_VM_MOVING', `${vm} is in the hands of ${migration}: wait until that has ended, or \`godwit cancel ${migration}\``);
/** `done`: what cannot be done with it. */
export const vmNotRunning = (vm: string, how: string, done = 'moved'): ApiError =>
  new ApiError(409, 'CONTROL_VM_NOT_RUNNING', `${vm} does not run (${how}): only a running VM can be ${done}. \`godwit vm start ${vm}\` starts it`);
export const vmStopping = (vm: string): ApiError =>
  new ApiError(409, 'CONTROL_VM_STOPPING', `${vm} is still being stopped: start it when it is (\`godwit get vms --watch\`), or \`godwit vm stop --force ${vm}\` first`);
export const vmUnknown = (vm: string, reason: string): ApiError =>
  new ApiError(409, 'CONTROL_VM_UNKNOWN', `Whether ${vm} runs is not known (${reason}): it is not started a second time. See to that host's agent`);
export const hostSilent = (host: string, why: string): ApiError =>
  new ApiError(409, 'CONTROL_HOST_SILENT', `${host} ${why}: see that its agent runs and reaches the server (\`systemctl status godwit-agent\` there)`);
export const migrationEnded = (migration: string, how: string): ApiError =>
  new ApiError(409, 'CONTROL_MIGRATION_ENDED', `${migration} has ended (${how}): there is nothing left to cancel`);

export const tokenInvalid = (): ApiError =>
  new ApiError(403, 'CONTROL_TOKEN_INVALID', 'This join token is not valid, or not any more: it lets one host in, once, before its time is over. Make a new one with `godwit token create`');
export const hostExists = (host: string): ApiError =>
  new ApiError(409, 'CONTROL_HOST_EXISTS', `There is a host ${host} already: join under another name, or \`godwit delete host ${host}\` first if that one is gone for good`);
export const hostUnknown = (host: string): ApiError =>
  new ApiError(403, 'CONTROL_HOST_UNKNOWN', `${host} is no host of this cluster (any more): join it again with a new token`);
export const agentDuplicate = (host: string): ApiError =>
  new ApiError(409, 'CONTROL_AGENT_DUPLICATE', `Another, newer agent reports as ${host}: stop one of the two. Two machines must not share one identity: join each under its own name`);

export const agentEarly = (host: string): ApiError =>
  new ApiError(503, 'CONTROL_AGENT_DUPLICATE', `Another agent reported as ${host} a moment ago: this one is heard when that one has been silent for 2 s, as after a restart. If it stays so, two machines share one identity: stop this agent and join this machine under its own name`);

export const tokenTtl = (): ApiError => new ApiError(400, 'CONTROL_TOKEN_TTL', 'A join token is valid for more than nothing and at most 24 h: give another --ttl');
export const alreadyInitialized = (stateDir: string): ApiError =>
  new ApiError(409, 'CONTROL_ALREADY_INITIALIZED', `${stateDir} has a cluster already: start it with \`godwit server\`, or give another --state-dir`);
