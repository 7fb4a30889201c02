/** A stream of server-sent events that outlives its connections: after a loss it connects again, with growing pauses. */
import type { IncomingMessage } from 'node:http';
import { StringDecoder } from 'node:string_decoder';
import type { Clock } from '../base/clock.ts';
import { systemClock } from '../native/system-clock.ts';
import { ms } from '../base/units.ts';
import { ApiError } from './api.ts';
import type { Connection } from './http-connection.ts';
import { type ServerSentEvent, SseParser } from './sse.ts';

/** The server says something at least every 10 s. */
const SILENCE = 25_000;
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5000;

export interface StreamOptions {
  readonly connection: Connection;
  readonly path: string;
  readonly signal: AbortSignal;
  /** Whether the first connection may be waited for too; without, its failure is the caller's. */
  readonly patient: boolean;
  /** Told of every loss, the stream goes on by itself. */
  readonly onLost?: ((error: ApiError) => void) | undefined;
  /** ms until silence counts as loss. */
  readonly silence?: number;
  readonly clock?: Clock;
}

export type StreamEvent =
  /** What follows comes over a new connection, asked to go on after the event with id `after`. */
  | { readonly kind: 'connected'; readonly after: string | undefined }
  | ({ readonly kind: 'event' } & ServerSentEvent);

/** Until aborted. Fails with ApiError when the server refuses (4xx) or is not this cluster's: to ask again would not help. */
export async function* eventStream(options: StreamOptions): AsyncGenerator<StreamEvent, void, void> {
  const { connection, path, signal, onLost, clock = systemClock } = options;
  let { patient } = options;
  let after: string | undefined;
  let pause = FIRST_PAUSE;
  while (!signal.aborted) {
    try {
      const headers = { accept: 'text/event-stream', ...(after === undefined ? {} : { 'last-event-id': after }) };
      const response = await connection.stream({ method: 'GET', path, headers, signal });
      patient = true;
      try {
        yield { kind: 'connected', after };
        for await (const event of eventsOf(response, options.silence ?? SILENCE)) {
          pause = FIRST_PAUSE;
          after = event.id ?? after;
          yield { kind: 'event', ...event };
        }
      } finally {
        response.destroy();
      }
      throw new ApiError(0, 'API_UNREACHABLE', `The server at ${connection.address} ended the stream`);
    } catch (cause) {
      if (signal.aborted) return;
      const error = asApiError(cause, connection);
      if (!patient || !worthAnotherTry(error)) throw error;
      onLost?.(error);
    }
    // A server that comes back is not met by all its agents in the same moment.
    await clock.sleep(ms(pause * (0.5 + Math.random() / 2)), signal);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

const worthAnotherTry = ({ status, code }: ApiError): boolean =>
  status === 0 ? code === 'API_UNREACHABLE' : status >= 500 || status === 408 || status === 429;

const asApiError = (cause: unknown, { address }: Connection): ApiError =>
  cause instanceof ApiError ? cause : new ApiError(0, 'API_UNREACHABLE', `The connection to the server at ${address} was lost`, { cause });

async function* eventsOf(response: IncomingMessage, silence: number): AsyncGenerator<ServerSentEvent, void, void> {
  const parser = new SseParser();
  const decoder = new StringDecoder('utf8');
  response.setTimeout(silence, () => response.destroy(new Error(`no word from it for ${silence / 1000} s`)));
  for await (const chunk of response) {
    if (chunk instanceof Uint8Array) yield* parser.push(decoder.write(chunk));
  }
}
