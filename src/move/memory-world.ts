/**
 * Hosts, QEMUs, taps and tunnels in memory: what `hypervisor-memory.ts` does things to. Every step says its name first, so that a
 * test can break something just there. It keeps watch over the one rule that must never be broken: a guest runs once.
 */
import { GodwitError } from '../base/error.ts';
import type { Vm } from '../model/vm.ts';

export type QemuState = 'running' | 'paused' | 'incoming' | 'loaded';

/** A QEMU of the world, with one tap. It lives on when its agent does not. */
export class WorldQemu {
  readonly vm: Vm;
  readonly host: string;
  readonly directory: string;
  state: QemuState;
  alive = true;
  /** The tap's port forwards. */
  open: boolean;
  readonly tap: number[] = [];
  /** By move: the tap's frames go into its tunnel. */
  redirect: string | undefined;
  group = false;
  copy: Copy | undefined;
  /** As it was changed in the middle of its copy; bytes per second. */
  maxBandwidth: number | undefined;
  /** Who has its QMP connection. */
  client: { readonly crashed: boolean } | undefined;
  /** How often its addresses have been announced beside moves. */
  announced = 0;
  readonly exited: Promise<void>;
  readonly listeners = new Set<(event: WorldEvent) => void>();
  readonly #exit: () => void;

  constructor(vm: Vm, host: string, directory: string, state: QemuState) {
    this.vm = vm;
    this.host = host;
    this.directory = directory;
    this.state = state;
    this.open = state === 'running';
    const { promise, resolve } = Promise.withResolvers<void>();
    this.exited = promise;
    this.#exit = resolve;
  }

  end(): void {
    if (!this.alive) return;
    this.alive = false;
    this.#exit();
  }

  tell(event: WorldEvent): void {
    for (const listener of this.listeners) listener(event);
  }
}

export type WorldEvent = 'stopped' | 'pre-switchover' | 'completed' | 'pass-ended' | 'failed' | 'loaded' | 'resumed';

/** A migration between two QEMUs. `left`: what remains, in passes. */
interface Copy {
  readonly to: WorldQemu;
  passes: number;
  status: 'active' | 'pre-switchover' | 'completed' | 'failed' | 'cancelled';
}

export interface Tunnel {
  readonly move: string;
  readonly host: string;
  into: number;
  outOf: number;
}

const PASS = 3;
const LEG = 1;

export class World {
  readonly qemus = new Set<WorldQemu>();
  readonly tunnels = new Set<Tunnel>();
  /** Told each step before it is done: `h1 redirect`. */
  readonly onStep = new Set<(host: string, step: string) => void>();
  /** Frames that reached a running guest, by VM, in their order. */
  readonly received = new Map<string, number[]>();
  /** What was ever wrong. */
  readonly faults: string[] = [];
  /** Which way migration streams and tunnels do not get through: `h1>h2`. */
  readonly cuts = new Set<string>();
  #frames = 0;

  step(host: string, step: string): void {
    for (const listener of this.onStep) listener(host, step);
  }

  boot(vm: Vm, host: string, directory: string, state: QemuState): WorldQemu {
    if ([...this.qemus].some((q) => q.alive && q.host === host && q.directory === directory)) throw new GodwitError('VM_ALREADY_RUNS', `A QEMU runs in ${directory} already`);
    const qemu = new WorldQemu(vm, host, directory, state);
    this.qemus.add(qemu);
    this.check();
    return qemu;
  }

  find(host: string, directory: string): WorldQemu | undefined {
    return [...this.qemus].find((q) => q.alive && q.host === host && q.directory === directory);
  }

  of(vm: string): WorldQemu[] {
    return [...this.qemus].filter((q) => q.alive && q.vm.name === vm);
  }

  kill(qemu: WorldQemu): void {
    if (!qemu.alive) return;
    qemu.end();
    this.qemus.delete(qemu);
    for (const other of this.qemus) {
      if (other.copy?.to === qemu && other.copy.status !== 'completed') this.#fail(other, other.copy);
    }
    if (qemu.copy && qemu.copy.status !== 'completed') this.#fail(qemu, qemu.copy);
  }

  run(qemu: WorldQemu): void {
    if (!qemu.alive) return;
    const before = qemu.state;
    qemu.state = 'running';
    if (before !== 'running') qemu.tell('resumed');
    this.drain(qemu);
    this.check();
  }

  stop(qemu: WorldQemu): void {
    if (!qemu.alive || qemu.state !== 'running') return;
    qemu.state = 'paused';
    qemu.tell('stopped');
    this.#preSwitchover(qemu);
  }

  startCopy(from: WorldQemu, to: WorldQemu): void {
    const copy: Copy = { to, passes: 0, status: 'active' };
    from.copy = copy;
    const pass = (): void => {
      if (copy.status !== 'active' || !from.alive) return;
      if (this.cut(from.host, to.host) || this.cut(to.host, from.host)) return this.#fail(from, copy);
      copy.passes++;
      from.tell('pass-ended');
      this.#preSwitchover(from);
      setTimeout(pass, PASS).unref();
    };
    setTimeout(pass, PASS).unref();
  }

  continueCopy(from: WorldQemu): void {
    const { copy } = from;
    if (copy?.status !== 'pre-switchover') return;
    setTimeout(() => {
      if (copy.status !== 'pre-switchover' || !from.alive) return;
      if (this.cut(from.host, copy.to.host) || !copy.to.alive) return this.#fail(from, copy);
      this.step(copy.to.host, 'load');
      if (copy.status !== 'pre-switchover' || !copy.to.alive) return;
      copy.to.state = 'loaded';
      copy.status = 'completed';
      copy.to.tell('loaded');
      if (from.alive) from.tell('completed');
    }, LEG).unref();
  }

  cancelCopy(from: WorldQemu): void {
    const { copy } = from;
    if (!copy || (copy.status !== 'active' && copy.status !== 'pre-switchover')) return;
    copy.status = 'cancelled';
    if (copy.to.alive) copy.to.tell('failed');
  }

  cut(from: string, to: string): boolean {
    return this.cuts.has(`${from}>${to}`);
  }

  /** A frame for the VM from outside: every open port gets it, since the switch knows no better. Its number. */
  send(vm: string): number {
    const number = ++this.#frames;
    for (const qemu of this.of(vm)) if (qemu.open) this.#arrive(qemu, number);
    return number;
  }

  /** Gives a running guest what its tap holds. */
  drain(qemu: WorldQemu): void {
    const list = this.received.get(qemu.vm.name) ?? [];
    this.received.set(qemu.vm.name, list);
    for (const number of qemu.tap.splice(0)) list.push(number);
  }

  /** A guest runs once. */
  check(): void {
    const running = new Map<string, string[]>();
    for (const q of this.qemus) if (q.alive && q.state === 'running') running.set(q.vm.name, [...(running.get(q.vm.name) ?? []), q.host]);
    for (const [vm, hosts] of running) if (hosts.length > 1) this.faults.push(`${vm} runs on ${hosts.join(' and ')}`);
  }

  #arrive(qemu: WorldQemu, number: number): void {
    if (qemu.redirect !== undefined) {
      const here = this.#tunnel(qemu.redirect, qemu.host);
      const there = [...this.tunnels].find((t) => t.move === qemu.redirect && t.host !== qemu.host);
      if (here) here.into++;
      const to = there && [...this.qemus].find((q) => q.alive && q.host === there.host && q.vm.name === qemu.vm.name);
      if (!here || !there || !to || this.cut(qemu.host, there.host)) return;
      there.outOf++;
      return this.#deliver(to, number);
    }
    this.#deliver(qemu, number);
  }

  #deliver(qemu: WorldQemu, number: number): void {
    qemu.tap.push(number);
    if (qemu.state === 'running') this.drain(qemu);
  }

  #tunnel(move: string, host: string): Tunnel | undefined {
    return [...this.tunnels].find((t) => t.move === move && t.host === host);
  }

  #preSwitchover(qemu: WorldQemu): void {
    const { copy } = qemu;
    if (copy?.status !== 'active' || qemu.state !== 'paused' || copy.passes === 0) return;
    copy.status = 'pre-switchover';
    qemu.tell('pre-switchover');
  }

  #fail(from: WorldQemu, copy: Copy): void {
    if (copy.status === 'completed' || copy.status === 'failed' || copy.status === 'cancelled') return;
    copy.status = 'failed';
    if (from.alive) from.tell('failed');
    if (copy.to.alive) copy.to.tell('failed');
  }
}
