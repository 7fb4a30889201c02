/**
 * What this host's agent knows of its VMs and of the moves in progress, on its disk: `vms/NAME.json`, `moves/ID.json`.
 * A file that is no record is set aside, not lost: the VM it was of is left alone until a person has looked.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { formatError } from '../base/error.ts';
import { RecordInvalid, VmBusy } from './errors.ts';
import type { Disk } from '../host/disk.ts';
import type { Place } from '../move/hypervisor.ts';
import type { Log } from '../base/log.ts';
import { type MoveRecord, type VmRecord, decodeMove, decodeVm, encodeMove, encodeVm } from './records.ts';

const ASIDE = 'set-aside';

export interface StateOptions {
  readonly disk: Disk;
  /** Where QEMUs have their files; absolute. Need not outlive a boot of the host. */
  readonly runDir: string;
  readonly log: Log;
}

export class AgentState {
  readonly #disk: Disk;
  readonly #runDir: string;
  readonly #log: Log;
  readonly #vms = new Map<string, VmRecord>();
  readonly #moves = new Map<string, MoveRecord>();
  /** By VM: the file that was set aside. */
  readonly #blocked = new Map<string, string>();

  /** Reads everything. Throws DiskFailed. */
  constructor({ disk, runDir, log }: StateOptions) {
    this.#disk = disk;
    this.#runDir = runDir;
    this.#log = log;
    for (const file of disk.list(ASIDE)) this.#block(file);
    this.#read('vms', (path, data) => {
      const record = decodeVm(path, data);
      if (vmPath(record.name) !== path) throw new RecordInvalid(path, `it is of VM ${record.name}`);
      this.#vms.set(record.name, record);
    });
    this.#read('moves', (path, data) => {
      const record = decodeMove(path, data);
      if (movePath(record.wanted.move) !== path) throw new RecordInvalid(path, `it is of move ${record.wanted.move}`);
      this.#moves.set(record.wanted.move, record);
    });
  }

  vms(): readonly VmRecord[] {
    return [...this.#vms.values()];
  }

  vm(name: string): VmRecord | undefined {
    return this.#vms.get(name);
  }

  /** On the disk when it returns. Throws DiskFull, DiskFailed or RecordInvalid; what it was still stands then (DiskFailed: perhaps). */
  saveVm(record: VmRecord): void {
    const path = vmPath(record.name);
    this.#disk.write(path, encodeVm(path, record));
    this.#vms.set(record.name, record);
  }

  /** For what is only told, and nothing hangs on after a restart: known from now on, on the disk if that is possible. */
  noteVm(record: VmRecord): void {
    this.#vms.set(record.name, record);
    try {
      this.saveVm(record);
    } catch (error) {
      this.#log.warn({ vm: record.name, error: formatError(error) }, 'What became of the VM could not be written down');
    }
  }

  removeVm(name: string): void {
    this.#disk.remove(vmPath(name));
    this.#vms.delete(name);
  }

  moves(): readonly MoveRecord[] {
    return [...this.#moves.values()];
  }

  move(id: string): MoveRecord | undefined {
    return this.#moves.get(id);
  }

  /** The move in progress that has this VM, at either end. */
  moveOf(vm: string): MoveRecord | undefined {
    return this.moves().find(({ wanted }) => wanted.vm === vm);
  }

  /** On the disk when it returns. Throws like `saveVm`. */
  saveMove(record: MoveRecord): void {
    const path = movePath(record.wanted.move);
    this.#disk.write(path, encodeMove(path, record));
    this.#moves.set(record.wanted.move, record);
  }

  removeMove(id: string): void {
    this.#disk.remove(movePath(id));
    this.#moves.delete(id);
  }

  /** Why nothing may be done with this VM until a person has looked; undefined when all is well. */
  blocked(vm: string): string | undefined {
    const file = this.#blocked.get(vm);
    if (file === undefined) return undefined;
    const remedy = 'look whether its QEMU runs, then remove that file and restart the agent';
    return `the agent's record of it could not be read and lies in ${file} of its state directory: ${remedy}`;
  }

  /**
   * The run directory follows from the name: so there cannot be two QEMUs of one VM on a host, even if a record were lost.
   * The id is new each time. Throws VmBusy for one whose record was set aside, RecordInvalid for what is no name.
   */
  newPlace(vm: string): Place {
    const blocked = this.blocked(vm);
    if (blocked !== undefined) throw new VmBusy(vm, blocked);
    if (!/^[a-z0-9-]{1,40}$/.test(vm)) throw new RecordInvalid(vmPath(vm), 'not the name of a VM');
    const used = new Set([...this.vms(), ...this.moves()].map(({ place }) => place.id));
    for (;;) {
      const id = randomBytes(4).toString('hex');
      if (!used.has(id)) return { runDirectory: join(this.#runDir, 'vms', vm), id };
    }
  }

  #read(directory: string, take: (path: string, data: Uint8Array) => void): void {
    for (const file of this.#disk.list(directory)) {
      const path = `${directory}/${file}`;
      if (!/^[a-z0-9-]+\.json$/.test(file)) {
        this.#log.warn({ path }, 'A file that is none of the agent\'s lies in its state directory');
        continue;
      }
      const data = this.#disk.read(path);
      if (!data) continue;
      try {
        take(path, data);
      } catch (error) {
        const vm = directory === 'vms' ? file.replace(/\.json$/, '') : vmOfMove(data);
        const aside = `${vm ?? '-'}.${directory}.${file}`;
        this.#disk.rename(path, `${ASIDE}/${aside}`);
        this.#block(aside);
        const fields = { path, aside: `${ASIDE}/${aside}`, vm, error: formatError(error) };
        this.#log.error(fields, 'A record could not be read and was set aside');
      }
    }
  }

  #block(file: string): void {
    const vm = /^([a-z0-9-]+)\./.exec(file)?.[1];
    if (vm !== undefined) this.#blocked.set(vm, `${ASIDE}/${file}`);
  }
}

const vmPath = (name: string): string => `vms/${name}.json`;
const movePath = (id: string): string => `moves/${id}.json`;

/** As far as a file that is no record of a move says so all the same. */
function vmOfMove(data: Uint8Array): string | undefined {
  return /"vm":"([a-z0-9-]{1,40})"/.exec(new TextDecoder().decode(data))?.[1];
}
