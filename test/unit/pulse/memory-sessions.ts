/** Pulses in memory with BFD sessions between them: `a` at 192.0.2.11, fe80::a, and `b` at 192.0.2.12, fe80::b, on one wire. */
import type { BfdSessionPlan, BfdStatus, BfdTransition } from '../../../src/model/bfd-session.ts';
import type { WatchPlan } from '../../../src/model/watch-plan.ts';
import type { PulseMessage } from '../../../src/pulse/pulse-protocol.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';
import { type MemoryPulse, MemoryPulses } from './memory-pulses.ts';

export const detector: WatchPlan['detector'] = { falseAlarmsPerDay: 0.01, floor: 150, ceiling: 5000 };

export const addresses = { a: ['192.0.2.11', 'fe80::a'], b: ['192.0.2.12', 'fe80::b'] } as const;

export function session(name: string, peer: string, change: Partial<BfdSessionPlan> = {}): BfdSessionPlan {
  return { name, peer, way: { hops: 'single', interface: 'e0' }, interval: 50, receive: 50, multiplier: 3, echoReceive: 0, ...change };
}

export class MemorySessions {
  readonly pulses = new MemoryPulses();
  readonly a: MemoryPulse;
  readonly b: MemoryPulse;

  constructor() {
    const { network } = this.pulses;
    for (const name of ['a', 'b'] as const) {
      const [four, six] = addresses[name];
      network.addAddress(name, 'e0', parseIpAddress(four).bytes(), 24);
      network.addAddress(name, 'e0', parseIpAddress(six).bytes(), 64);
    }
    this.a = this.pulses.start('a');
    this.b = this.pulses.start('b');
    for (const [name, other] of [['a', this.b], ['b', this.a]] as const) {
      const mac = MacAddress.of(network.link(name, 'e0').mac);
      for (const address of addresses[name]) other.ground.known.push({ address: parseIpAddress(address), mac });
    }
  }

  advance(span: number): Promise<void> {
    return this.pulses.network.advance(span);
  }

  /** Nobody hears anything while it is cut, and nobody is told of that. */
  cut(on: boolean): void {
    for (const name of ['a', 'b']) this.pulses.network.link(name, 'e0').up = !on;
  }
}

export const want = (host: MemoryPulse, sessions: readonly BfdSessionPlan[], keys: Readonly<Record<string, string>> = {}): Promise<void> =>
  host.pulse.command({ kind: 'sessions', sessions, keys, detector });

type SessionsMessage = Extract<PulseMessage, { kind: 'sessions' }>;

/** As it is told to who connects now. */
export function told(host: MemoryPulse): SessionsMessage {
  const message = host.pulse.greeting().find((one) => one.kind === 'sessions');
  if (message?.kind !== 'sessions') throw new Error('nothing is told of sessions');
  return message;
}

export function status(host: MemoryPulse, name: string): BfdStatus {
  const found = told(host).sessions[name];
  if (!found) throw new Error(`no status of ${name}`);
  return found;
}

export const turns = (host: MemoryPulse): BfdTransition[] =>
  host.told.flatMap((message) => (message.kind === 'session-transition' ? [message.transition] : []));

export async function withSessions(test: (sessions: MemorySessions) => Promise<void>): Promise<void> {
  const sessions = new MemorySessions();
  try {
    await test(sessions);
  } finally {
    sessions.pulses.close();
  }
}
