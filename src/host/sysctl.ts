/** Settings of the network stack: /proc/sys/net of a host's namespace. */
import { readFileSync, writeFileSync } from 'node:fs';
import { GodwitError } from '../base/error.ts';
import type { Native, Netns } from '../native/native.ts';

interface Place {
  readonly native: Native;
  readonly netns: Netns;
}

/** The setting is there and cannot be read or written. */
export class SysctlError extends GodwitError {
  constructor(setting: string, cause: unknown) {
    super('HOST_SYSCTL', `The setting net/${setting} cannot be read or set: make /proc/sys/net writable, and look at its value`, { cause });
  }
}

/**
 * `setting` is a path below net, with slashes since a device may have dots in its name: `ipv4/conf/eth0.7/arp_ignore`. Undefined where
 * the kernel has no such setting, or no such device. Throws SysctlError.
 */
export function readSysctl(place: Place, setting: string): string | undefined {
  return attempt(place, setting, (path) => readFileSync(path, 'utf8').trimEnd());
}

/** False where the kernel has no such setting, or no such device. Throws SysctlError. */
export function writeSysctl(place: Place, setting: string, value: string | number): boolean {
  return attempt(place, setting, (path) => {
    writeFileSync(path, String(value), { flag: 'r+' });
    return true;
  }) ?? false;
}

function attempt<T>({ native, netns }: Place, setting: string, access: (path: string) => T): T | undefined {
  if (setting.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    throw new SysctlError(setting, new Error(`${JSON.stringify(setting)} is no path below net`));
  }
  try {
    return native.inNetns(netns, () => access(`/proc/sys/net/${setting}`));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new SysctlError(setting, error);
  }
}
