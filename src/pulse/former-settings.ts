/** Settings of devices that are not Godwit's, changed for as long as a pulse needs it: what they were outlives the pulse, in a file. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Host } from '../host/host.ts';
import { readSysctl, writeSysctl } from '../host/sysctl.ts';

export class FormerSettings {
  readonly #host: Host;
  readonly #path: string | undefined;
  readonly #before: Map<string, string>;

  /** `path` is in a directory that a boot empties, as it does the settings. Without one they are put back only by who changed them. */
  constructor(host: Host, path?: string) {
    this.#host = host;
    this.#path = path;
    this.#before = new Map(path === undefined ? [] : read(path));
  }

  /** Raises a setting that is a number to at least this. */
  raise(setting: string, least: number): void {
    const value = readSysctl(this.#host, setting) ?? '0';
    if (Number(value) >= least) return;
    // Of two that changed it, the first one knew what it was.
    if (!this.#before.has(setting)) {
      this.#before.set(setting, value);
      this.#write();
    }
    writeSysctl(this.#host, setting, least);
  }

  /** Puts all of them back; a device that is gone has taken its own along. */
  restore(): void {
    for (const [setting, value] of this.#before) writeSysctl(this.#host, setting, value);
    this.#before.clear();
    if (this.#path !== undefined) rmSync(this.#path, { force: true });
  }

  #write(): void {
    if (this.#path === undefined) return;
    writeFileSync(`${this.#path}.new`, JSON.stringify([...this.#before]));
    renameSync(`${this.#path}.new`, this.#path);
  }
}

/** Nothing where there is none, or none that can be read. */
function read(path: string): [string, string][] {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return Array.isArray(value) ? value.filter(isPair) : [];
  } catch {
    return [];
  }
}

const isPair = (value: unknown): value is [string, string] =>
  Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === 'string') && /^ipv[46]\/conf\/[^/]+\/arp_\w+$/.test(String(value[0]));
