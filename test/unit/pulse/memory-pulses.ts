/** Pulses in memory: two hosts joined by one wire, in virtual time. */
import { MemoryNetwork } from '../../../src/native/memory.ts';
import type { Deadline, Native, PacketSocket } from '../../../src/native/native.ts';
import type { RouterPlan, RouterStatus, RouterTransition } from '../../../src/model/virtual-router.ts';
import type { Heap } from '../../../src/pulse/garbage.ts';
import { MemoryGround } from '../../../src/pulse/ground-memory.ts';
import { PulseProcess } from '../../../src/pulse/pulse-process.ts';
import type { PulseMessage } from '../../../src/pulse/pulse-protocol.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';

export interface MemoryPulse {
  readonly ground: MemoryGround;
  readonly pulse: PulseProcess;
  readonly told: PulseMessage[];
  readonly lines: string[];
  status(router: string): RouterStatus;
  transitions(): RouterTransition[];
  /** So many ms have passed for it all at once, and it has not looked at anything yet. */
  oversleep(span: number): void;
}

export function plan(name: string, change: Partial<RouterPlan> = {}): RouterPlan {
  return {
    name, vrid: 7, version: 3, family: 4, device: 'e0', addresses: [{ address: '192.0.2.1', prefixLength: 24 }], priority: 100, interval: 1000,
    virtualMac: true, preempt: true, preemptDelay: 0, accept: true, checksum: 'pseudo-header', peers: [], minTtl: 255,
    announce: { count: 3, interval: 100 }, track: [], ...change,
  };
}

export class MemoryPulses {
  readonly network = new MemoryNetwork();
  readonly #open: PulseProcess[] = [];

  /** Hosts `a`, 192.0.2.11, and `b`, 192.0.2.12, on one wire. */
  constructor() {
    for (const name of ['a', 'b']) this.network.addNetns(name);
    this.network.addLinkPair({ netns: 'a', name: 'e0' }, { netns: 'b', name: 'e0' });
    for (const name of ['a', 'b']) this.network.link(name, 'e0').up = true;
  }

  start(name: 'a' | 'b', realtime: 'realtime' | 'ordinary' = 'realtime', heap?: Heap): MemoryPulse {
    const sleeper = new Sleeper(this.network.native(name));
    const ground = new MemoryGround(this.network, name, sleeper.native);
    ground.setSources('e0', [parseIpAddress(name === 'a' ? '192.0.2.11' : '192.0.2.12'), parseIpAddress(name === 'a' ? 'fe80::a' : 'fe80::b')]);
    const told: PulseMessage[] = [];
    const lines: string[] = [];
    const pulse = new PulseProcess({
      ground, realtime: { scheduling: realtime, locked: true }, pulse: `pulse-${name}`, pid: 1, version: 'test',
      tell: (message) => void told.push(message), log: (line) => void lines.push(line), ...(heap && { heap }),
    });
    this.#open.push(pulse);
    const transitions = (): RouterTransition[] => told.flatMap((message) => (message.kind === 'transition' ? [message.transition] : []));
    const status = (router: string): RouterStatus => {
      const found = pulse.greeting().flatMap((message) => (message.kind === 'status' ? [message.routers[router]] : []))[0];
      if (!found) throw new Error(`no status of ${router}`);
      return found;
    };
    return { ground, pulse, told, lines, status, transitions, oversleep: (span) => void (sleeper.slept += span) };
  }

  /** Sees everything that comes in at `a`'s end of the wire, and can send into it as `b` would. */
  socket(name: 'a' | 'b'): PacketSocket {
    const native = this.network.native(name);
    return native.packetSocket(native.openNetns(), { ifindex: this.network.link(name, 'e0').ifindex, protocol: 3 });
  }

  close(): void {
    for (const pulse of this.#open.splice(0)) pulse.close();
  }
}

/** A monotonic clock that can be put on alone, with deadlines that are noticed late by that. */
class Sleeper {
  slept = 0;
  readonly native: Native;

  constructor(native: Native) {
    this.native = { ...native, monotonic: () => native.monotonic() + this.slept, deadline: () => this.#deadline(native.deadline()) };
  }

  #deadline(inner: Deadline): Deadline {
    return {
      arm: (at) => inner.arm(at === undefined ? undefined : at - this.slept),
      onExpired: (listener) => inner.onExpired(listener),
      close: () => inner.close(),
    };
  }
}

/** Runs `test` with hosts that are gone whatever happens. */
export async function withPulses(test: (pulses: MemoryPulses) => Promise<void>): Promise<void> {
  const pulses = new MemoryPulses();
  try {
    await test(pulses);
  } finally {
    pulses.close();
  }
}
