/**
 * control/: the server. It keeps what is declared and what is known, decides where VMs are placed and when they may move, and tells
 * agents what is wanted of them; agents act. It touches no host itself, and no VM ends because it does.
 *
 * `ControlPlane` is what its HTTP face (http-*.ts) stands on: the administrator's API and the agents' side.
 */
import type { Api, WatchEvent } from '../api/api.ts';
import type { NoHistory } from '../api/agent-client.ts';
import type { AgentReport, HistoryOrder, ReportAnswer, Wanted } from '../api/agent-protocol.ts';
import type { History } from '../model/history.ts';
import type { HostSpec } from '../model/host.ts';
import type { Kind } from '../model/resource.ts';
import type { Family } from './metrics.ts';

export interface ControlPlane extends Api {
  /**
   * With `after`, and while the history is kept: `synced` with exactly that revision first, then the changes of later ones. If it is
   * not kept any more, as without `after`.
   */
  watch<K extends Kind>(kind: K, signal: AbortSignal, after?: number): AsyncIterable<WatchEvent<K>>;
  /** On the disk when it answers. `host` is the name in the agent's certificate. */
  report(host: string, report: AgentReport): Promise<ReportAnswer>;
  /** The whole of it at once, then again whenever it changed, until aborted. */
  wanted(host: string, signal: AbortSignal): AsyncIterable<Wanted>;
  /** An agent hears of what is asked of its host's monitor (`history`), until what it returns is called. */
  onHistory(host: string, told: (order: HistoryOrder) => unknown): () => void;
  /** Throws ApiError CONTROL_NOT_FOUND: nobody waits for it. */
  answerHistory(host: string, id: string, answer: History | NoHistory): void;
  metrics(): readonly Family[];
  /**
   * Spends the token and makes the Host. Throws ApiError: CONTROL_INVALID, CONTROL_TOKEN_INVALID (which of its reasons is told to
   * nobody but the server's log), CONTROL_HOST_EXISTS.
   */
  admit(host: string, spec: HostSpec, tokenId: string, secret: string): Promise<void>;
}
