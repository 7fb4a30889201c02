/**
 * Keeps the server told, and hears what it wants. The server's being away changes nothing on this host: it is tried again and again,
 * and told the whole state when it is back.
 */
import { formatError } from '../base/error.ts';
import type { Clock } from '../base/clock.ts';
import { type Milliseconds, ms, seconds } from '../base/units.ts';
import type { AgentReport, MoveReport, ReportAnswer, VmReport, Wanted } from '../api/agent-protocol.ts';
import { ApiError } from '../api/api.ts';
import type { Log } from '../base/log.ts';

/** api/agent-client.ts, over HTTPS. */
export interface ServerLink {
  report(report: AgentReport): Promise<ReportAnswer>;
  wanted(signal: AbortSignal): AsyncIterable<Wanted>;
}

export interface ReporterParts {
  readonly server: ServerLink;
  readonly clock: Clock;
  readonly log: Log;
  /** New at every start of the agent. */
  readonly instance: string;
  /** What changes slowly; asked for every 5 s. */
  readonly facts: () => Promise<Omit<AgentReport['host'], 'agent'>>;
  readonly agent: () => AgentReport['host']['agent'];
  readonly vms: () => readonly VmReport[];
  readonly moves: () => readonly MoveReport[];
  /** What the pulse and its keeper have to say; each absent where there is nothing. */
  readonly pulse?: () => Pick<AgentReport, 'routers' | 'sessions' | 'opinions' | 'transitions'>;
  readonly monitor?: () => Pick<AgentReport, 'monitor' | 'turns' | 'troubles'>;
  /** Undefined where nobody watches them. */
  readonly addresses?: () => AgentReport['addresses'];
  readonly want: (wanted: Wanted) => void;
  /** What the server has on its disk. */
  readonly acknowledged: (answer: ReportAnswer) => void;
}

const INTERVAL = seconds(1);
const FACTS = seconds(5);
/** Between two reports, however much changes. */
const CLOSEST = ms(20);
/** To a server that is away: from the first to the longest, well below the time after which a host counts as silent. */
const AWAY = { first: ms(250), longest: seconds(2) } as const;
/** For an answer. */
const ANSWER = seconds(5);
/** To one that refuses this agent: that takes a person. Nor is it told sooner again what it could not read. */
const REFUSED = seconds(30);
/** A host lives by the rest of its report: these are left out when the server cannot read them. */
const LEFT_OUT: ReadonlySet<string> = new Set(['monitor', 'turns', 'troubles', 'opinions', 'sessions', 'routers', 'transitions', 'addresses'] satisfies (keyof AgentReport)[]);

export class Reporter {
  readonly #parts: ReporterParts;
  #sequence = 0;
  #dirty = false;
  #poke = new AbortController();
  #facts: Omit<AgentReport['host'], 'agent'> | undefined;
  /** By what was asked of it: the code of what went wrong last, so that the log has each failure once. */
  readonly #failing = new Map<string, string>();
  /** Fields of a report that the server could not read, until when they are left out (monotonic). */
  readonly #unreadable = new Map<string, number>();

  constructor(parts: ReporterParts) {
    this.#parts = parts;
  }

  /** There is something new to tell. */
  changed(): void {
    this.#dirty = true;
    this.#poke.abort();
  }

  /** Until aborted. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#keepFacts(signal), this.#keepTelling(signal), this.#keepListening(signal)]);
  }

  async #keepFacts(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const first = this.#facts === undefined;
        this.#facts = await this.#parts.facts();
        this.#works('facts');
        if (first) this.changed();
      } catch (error) {
        this.#fails('facts', error, 'This host could not be looked at');
      }
      await this.#parts.clock.sleep(FACTS, signal);
    }
  }

  async #keepTelling(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    let away: Milliseconds = AWAY.first;
    while (!signal.aborted) {
      const began = clock.monotonic();
      try {
        await this.#tell(signal);
        this.#works('report');
        away = AWAY.first;
      } catch (error) {
        if (this.#leavesOut(error)) continue;
        await clock.sleep(this.#fails('report', error, 'The server could not be told') ? REFUSED : away, signal);
        // One that was started anew is heard as soon as its former is taken to be gone.
        away = ms(Math.min(away * 2, error instanceof ApiError && error.code === 'CONTROL_AGENT_DUPLICATE' ? AWAY.first : AWAY.longest));
        continue;
      }
      await clock.sleep(CLOSEST, signal);
      this.#poke = new AbortController();
      const left = ms(INTERVAL - (clock.monotonic() - began));
      if (!this.#dirty && left > 0) await clock.sleep(left, AbortSignal.any([signal, this.#poke.signal]));
    }
  }

  async #tell(signal: AbortSignal): Promise<void> {
    const { server, clock, instance, agent, vms, moves, pulse, monitor, addresses, acknowledged } = this.#parts;
    if (!this.#facts || signal.aborted) return;
    // What changes from here on is in the next one.
    this.#dirty = false;
    const who = addresses?.();
    const report: AgentReport = {
      instance, sequence: ++this.#sequence, host: { ...this.#facts, agent: agent() }, vms: vms(), moves: moves(),
      ...(who ? { addresses: who } : {}),
      ...pulse?.(), ...monitor?.(),
    };
    // One that hangs on a dead connection must not keep the next from a server that is back; late ones do no harm.
    const answer = await Promise.race([server.report(this.#readable(report)), clock.sleep(ANSWER, signal)]);
    if (signal.aborted) return;
    const silent = `The server did not answer a report within ${ANSWER / 1000} s: look at its load and at the network`;
    if (!answer) throw new ApiError(0, 'API_UNREACHABLE', silent);
    acknowledged(answer);
  }

  #readable(report: AgentReport): AgentReport {
    for (const [field, until] of this.#unreadable) if (this.#parts.clock.monotonic() >= until) this.#unreadable.delete(field);
    if (this.#unreadable.size === 0) return report;
    const kept = Object.entries(report).filter(([field]) => !this.#unreadable.has(field));
    // The cast: none that is left out has to be there.
    return Object.fromEntries(kept) as unknown as AgentReport;
  }

  /** True: without what it could not read the server may take the report. */
  #leavesOut(error: unknown): boolean {
    if (!(error instanceof ApiError) || error.code !== 'API_INVALID') return false;
    const fields = [...new Set(error.faults.map(({ path }) => path.split('/')[1] ?? ''))].filter((field) => LEFT_OUT.has(field) && !this.#unreadable.has(field));
    for (const field of fields) this.#unreadable.set(field, this.#parts.clock.monotonic() + REFUSED);
    if (fields.length === 0) return false;
    this.#parts.log.error({ fields, error: formatError(error) },
      'The server cannot read a part of what this host tells: it is left out for 30 s; are agent and server of one version?');
    return true;
  }

  async #keepListening(signal: AbortSignal): Promise<void> {
    const { server, clock, want } = this.#parts;
    while (!signal.aborted) {
      let wait: Milliseconds = AWAY.longest;
      try {
        for await (const wanted of server.wanted(signal)) {
          this.#works('wanted');
          want(wanted);
        }
      } catch (error) {
        if (!signal.aborted && this.#fails('wanted', error, 'The server does not say what it wants')) wait = REFUSED;
      }
      await clock.sleep(wait, signal);
    }
  }

  #works(what: string): void {
    if (!this.#failing.delete(what)) return;
    this.#parts.log.info({ what }, what === 'facts' ? 'This host can be looked at again' : 'The server is back');
  }

  /** True when the server refuses this agent, rather than being away. */
  #fails(what: string, error: unknown, message: string): boolean {
    const refused = (error instanceof ApiError && error.status >= 400 && error.status < 500) || isOfTrust(error);
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    if (this.#failing.get(what) !== code) {
      this.#failing.set(what, code);
      const fields = { what, code, error: formatError(error) };
      if (refused) this.#parts.log.error(fields, `${message}: it refuses this agent; VMs run on, and it is tried again every 30 s`);
      else this.#parts.log.warn(fields, `${message}; VMs run on, and it is tried again`);
    }
    return refused;
  }
}

/** A certificate that is expired, or of another cluster; either end's. */
function isOfTrust(error: unknown): boolean {
  for (let e = error, depth = 0; e instanceof Error && depth < 8; e = e.cause, depth++) {
    if ('code' in e && typeof e.code === 'string' && (e.code.startsWith('TRUST_') || e.code === 'API_UNTRUSTED_SERVER')) return true;
  }
  return false;
}
