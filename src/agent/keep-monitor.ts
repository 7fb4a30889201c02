/** A host's monitor, on the real thing: a child process. And its history, for whoever asks the server for it. */
import { join } from 'node:path';
import type { AgentClient } from '../api/agent-client.ts';
import type { HistoryOrder } from '../api/agent-protocol.ts';
import { ApiError } from '../api/api.ts';
import { GodwitError, formatError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import { MonitorClient } from '../monitor/monitor-client.ts';
import type { MonitorSpawnOptions } from '../monitor/monitor-spawn.ts';
import type { MonitorParts } from './agent-process.ts';
import { MonitorKeeper } from './monitor-keeper.ts';

interface Where {
  readonly runDir: string;
  readonly stateDir: string;
  readonly metrics: MonitorSpawnOptions['metrics'];
}

export function keepMonitor(parts: MonitorParts, { runDir, stateDir, metrics }: Where): MonitorKeeper {
  const spawn = { runDir, stateDir: join(stateDir, 'monitor'), ...(metrics ? { metrics } : {}) };
  return new MonitorKeeper({ ...parts, always: metrics !== undefined, start: (events) => new MonitorClient({ ...events, spawn }) });
}

/** Never rejects. */
export async function answerHistory({ id, query }: HistoryOrder, monitor: Pick<MonitorKeeper, 'query'>, server: Pick<AgentClient, 'answerHistory'>, log: Log): Promise<void> {
  const answer = await monitor.query(query).catch((error: unknown) => ({
    code: error instanceof GodwitError ? error.code : 'MONITOR_QUERY_FAILED', message: error instanceof Error ? error.message : String(error),
  }));
  try {
    await server.answerHistory(id, answer);
  } catch (error) {
    // Whoever asked has been told that there was no answer.
    if (!(error instanceof ApiError)) log.warn({ error: formatError(error) }, 'What this host has kept could not be told to the server');
  }
}
