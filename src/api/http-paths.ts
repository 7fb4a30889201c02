/** Where each kind is found over HTTP: `/v1/vms/web-1`. */
import type { Kind } from '../model/resource.ts';

export const plurals = {
  Host: 'hosts', Network: 'networks', Vm: 'vms', Migration: 'migrations', Event: 'events', Policy: 'policies',
} as const satisfies Readonly<Record<Kind, string>>;

export const kindPath = (kind: Kind, name?: string): string =>
  `/v1/${plurals[kind]}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;
