/**
 * The agent's side of BFD: which sessions are wanted (they lie on this host's disk, so that they come up without the server), their keys,
 * and what the pulse said last of them and, by them, of the other hosts. Whoever has the connection (router-keeper.ts) drives it.
 */
import { formatError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import type { Disk } from '../host/disk.ts';
import type { BfdSessionPlan, BfdStatus, BfdTransition } from '../model/bfd-session.ts';
import { detectionDefaults } from '../model/detection-policy.ts';
import { parseDuration } from '../model/quantity.ts';
import type { WatchPlan } from '../model/watch-plan.ts';
import type { PeerOpinion } from '../protocol/failure-detector.ts';
import type { PulseCommand, PulseMessage } from '../pulse/pulse-protocol.ts';
import { SessionFiles } from './session-files.ts';
import { KeyUnusable, type ReadKey } from './session-keys.ts';

export type SessionsCommand = Extract<PulseCommand, { readonly kind: 'sessions' }>;
type SessionsMessage = Extract<PulseMessage, { readonly kind: 'sessions' }>;
export type Detector = WatchPlan['detector'];

const { falseAlarmsPerDay, floor, ceiling } = detectionDefaults.detect;
/** Until the server has said. */
const usual: Detector = { falseAlarmsPerDay, floor: parseDuration(floor), ceiling: parseDuration(ceiling) };

export class SessionDesk {
  readonly #files: SessionFiles;
  readonly #readKey: ReadKey;
  readonly #log: Log;
  /** Undefined: what is wanted is not known, which is not to say that nothing is. */
  #plans: readonly BfdSessionPlan[] | undefined;
  #detector: Detector;
  /** By file name: base64, or why it cannot be used. */
  #keys: Readonly<Record<string, string>> = {};
  #faults: ReadonlyMap<string, string> = new Map();
  readonly #refused = new Map<string, string>();
  #said: SessionsMessage | undefined;

  constructor(disk: Disk, log: Log, readKey: ReadKey) {
    this.#files = new SessionFiles(disk, log);
    this.#log = log;
    this.#readKey = readKey;
    const { sessions, detector } = this.#files.read();
    this.#plans = sessions;
    this.#detector = detector ?? usual;
    this.readKeys();
  }

  get plans(): readonly BfdSessionPlan[] | undefined {
    return this.#plans;
  }

  /** Undefined: as it was. True: the pulse is to be told. */
  want(plans: readonly BfdSessionPlan[] | undefined, detector: Detector | undefined): boolean {
    const before = JSON.stringify([this.#plans, this.#detector]);
    this.#plans = plans ?? this.#plans;
    this.#detector = detector ?? this.#detector;
    const changed = JSON.stringify([this.#plans, this.#detector]) !== before;
    if (changed && this.#plans) {
      // In force all the same when it cannot be written: it is wanted anew with every start of the agent that reaches the server.
      this.#files.write(this.#plans, this.#detector);
      this.#refused.clear();
    }
    // The administrator may have put a key there that was missing.
    const keys = plans !== undefined && this.readKeys();
    return (changed || keys) && this.#plans !== undefined;
  }

  /** Looks at every key anew. True: the pulse is to be told. */
  readKeys(): boolean {
    const before = JSON.stringify([this.#keys, [...this.#faults]]);
    const keys: Record<string, string> = {};
    const faults = new Map<string, string>();
    for (const file of new Set((this.#plans ?? []).flatMap(({ authentication }) => authentication?.keys.map((key) => key.file) ?? []))) {
      try {
        keys[file] = Buffer.from(this.#readKey(file)).toString('base64');
      } catch (error) {
        if (!(error instanceof KeyUnusable)) throw error;
        faults.set(file, error.message);
        if (this.#faults.get(file) !== error.message) this.#log.error({ file, error: formatError(error) }, 'A key of BFD sessions cannot be used');
      }
    }
    this.#keys = keys;
    this.#faults = faults;
    const changed = JSON.stringify([keys, [...faults]]) !== before;
    // What was refused for want of a key may not be any more: the pulse says so again, if it is.
    if (changed) this.#refused.clear();
    return changed;
  }

  /** Undefined as long as nobody knows what is wanted. */
  command(): SessionsCommand | undefined {
    return this.#plans && { kind: 'sessions', sessions: this.#plans, keys: this.#keys, detector: this.#detector };
  }

  /** True: somebody is up, down or silent who was not. */
  hear(message: SessionsMessage): boolean {
    const before = gist(this.#said);
    this.#said = message;
    return gist(message) !== before;
  }

  refused(session: string, reason: string): void {
    if (this.#refused.get(session) === reason) return;
    this.#refused.set(session, reason);
    this.#log.error({ session, reason }, 'A BFD session cannot be run as declared');
  }

  /** By name; of one that cannot be run, why. Undefined until the pulse has spoken. */
  statuses(): Readonly<Record<string, BfdStatus>> | undefined {
    if (this.#plans?.length === 0) return {};
    if (!this.#said) return undefined;
    const statuses: Record<string, BfdStatus> = { ...this.#said.sessions };
    for (const { name, authentication } of this.#plans ?? []) {
      const reason = authentication?.keys.map(({ file }) => this.#faults.get(file)).find((fault) => fault !== undefined) ?? this.#refused.get(name);
      if (reason !== undefined) statuses[name] = { ...(statuses[name] ?? idle), reason };
    }
    return statuses;
  }

  opinions(): readonly PeerOpinion[] | undefined {
    return this.#said?.opinions;
  }

  /** The pulse died: what it cannot say itself, of those that were up. Nothing is known of any after this. */
  lost(transition: Pick<BfdTransition, 'pulse' | 'at'>, first: number): readonly BfdTransition[] {
    const up = Object.entries(this.#said?.sessions ?? {}).filter(([, { state }]) => state === 'up');
    this.#said = undefined;
    return up.map(([session, { state }], n) => ({
      ...transition, sequence: first + n, session, from: state, to: 'down', diagnostic: 'none',
      rule: 'the pulse died: nobody speaks for this host until the next one does', lateness: { now: 0, worst: 0 },
    }));
  }

  /** Nothing is known any more. */
  forget(): void {
    this.#said = undefined;
  }
}

/** What is worth telling at once. */
function gist(message: SessionsMessage | undefined): string {
  const { sessions = {}, opinions = [] } = message ?? {};
  return JSON.stringify([
    Object.entries(sessions).map(([name, { state, reason }]) => [name, state, reason]),
    opinions.map(({ peer, paths }) => [peer, paths.map(({ path, state }) => [path, state])]),
  ]);
}

/** Of a session that was never begun. */
const idle: BfdStatus = {
  state: 'down', since: 0, diagnostic: 'none', discriminator: 0, send: 0, receive: 0, detectionTime: 0,
  counters: { sent: 0, heard: 0, echoesSent: 0, echoesHeard: 0, ups: 0, downs: 0, dropped: {}, unsent: {} },
};
