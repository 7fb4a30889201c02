/** Where each kind is found over HTTP: `/v1/vms/web-1`. */
import type { Kind } from '../model/resource.ts';

export const plurals = {
  Host: 'hosts', Network: 'networks', Vm: 'vms', VirtualRouter: 'routers', BfdSession: 'bfdsessions', Path: 'paths', Address: 'addresses',
  Migration: 'migrations', Event: 'events', Policy: 'policies',
} as const satisfies Readonly<Record<Kind, string>>;

/** Upgrade to this protocol (RFC 9110 §7.8), and the connection carries the bytes of a VM's serial port, both ways, and nothing else. */
export const CONSOLE_PROTOCOL = 'godwit-console';
export const consolePath = (vm: string): string => `${kindPath('Vm', vm)}/console`;
/** The agent's end of a session. */
export const agentConsolePath = (session: string): string => `/agent/v1/consoles/${session}`;
/** Where an agent answers a history order. */
export const agentHistoryPath = (id: string): string => `/agent/v1/history/${id}`;
export const historyPath = (host: string): string => `${kindPath('Host', host)}/history`;
/** On the agent's request: there is no console, URI-encoded why. */
export const CONSOLE_REFUSED = 'godwit-refused';

export const kindPath = (kind: Kind, name?: string): string =>
  `/v1/${plurals[kind]}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;
