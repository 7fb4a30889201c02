/** What an agent has on its disk of virtual routers: which are wanted; and what they and BFD sessions did that the server does not know yet. */
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Log } from '../base/log.ts';
import type { Disk } from '../host/disk.ts';
import type { RouterPlan } from '../model/virtual-router.ts';
import { readJson, writeJson } from './json-files.ts';

const WANTED = 'routers.json';
const UNTOLD = 'transitions.json';

const wantedCheck = Compile(Type.Object({ version: Type.Literal(1), routers: Type.Array(Type.Unsafe<RouterPlan>({ type: 'object' })) }));

/** What cannot be read or written is told to the log; nothing here throws. */
export class RouterFiles {
  readonly #disk: Disk;
  readonly #log: Log;

  constructor(disk: Disk, log: Log) {
    this.#disk = disk;
    this.#log = log;
  }

  /** Nothing where nothing was ever written down; undefined where that cannot be read. */
  wanted(): readonly RouterPlan[] | undefined {
    if (!this.#disk.read(WANTED)) return [];
    const value = readJson(this.#disk, this.#log, WANTED);
    if (wantedCheck.Check(value)) return value.routers;
    this.#log.error({ path: WANTED }, 'What virtual routers are wanted is not known: those that run are left as they are until the server says');
    return undefined;
  }

  writeWanted(routers: readonly RouterPlan[]): void {
    writeJson(this.#disk, this.#log, WANTED, { version: 1, routers });
  }

  /** What `writeUntold` was last given; undefined: nothing, or nothing that can be read. */
  untold(): unknown {
    return readJson(this.#disk, this.#log, UNTOLD);
  }

  writeUntold(value: unknown): void {
    writeJson(this.#disk, this.#log, UNTOLD, value);
  }
}
