/**
 * The hypervisor's double: an agent's hands in a World. `crash` cuts them off: nothing that the dead agent still tries happens, and
 * it hears of nothing any more; the World goes on, and a new agent gets new hands.
 */
import { GodwitError } from '../base/error.ts';
import { bytes, bytesPerSecond, ms, seconds } from '../base/units.ts';
import type { HostStatus } from '../model/host.ts';
import type { Vm } from '../model/vm.ts';
import type { ReceivedFrame } from '../native/native.ts';
import type { HostFacts, MoveFacts } from '../policy/plan.ts';
import { QmpClosed, QmpTimeout } from '../vm/qmp-errors.ts';
import type { DestinationGuest, MoveTerms, SourceEnd, SourceEvent } from './ends.ts';
import type { Guest, GuestState, Hypervisor, Place } from './hypervisor.ts';
import type { HostProbes } from './preflight.ts';
import type { Tunnel, World, WorldEvent, WorldQemu } from './memory-world.ts';

/** Thrown at whoever acts for an agent that is no more. */
export class Crashed extends GodwitError {
  constructor() {
    super('MOVE_CRASHED', 'This agent has crashed');
  }
}

const GUEST_MEMORY = 100e6;

export class MemoryHypervisor implements Hypervisor {
  readonly host: string;
  readonly world: World;
  /** Every way is as wide as asked for, and every network the same. */
  readonly probes: HostProbes = {
    pathMtu: async (_to, _port, sizes) => ({ works: Math.max(...sizes), tried: sizes, promised: Math.max(...sizes) }),
    listen: () => ({ mac: '02:00:00:00:00:01', wait: async (size) => size, close: () => undefined }),
    sendFrames: async () => undefined,
    gateway: async () => ['02:00:00:00:00:02'],
  };
  #crashed = false;

  constructor(world: World, host: string) {
    this.world = world;
    this.host = host;
  }

  get crashed(): boolean {
    return this.#crashed;
  }

  crash(): void {
    this.#crashed = true;
  }

  /** Says the step and does it, unless the agent is no more, or has just been ended by who listened. */
  act<T>(step: string, action: () => T): T {
    if (this.#crashed) throw new Crashed();
    this.world.step(this.host, step);
    if (this.#crashed) throw new Crashed();
    return action();
  }

  /** To listeners of an agent that still is. */
  heard<A extends unknown[]>(listener: (...args: A) => void): (...args: A) => void {
    return (...args) => {
      if (!this.#crashed) listener(...args);
    };
  }

  async start(vm: Vm, place: Place): Promise<Guest> {
    return this.act('start', () => new MemoryGuest(this, this.world.boot(vm, this.host, place.runDirectory, 'running'), place));
  }

  async adopt(_vm: Vm, place: Place): Promise<Guest | undefined> {
    return this.act('adopt', () => this.#find(place));
  }

  async status(): Promise<Omit<HostStatus, 'state' | 'lastReport' | 'agent'>> {
    return {
      qemu: '10.0', kernel: 'memory', cpu: 'memory', cpus: 4, accelerators: ['kvm'], memory: 16e9, freeMemory: 8e9, bridges: { 'br-a': { mtu: 1500 } }, missingFeatures: [],
    };
  }

  async facts(vm: Vm): Promise<HostFacts> {
    return this.act('facts', () => ({
      name: this.host, qemu: { version: { major: 10, minor: 0 }, pauseBeforeSwitchover: true, missing: [] }, cpu: 'memory', freeMemory: bytes(8e9),
      bridges: new Map([['br-a', { mtu: 1500 }]]), missingFeatures: [], disks: new Map(vm.disks.map(({ path }) => [path, undefined])),
    }));
  }

  async path(): Promise<Pick<MoveFacts, 'pathMtu' | 'outerFamily' | 'draining'>> {
    return { pathMtu: 1600, outerFamily: 4, draining: false };
  }

  async sourceEnd(guest: Guest, terms: MoveTerms): Promise<SourceEnd> {
    return this.act('source-end', () => memorySourceEnd(this, own(guest), terms));
  }

  async adoptSourceEnd(guest: Guest, terms: MoveTerms): Promise<SourceEnd> {
    return this.act('adopt-source-end', () => memorySourceEnd(this, own(guest), terms));
  }

  async clear({ id }: MoveTerms): Promise<void> {
    this.act('clear', () => dropTunnel(this.world, id, this.host));
  }

  async prepareDestination(vm: Vm, place: Place, terms: MoveTerms): Promise<DestinationGuest> {
    return this.act('prepare', () => memoryDestination(this, new MemoryGuest(this, this.world.boot(vm, this.host, place.runDirectory, 'incoming'), place), terms));
  }

  async adoptDestination(_vm: Vm, place: Place, terms: MoveTerms): Promise<DestinationGuest | undefined> {
    return this.act('adopt-destination', () => {
      const guest = this.#find(place);
      if (guest) return memoryDestination(this, guest, terms);
      dropTunnel(this.world, terms.id, this.host);
      return undefined;
    });
  }

  #find(place: Place): MemoryGuest | undefined {
    const qemu = this.world.find(this.host, place.runDirectory);
    // QMP takes one client at a time.
    if (qemu?.client && qemu.client !== this && !qemu.client.crashed) throw new QmpTimeout('greeting', seconds(10));
    return qemu && new MemoryGuest(this, qemu, place);
  }
}

class MemoryGuest implements Guest {
  readonly place: Place;
  readonly qemu: WorldQemu;
  readonly hands: MemoryHypervisor;
  readonly exited: Promise<void>;

  constructor(hands: MemoryHypervisor, qemu: WorldQemu, place: Place) {
    this.hands = hands;
    this.qemu = qemu;
    this.place = place;
    qemu.client = hands;
    // Of an agent that is no more nobody hears it.
    this.exited = new Promise((resolve) => void qemu.exited.then(hands.heard(() => resolve())));
  }

  get vm(): Vm {
    return this.qemu.vm;
  }

  readonly ports: readonly string[] = [];

  speak(): void {
    // It has no NIC that could be heard.
  }

  async state(): Promise<GuestState> {
    if (!this.qemu.alive) throw new QmpClosed('asked of a QEMU that is gone');
    return this.qemu.state === 'loaded' ? 'paused' : this.qemu.state;
  }

  async announce(): Promise<void> {
    this.hands.act('announce-guest', () => void (this.qemu.announced += 1));
  }

  async powerDown(): Promise<void> {
    this.hands.act('power-down', () => this.hands.world.kill(this.qemu));
  }

  async kill(): Promise<void> {
    this.hands.act('kill', () => this.hands.world.kill(this.qemu));
  }

  close(): void {
    if (this.qemu.client === this.hands) this.qemu.client = undefined;
  }

  lastWords(): string {
    return '';
  }
}

function memorySourceEnd(hands: MemoryHypervisor, guest: MemoryGuest, terms: MoveTerms): SourceEnd {
  const { world, host } = hands;
  const { qemu } = guest;
  const tunnel = tunnelOf(world, terms.id, host);
  const alive = (): void => {
    if (!qemu.alive) throw new QmpClosed('asked of a QEMU that is gone');
  };
  const ask = async <T>(step: string, action: () => T): Promise<T> => hands.act(step, () => {
    alive();
    return action();
  });
  return {
    host, guest, nics: 1, holds: true,
    listen(listener) {
      const kinds: Partial<Record<WorldEvent, SourceEvent['kind']>> = { stopped: 'stopped', 'pre-switchover': 'pre-switchover', completed: 'completed', 'pass-ended': 'pass-ended', failed: 'failed' };
      const heard = hands.heard((event: WorldEvent) => {
        const kind = kinds[event];
        if (kind === 'failed') listener({ kind, reason: 'The copy failed at the source' });
        else if (kind === 'pass-ended' || kind === 'ended') listener({ kind });
        else if (kind !== undefined) listener({ kind, at: ms(Date.now()) });
      });
      qemu.listeners.add(heard);
      void guest.exited.then(() => qemu.listeners.has(heard) && listener({ kind: 'ended' }));
      return () => qemu.listeners.delete(heard);
    },
    copy: (uri) => ask('copy', () => {
      const to = [...world.qemus].find((q) => q.alive && uri === uriOf(q));
      if (!to) throw new GodwitError('QMP_COMMAND', 'Connection refused');
      world.startCopy(qemu, to);
    }),
    limit: (maxBandwidth) => ask('limit', () => void (qemu.maxBandwidth = maxBandwidth)),
    sample: () => ask('sample', () => {
      const passes = qemu.copy?.passes ?? 0;
      return {
        status: 'active', remaining: bytes(GUEST_MEMORY / 10 ** (2 * passes)), dirtySyncCount: passes, dirtyRate: bytesPerSecond(0), transferred: bytes(passes * GUEST_MEMORY),
        throughput: bytesPerSecond(1e9), at: ms(performance.now()),
      };
    }),
    hurry: () => () => undefined,
    redirect: () => hands.act('redirect', () => {
      qemu.redirect = terms.id;
      qemu.group = true;
    }),
    endRedirect: () => hands.act('end-redirect', () => void (qemu.redirect = undefined)),
    redirects: () => qemu.redirect !== undefined,
    tapsWaiting: () => qemu.tap.length > 0,
    flush: () => undefined,
    running: () => ask('status', () => qemu.state === 'running'),
    stop: () => ask('stop', () => world.stop(qemu)),
    resume: () => ask('resume', () => world.run(qemu)),
    continueSwitchover: () => ask('continue', () => world.continueCopy(qemu)),
    cancelCopy: async () => hands.act('cancel-copy', () => world.cancelCopy(qemu)),
    groupFrames: () => [0],
    endGroupRedirect: () => hands.act('end-group-redirect', () => void (qemu.group = false)),
    redirectedFrames: () => [tunnel.into],
    prime: async () => undefined,
    takeAll: () => qemu.tap.splice(0).map(frameOf),
    inject: (_nic, frame) => void qemu.tap.push(numberOf(frame)),
    ledger: () => new Map(),
    probes: { watch: () => undefined, stop: () => undefined, close: () => [] },
    close: () => hands.act('close-source', () => {
      qemu.redirect = undefined;
      dropTunnel(world, terms.id, host);
    }),
  };
}

function memoryDestination(hands: MemoryHypervisor, guest: MemoryGuest, terms: MoveTerms): DestinationGuest {
  const { world, host } = hands;
  const { qemu } = guest;
  const tunnel = tunnelOf(world, terms.id, host);
  return {
    guest, uri: uriOf(qemu),
    listen(listener) {
      const heard = hands.heard((event: WorldEvent) => {
        if (event === 'loaded' || event === 'resumed') listener({ kind: event, at: ms(Date.now()) });
        if (event === 'failed') listener({ kind: 'failed', reason: 'The destination could not load the guest' });
      });
      qemu.listeners.add(heard);
      void guest.exited.then(() => qemu.listeners.has(heard) && listener({ kind: 'ended' }));
      return () => qemu.listeners.delete(heard);
    },
    hurry: () => () => undefined,
    loaded: async () => qemu.state === 'loaded' || qemu.state === 'running',
    release: async () => hands.act('release', () => {
      qemu.open = true;
      if (!qemu.alive) throw new QmpClosed('while the guest was let run');
      world.run(qemu);
    }),
    announce: () => hands.act('announce', () => {
      // The switch learns where the guest is now: the old port gets nothing any more.
      for (const other of world.of(qemu.vm.name)) if (other !== qemu) other.open = false;
    }),
    kill: async () => hands.act('kill-destination', () => world.kill(qemu)),
    takeHeld: () => qemu.tap.splice(0).map(frameOf),
    deliveredFrames: () => [tunnel.outOf],
    tapsWaiting: () => [qemu.tap.length > 0],
    ledger: () => new Map(),
    awaitAnswers: () => undefined,
    answers: () => [],
    close: () => hands.act('close-destination', () => dropTunnel(world, terms.id, host)),
    leave: () => guest.close(),
    discard: async () => hands.act('discard', () => {
      world.kill(qemu);
      dropTunnel(world, terms.id, host);
    }),
  };
}

const uriOf = (qemu: WorldQemu): string => `memory:${qemu.host}:${qemu.directory}`;

function tunnelOf(world: World, move: string, host: string): Tunnel {
  const there = [...world.tunnels].find((t) => t.move === move && t.host === host);
  if (there) return there;
  const tunnel = { move, host, into: 0, outOf: 0 };
  world.tunnels.add(tunnel);
  return tunnel;
}

function dropTunnel(world: World, move: string, host: string): void {
  for (const tunnel of world.tunnels) if (tunnel.move === move && tunnel.host === host) world.tunnels.delete(tunnel);
}

function frameOf(number: number): ReceivedFrame {
  const frame = new Uint8Array(8);
  new DataView(frame.buffer).setFloat64(0, number);
  return { frame, vnetHeader: new Uint8Array(), packetType: 0, timestamp: 0 };
}

const numberOf = ({ frame }: ReceivedFrame): number => new DataView(frame.buffer, frame.byteOffset).getFloat64(0);

function own(guest: Guest): MemoryGuest {
  if (guest instanceof MemoryGuest) return guest;
  throw new TypeError(`${guest.vm.name} is not this hypervisor's`);
}
