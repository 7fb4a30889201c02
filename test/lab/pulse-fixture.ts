/**
 * Two hosts with a pulse each, and a neighbour, on one switch; all in namespaces of their own.
 *
 *   r1 e0 ── p1 ┐
 *   r2 e0 ── p2 ├ br0 (switch)
 *   n  e0 ── p3 ┘
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Host } from '../../src/host/host.ts';
import type { BfdStatus, BfdTransition } from '../../src/model/bfd-session.ts';
import type { PeerOpinion } from '../../src/protocol/failure-detector.ts';
import type { RouterPlan, RouterStatus, RouterTransition } from '../../src/model/virtual-router.ts';
import type { PacketSocket } from '../../src/native/native.ts';
import type { PulseMessage } from '../../src/pulse/pulse-protocol.ts';
import { type RunningPulse, startPulse } from '../../src/pulse/pulse-spawn.ts';
import { pulseLog } from '../../src/pulse/socket-path.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { type Bench, quietBridge, until, withBench } from './host-fixture.ts';

export const VIP = '10.78.0.1';
export const VIP6 = ['fe80::78:1', '2001:db8:78::1'] as const;

export function plan(name: string, change: Partial<RouterPlan> = {}): RouterPlan {
  return {
    name, vrid: 7, version: 3, family: 4, device: 'e0', addresses: [{ address: VIP, prefixLength: 24 }], priority: 100, interval: 100,
    virtualMac: true, preempt: true, preemptDelay: 0, accept: true, checksum: 'pseudo-header', peers: [], minTtl: 255,
    announce: { count: 3, interval: 100 }, track: [], ...change,
  };
}

/** A pulse as an agent sees it. */
export class LabPulse {
  readonly host: Host;
  readonly runDir: string;
  readonly transitions: RouterTransition[] = [];
  readonly refusals: string[] = [];
  routers: Readonly<Record<string, RouterStatus>> = {};
  readonly sessionTransitions: BfdTransition[] = [];
  readonly sessionRefusals: string[] = [];
  sessions: Readonly<Record<string, BfdStatus>> = {};
  opinions: readonly PeerOpinion[] = [];
  running: RunningPulse | undefined;
  readonly #heard = new EventEmitter();

  constructor(host: Host) {
    this.host = host;
    this.runDir = mkdtempSync(join(tmpdir(), 'godwit-pulse-'));
  }

  async start(by: readonly string[] = []): Promise<RunningPulse> {
    const running = await startPulse({ runDir: this.runDir, inside: this.host, by });
    this.running = running;
    running.client.onMessage((message) => this.#hear(message));
    return running;
  }

  want(...routers: RouterPlan[]): void {
    this.running?.client.send({ kind: 'routers', routers });
  }

  state(router: string): string | undefined {
    return this.routers[router]?.state;
  }

  /** Waits for it. */
  async is(router: string, state: string): Promise<void> {
    await until(() => `${router} on ${this.host.name} is ${state}; log: ${this.log()}`, () => this.state(router) === state);
  }

  /** Waits until all of them are, as long as the pulse lives. */
  async areAll(routers: readonly RouterPlan[], state: string): Promise<void> {
    const ended = this.running?.exited.then(() => assert.fail(`the pulse ended; log: ${this.log()}`));
    while (!routers.every(({ name }) => this.state(name) === state)) await Promise.race([once(this.#heard, 'message'), ended ?? assert.fail('no pulse was started')]);
  }

  log(): string {
    return readFileSync(pulseLog(this.runDir), 'utf8');
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    if (this.running) process.kill(this.running.pid, signal);
  }

  /** Whatever became of it. */
  async close(): Promise<void> {
    const { running } = this;
    if (running) {
      try {
        process.kill(running.pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
      await running.exited;
      running.client.close();
    }
    rmSync(this.runDir, { recursive: true, force: true });
  }

  #hear(message: PulseMessage): void {
    if (message.kind === 'status') this.routers = message.routers;
    else if (message.kind === 'transition') this.transitions.push(message.transition);
    else if (message.kind === 'sessions') [this.sessions, this.opinions] = [message.sessions, message.opinions];
    else if (message.kind === 'session-transition') this.sessionTransitions.push(message.transition);
    else if (message.kind === 'refused-session') this.sessionRefusals.push(`${message.session}: ${message.reason}`);
    else if (message.kind === 'refused') this.refusals.push(`${message.router}: ${message.reason}`);
    this.#heard.emit('message');
  }
}

export interface PulseLab {
  readonly bench: Bench;
  readonly r1: LabPulse;
  readonly r2: LabPulse;
  readonly neighbour: Host;
  readonly sw: Host;
  /** Everything that comes in at the neighbour. */
  readonly seen: PacketSocket;
  /** Frames of r1's host are dropped, both ways, before the switch learns anything; its link stays up. */
  silence(router: 'r1' | 'r2'): void;
  heal(): void;
  /** Runs a program in the neighbour's namespace; its output, whatever its exit code. */
  atNeighbour(...words: string[]): string;
}

export async function withPulseLab(test: (lab: PulseLab) => Promise<void>): Promise<void> {
  await withBench(async (bench) => {
    const [sw, h1, h2, neighbour] = ['sw', 'r1', 'r2', 'n'].map((name) => bench.host(name));
    assert.ok(sw && h1 && h2 && neighbour);
    const bridge = quietBridge(sw);
    for (const [host, port, number] of [[h1, 'p1', 11], [h2, 'p2', 12], [neighbour, 'p3', 99]] as const) {
      host.links.createVeth({ name: 'e0', netns: host.netns, mtu: 1500 }, { name: port, netns: sw.netns, mtu: 1500 });
      sw.links.set(sw.links.get(port).index, { master: bridge.index, up: true, noIpv6Address: true });
      const { index } = host.links.get('e0');
      host.links.set(index, { up: true, noIpv6Address: true });
      host.addresses.add(index, parseIpAddress(`10.78.0.${number}`), 24);
      host.addresses.add(index, parseIpAddress(`fe80::${number}`), 64);
      host.addresses.add(index, parseIpAddress(`2001:db8:78::${number}`), 64);
    }
    const seen = bench.owned(bench.native.packetSocket(neighbour.netns, { ifindex: neighbour.links.get('e0').index, protocol: 3, receiveBuffer: 4 << 20 }));
    const nft = (rules: string): void => {
      bench.native.inNetns(sw.netns, () => void execFileSync('nft', ['-f', '-'], { input: rules, stdio: ['pipe', 'ignore', 'inherit'] }));
    };
    const [r1, r2] = [new LabPulse(h1), new LabPulse(h2)];
    try {
      await test({
        bench, r1, r2, neighbour, sw, seen,
        silence(router) {
          const port = router === 'r1' ? 'p1' : 'p2';
          nft(`table bridge cut { chain in { type filter hook prerouting priority -400; iifname "${port}" drop; }; chain out { type filter hook postrouting priority 400; oifname "${port}" drop; }; }`);
        },
        heal: () => nft('table bridge cut {}\ndelete table bridge cut'),
        atNeighbour: (program, ...words) => bench.native.inNetns(neighbour.netns, () => {
          try {
            return execFileSync(program ?? '', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
          } catch (error) {
            return error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error);
          }
        }),
      });
    } finally {
      await Promise.all([r1.close(), r2.close()]);
    }
  });
}
