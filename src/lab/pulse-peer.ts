/** Godwit's pulse in a lab's namespace, without an agent: everything with a deadline is in it. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ms } from '../base/units.ts';
import type { BfdSessionPlan, BfdStatus, BfdTransition } from '../model/bfd-session.ts';
import type { RouterPlan, RouterStatus, RouterTransition } from '../model/virtual-router.ts';
import type { PulseMessage } from '../pulse/pulse-protocol.ts';
import { type RunningPulse, startPulse } from '../pulse/pulse-spawn.ts';
import type { LabRouter } from './vrrp-lab.ts';
import type { VrrpPeer } from './vrrp-peer.ts';

export interface PulsePeerOptions {
  /** False: as on a host that allows no real-time scheduling. */
  readonly realtime: boolean;
}

/** No right to be real-time, nor to be nicer to itself than others are. */
const ORDINARY = ['prlimit', '--rtprio=0:0', '--nice=0:0', 'setpriv', '--bounding-set=-sys_nice'];

/** What a policy without words about it has. */
const DETECTOR = { falseAlarmsPerDay: 0.01, floor: 150, ceiling: 5000 } as const;

export class PulsePeer implements VrrpPeer {
  readonly program = 'godwit';
  readonly transitions: RouterTransition[] = [];
  readonly sessionTransitions: BfdTransition[] = [];
  readonly #pulse: RunningPulse;
  #status: Readonly<Record<string, RouterStatus>> = {};
  #sessions: Readonly<Record<string, BfdStatus>> = {};
  #refusals: string[] = [];
  readonly #waiting = new Set<() => void>();

  private constructor(pulse: RunningPulse) {
    this.#pulse = pulse;
    pulse.client.onMessage((message) => this.#hear(message));
  }

  /** Resolves when every router has a status; rejects with the pulse's words when it refuses one. */
  static async start(router: LabRouter, labDirectory: string, plans: readonly RouterPlan[], options: PulsePeerOptions = { realtime: true }): Promise<PulsePeer> {
    const runDir = join(labDirectory, `pulse-${router.name}`);
    mkdirSync(runDir, { recursive: true });
    const { native, netns } = router.host;
    const peer = new PulsePeer(await startPulse({ runDir, inside: { native, netns }, ...(options.realtime ? {} : { by: ORDINARY }), timeout: ms(20_000) }));
    await peer.configure(plans);
    return peer;
  }

  get pid(): number {
    return this.#pulse.pid;
  }

  get status(): Readonly<Record<string, RouterStatus>> {
    return this.#status;
  }

  get sessions(): Readonly<Record<string, BfdStatus>> {
    return this.#sessions;
  }

  async configure(plans: readonly RouterPlan[]): Promise<void> {
    this.#pulse.client.send({ kind: 'routers', routers: plans });
    await this.until('a status of each router', () => plans.every(({ name }) => this.#status[name] !== undefined));
  }

  /** All BFD sessions it is to have; resolves when every one has a status. `keys`: by file name, base64. */
  async configureSessions(sessions: readonly BfdSessionPlan[], keys: Readonly<Record<string, string>> = {}): Promise<void> {
    this.#pulse.client.send({ kind: 'sessions', sessions, keys, detector: DETECTOR });
    await this.until('a status of each session', () => sessions.every(({ name }) => this.#sessions[name] !== undefined));
  }

  /** Resolves when it has said so. */
  until(what: string, holds: (status: Readonly<Record<string, RouterStatus>>) => boolean, patience = 10_000): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#waiting.delete(look);
        clearTimeout(timer);
      };
      const look = (): void => {
        if (this.#refusals.length > 0) {
          end();
          reject(new Error(`The pulse refused ${this.#refusals.join('; ')}`));
        } else if (holds(this.#status)) {
          end();
          resolve();
        }
      };
      const timer = setTimeout(() => {
        end();
        reject(new Error(`Within ${patience} ms: ${what}; the pulse says ${JSON.stringify({ ...this.#status, ...this.#sessions })}`));
      }, patience);
      this.#waiting.add(look);
      look();
    });
  }

  async stop(): Promise<void> {
    this.#pulse.client.send({ kind: 'end', reason: 'told to end' });
    await this.#pulse.exited;
    this.#pulse.client.close();
  }

  kill(): void {
    process.kill(this.#pulse.pid, 'SIGKILL');
  }

  /** Of a status told from now on. */
  async refused(): Promise<Readonly<Record<string, Readonly<Record<string, number>>>>> {
    return Object.fromEntries(Object.entries(await this.#nextStatus()).map(([name, { counters }]) => [name, counters.dropped] as const).filter(([, dropped]) => Object.keys(dropped).length > 0));
  }

  async taken(): Promise<Readonly<Record<string, number>>> {
    return Object.fromEntries(Object.entries(await this.#nextStatus()).map(([name, { counters }]) => [name, counters.received]));
  }

  async #nextStatus(): Promise<Readonly<Record<string, RouterStatus>>> {
    const before = this.#status;
    await this.until('another status', (now) => now !== before);
    return this.#status;
  }

  #hear(message: PulseMessage): void {
    if (message.kind === 'status') this.#status = message.routers;
    if (message.kind === 'transition') this.transitions.push(message.transition);
    if (message.kind === 'sessions') this.#sessions = message.sessions;
    if (message.kind === 'session-transition') this.sessionTransitions.push(message.transition);
    if (message.kind === 'refused-session') this.#refusals.push(`${message.session}: ${message.reason}`);
    if (message.kind === 'refused') this.#refusals.push(`${message.router}: ${message.reason}`);
    for (const look of this.#waiting) look();
  }
}
