/** A host with QEMUs for the keeper's tests: they outlive agents, and calls of an agent that has crashed do nothing any more. */
import assert from 'node:assert/strict';
import { AgentState } from '../../../src/agent/agent-state.ts';
import { MemoryFiles } from '../../../src/host/disk-memory.ts';
import { DurableDisk } from '../../../src/host/disk.ts';
import type { Guest, GuestState, Hypervisor, Place } from '../../../src/move/hypervisor.ts';
import { silentLog } from '../../../src/base/log.ts';
import { VmKeeper } from '../../../src/agent/vm-keeper.ts';
import type { VmReport, Wanted, WantedVm } from '../../../src/api/agent-protocol.ts';
import type { Vm } from '../../../src/model/vm.ts';
import { QemuAlreadyRuns } from '../../../src/vm/vm-errors.ts';
import { ManualClock, drain } from './manual-clock.ts';

export class FakeQemu {
  readonly vm: Vm;
  state: GuestState = 'running';
  /** Whether the guest obeys when it is asked to power down. */
  obedient = true;
  asked = 0;
  announced = 0;
  /** Its taps cannot be written. */
  mute = false;
  words = '';
  readonly exited: Promise<void>;
  #end: () => void = () => undefined;
  ended = false;

  constructor(vm: Vm) {
    this.vm = vm;
    this.exited = new Promise((resolve) => (this.#end = resolve));
  }

  end(words = ''): void {
    this.words = words;
    this.ended = true;
    this.#end();
  }
}

export class World {
  files = new MemoryFiles();
  readonly qemus = new Map<string, FakeQemu>();
  /** `name/start`, in order; the VM's number of CPUs says for which start it was wanted. */
  readonly boots: string[] = [];
  /** QMP of what runs does not answer. */
  deaf = false;
  starting = 0;
  mostStarting = 0;
  /** Called at the named place in every start; may throw, crash or wait. */
  onStart: (when: 'before' | 'after', vm: Vm) => void | Promise<void> = () => undefined;

  alive(name: string): FakeQemu | undefined {
    const qemu = this.qemus.get(`/run/vms/${name}`);
    return qemu?.ended ? undefined : qemu;
  }

  qemu(name: string): FakeQemu {
    const qemu = this.alive(name);
    assert.ok(qemu, `${name} does not run`);
    return qemu;
  }

  hypervisor(dead: () => boolean): Hypervisor {
    const never = new Promise<never>(() => undefined);
    const guest = (qemu: FakeQemu, place: Place): Guest => ({
      vm: qemu.vm, place, exited: qemu.exited,
      state: async () => (dead() ? never : qemu.state),
      ports: [], speak: () => undefined,
      announce: async () => {
        if (dead()) return never;
        if (qemu.mute) throw new Error('the tap is gone');
        qemu.announced++;
      },
      powerDown: async () => {
        if (dead()) return never;
        qemu.asked++;
        if (qemu.obedient) qemu.end('powered down');
      },
      kill: async () => (dead() ? never : qemu.end('killed')),
      close: () => undefined,
      lastWords: () => qemu.words,
    });
    const unused = (): never => assert.fail('not used here');
    return {
      host: 'host-a',
      start: async (vm, place) => {
        if (dead()) return never;
        this.mostStarting = Math.max(this.mostStarting, ++this.starting);
        try {
          await this.onStart('before', vm);
          if (dead()) return never;
          const before = this.qemus.get(place.runDirectory);
          if (before && !before.ended) throw new QemuAlreadyRuns(place.runDirectory, 1);
          const qemu = new FakeQemu(vm);
          this.qemus.set(place.runDirectory, qemu);
          this.boots.push(`${vm.name}/${vm.cpus}`);
          await this.onStart('after', vm);
          return dead() ? never : guest(qemu, place);
        } finally {
          this.starting--;
        }
      },
      adopt: async (_vm, place) => {
        if (dead()) return never;
        const qemu = this.qemus.get(place.runDirectory);
        if (this.deaf) throw new Error('QMP says nothing');
        return qemu && !qemu.ended ? guest(qemu, place) : undefined;
      },
      probes: { pathMtu: unused, listen: unused, sendFrames: unused, gateway: unused },
      status: unused, facts: unused, sourceEnd: unused, adoptSourceEnd: unused, path: unused, clear: unused, prepareDestination: unused, adoptDestination: unused,
    };
  }

  agent(): FakeAgent {
    return new FakeAgent(this);
  }
}

export class FakeAgent {
  readonly clock = new ManualClock();
  readonly state: AgentState;
  readonly keeper: VmKeeper;
  readonly world: World;
  changes = 0;
  crashed = false;

  constructor(world: World) {
    this.world = world;
    const files = world.files;
    this.state = new AgentState({ disk: new DurableDisk(files), runDir: '/run', log: silentLog });
    this.keeper = new VmKeeper({
      hypervisor: world.hypervisor(() => this.crashed || files.cut), state: this.state, clock: this.clock, log: silentLog,
      changed: () => this.changes++, clear: () => undefined,
    });
  }

  async want(...vms: WantedVm[]): Promise<void> {
    this.keeper.want(wants(...vms));
    await drain();
  }

  report(name: string): Omit<VmReport, 'name' | 'placement'> & { at?: string } {
    const found = this.keeper.reports().find((r) => r.name === name);
    if (!found) return { state: 'gone', at: 'nowhere' };
    const { name: _, placement, ...rest } = found;
    return { ...rest, at: `${placement.epoch}.${placement.start}` };
  }
}

export const wants = (...vms: WantedVm[]): Wanted => ({ vms, moves: [] });

export function vm(name: string, start = 1, more: Partial<WantedVm> & { epoch?: number } = {}): WantedVm {
  const { epoch = 1, ...rest } = more;
  return {
    name, networks: { lan: { bridge: 'br0' } }, placement: { host: 'host-a', epoch, start }, running: true,
    spec: { cpus: start, memory: '64MiB', nics: [{ network: 'lan', mac: '52:54:00:00:00:01' }] }, ...rest,
  };
}
