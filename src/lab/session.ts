/** A lab with one VM that moves round its hosts: what demo, bench and lab tests share. Owns everything it makes. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { KernelGuest } from '../move/kernel-guest.ts';
import { type MoveProgress, move } from '../move/move.ts';
import { getToKnow } from '../move/plan-facts.ts';
import { kernelDisk } from '../host/disk.ts';
import { KernelHypervisor } from '../move/hypervisor-kernel.ts';
import { Journal } from '../move/journal.ts';
import { LocalDestination } from '../move/local-destination.ts';
import type { MoveTerms } from '../move/ends.ts';
import { MoveDestination } from '../move/move-destination.ts';
import type { DestinationSide, MovePolicy } from '../move/move.ts';
import { GodwitError } from '../base/error.ts';
import { bytesPerSecond, ms, seconds } from '../base/units.ts';
import type { Receipt } from '../model/move.ts';
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

/** Where the guest runs now; after a stranded move, the destination's, which may or may not run, and what was left at the source. */
export interface MoveResult {
  readonly receipt: Receipt;
  readonly running: KernelGuest;
  readonly leftBehind?: KernelGuest;
}

export interface SessionMove {
  readonly policy?: Partial<MovePolicy>;
  readonly onProgress?: (progress: MoveProgress) => void;
  readonly signal?: AbortSignal;
  readonly hostProbes?: boolean;
}

/** What a session needs of a lab. */
export type SessionLab = Pick<Lab, 'hosts' | 'client' | 'directory' | 'close'>;

export class Session<L extends SessionLab = Lab> {
  readonly lab: L;
  readonly vm: Vm;
  readonly #journals = new Map<string, Journal>();
  readonly #leftBehind: KernelGuest[] = [];
  #running: KernelGuest;
  #at: LabHost;
  #moves = 0;

  private constructor(lab: L, vm: Vm, running: KernelGuest, at: LabHost) {
    this.lab = lab;
    this.vm = vm;
    this.#running = running;
    this.#at = at;
  }

  /** Builds the lab, boots the VM on the first host, and waits until the guest serves. */
  static open(native: Native, lab: LabOptions, vm: Vm): Promise<Session> {
    return Session.on(new Lab(native, lab), vm);
  }

  /** As `open`, in a lab that is there, and that is the session's from now on. */
  static async on<T extends SessionLab>(built: T, vm: Vm): Promise<Session<T>> {
    let running: KernelGuest | undefined;
    try {
      const [first] = built.hosts;
      if (!first) throw new GodwitError('LAB_NO_HOST', 'A lab needs a host');
      running = await KernelGuest.start(first.host, vm, { runDirectory: join(built.directory, 'boot'), id: 'boot' }, false);
      for (const { host } of built.hosts) await getToKnow(host);
      await guestUp(running);
      return new Session(built, vm, running, first);
    } catch (error) {
      await running?.kill();
      built.close();
      throw error;
    }
  }

  get running(): KernelGuest {
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
    const terms: MoveTerms = { id: this.#id(), source: this.#at.address, destination: to.address, maxBandwidth: MAX_BANDWIDTH };
    const running = this.#running;
    let arrived: KernelGuest | undefined;
    const side = this.#side(to, hostProbes, (guest) => (arrived = guest));
    const { receipt } = await move({
      terms, guest: running, hypervisor: new KernelHypervisor(this.#at.host, { hostProbes }), to: side, journal: this.#journal(this.#at),
      policy: { ...labPolicy, ...policy }, ...(onProgress ? { onProgress } : {}), ...(signal ? { signal } : {}),
    });
    const { kind } = receipt.outcome;
    if (kind === 'moved') {
      this.#at = to;
      await running.kill();
    }
    if (arrived && kind !== 'rolled-back') this.#running = arrived;
    const leftBehind = kind === 'stranded' && this.#running !== running ? running : undefined;
    if (leftBehind) this.#leftBehind.push(leftBehind);
    return { receipt, running: this.#running, ...(leftBehind ? { leftBehind } : {}) };
  }

  /** The destination in this process. */
  #side(to: LabHost, hostProbes: boolean, onGuest: (guest: KernelGuest) => void): DestinationSide {
    return {
      host: to.name,
      facts: (vm) => new KernelHypervisor(to.host).facts(vm),
      prepare: async (vm, terms) => {
        const place = { runDirectory: join(this.lab.directory, terms.id), id: terms.id };
        const guest = await MoveDestination.prepare(to.host, vm, place, terms, { hostProbes });
        onGuest(guest.guest);
        return new LocalDestination({ move: terms.id, host: to.name, guest, journal: this.#journal(to) });
      },
    };
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
      for (const vm of [this.#running, ...this.#leftBehind]) await vm.kill();
    } finally {
      this.lab.close();
    }
  }

  #id(): string {
    return (0xa00000 + ++this.#moves * 16).toString(16);
  }

  #journal(host: LabHost): Journal {
    const journal = this.#journals.get(host.name) ?? new Journal(kernelDisk(join(this.lab.directory, host.name)), 'moves.journal');
    this.#journals.set(host.name, journal);
    return journal;
  }
}

async function guestUp({ qemu }: KernelGuest): Promise<void> {
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
