/** A lab with one VM that moves round its hosts: what demo, bench and lab tests share. Owns everything it makes. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { endVm, getToKnow, type MoveProgress, move, placeVm, type RunningVm } from '../agent/agent.ts';
import { Journal } from '../agent/journal.ts';
import type { MovePolicy, MoveResult } from '../agent/move.ts';
import { GodwitError } from '../base/error.ts';
import { bytesPerSecond, ms, seconds } from '../base/units.ts';
import type { Vm } from '../model/vm.ts';
import type { Native } from '../native/native.ts';
import { lastLines } from '../vm/run-directory.ts';
import { plainMove, type PlainResult } from './plain-move.ts';
import { Lab, type LabHost, type LabOptions } from './topology.ts';

/** 1 GB/s, for both sides of every comparison. */
export const MAX_BANDWIDTH = bytesPerSecond(1_000_000_000);
const BOOT_TIMEOUT = 60_000;

export const labPolicy: MovePolicy = {
  lastPass: ms(4), patience: seconds(8), lastPassLate: ms(20), maxCopy: seconds(30),
  maxPause: ms(300), maxEmptying: ms(300), quiet: ms(100), maxDrain: seconds(5), drainInterval: ms(20),
};

export interface SessionMove {
  readonly policy?: Partial<MovePolicy>;
  readonly onProgress?: (progress: MoveProgress) => void;
  readonly signal?: AbortSignal;
  readonly hostProbes?: boolean;
}

export class Session {
  readonly lab: Lab;
  readonly vm: Vm;
  readonly #journals = new Map<string, Journal>();
  readonly #leftBehind: RunningVm[] = [];
  #running: RunningVm;
  #at: LabHost;
  #moves = 0;

  private constructor(lab: Lab, vm: Vm, running: RunningVm, at: LabHost) {
    this.lab = lab;
    this.vm = vm;
    this.#running = running;
    this.#at = at;
  }

  /** Builds the lab, boots the VM on the first host, and waits until the guest serves. */
  static async open(native: Native, lab: LabOptions, vm: Vm): Promise<Session> {
    const built = new Lab(native, lab);
    let running: RunningVm | undefined;
    try {
      const [first] = built.hosts;
      if (!first) throw new GodwitError('LAB_NO_HOST', 'A lab needs a host');
      running = await placeVm(first.host, vm, { runDirectory: join(built.directory, 'boot'), id: 'boot', incoming: false });
      for (const { host } of built.hosts) await getToKnow(host);
      await guestUp(running);
      return new Session(built, vm, running, first);
    } catch (error) {
      if (running) await endVm(running);
      built.close();
      throw error;
    }
  }

  get running(): RunningVm {
    return this.#running;
  }

  get at(): LabHost {
    return this.#at;
  }

  /** The next host round the ring. */
  get next(): LabHost {
    const { hosts } = this.lab;
    return hosts[(hosts.indexOf(this.#at) + 1) % hosts.length] ?? this.#at;
  }

  async move({ policy, onProgress, signal, hostProbes = true }: SessionMove = {}, to = this.next): Promise<MoveResult> {
    const result = await move({
      id: this.#id(), running: this.#running, to: to.host, sourceAddress: this.#at.address, destinationAddress: to.address,
      port: 4444, maxBandwidth: MAX_BANDWIDTH, journal: this.#journal(to), runDirectory: this.lab.directory,
      policy: { ...labPolicy, ...policy }, hostProbes, ...(onProgress ? { onProgress } : {}), ...(signal ? { signal } : {}),
    });
    if (result.receipt.outcome.kind === 'moved') this.#at = to;
    this.#running = result.running;
    if (result.leftBehind) this.#leftBehind.push(result.leftBehind);
    return result;
  }

  async movePlain(to = this.next): Promise<PlainResult> {
    const id = this.#id();
    const result = await plainMove(this.#running, to.host, to.address, { id, runDirectory: join(this.lab.directory, id), maxBandwidth: MAX_BANDWIDTH });
    this.#at = to;
    this.#running = result.running;
    return result;
  }

  async close(): Promise<void> {
    try {
      for (const vm of [this.#running, ...this.#leftBehind]) await endVm(vm);
    } finally {
      for (const journal of this.#journals.values()) journal.close();
      this.lab.close();
    }
  }

  #id(): string {
    return (0xa00000 + ++this.#moves * 16).toString(16);
  }

  #journal(host: LabHost): Journal {
    const journal = this.#journals.get(host.name) ?? new Journal(join(this.lab.directory, `${host.name}.journal`));
    this.#journals.set(host.name, journal);
    return journal;
  }
}

async function guestUp({ qemu }: RunningVm): Promise<void> {
  const deadline = performance.now() + BOOT_TIMEOUT;
  const { serialLog } = qemu.run;
  let ended = false;
  void qemu.exited.then(() => (ended = true));
  while (!(existsSync(serialLog) && readFileSync(serialLog, 'utf8').includes('GODWIT-GUEST-UP'))) {
    if (ended || performance.now() > deadline) {
      throw new GodwitError('LAB_GUEST_SILENT', `The guest did not come up; its console ends:\n${lastLines(serialLog)}\n${qemu.log()}`);
    }
    await pause(20);
  }
}
