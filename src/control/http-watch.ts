/**
 * Streams of server-sent events. A reader that does not keep up costs a bounded amount of memory and then its connection: it comes
 * back, and goes on from the last id it has.
 */
import type { ServerResponse } from 'node:http';
import type { FastifyBaseLogger, FastifyReply } from 'fastify';
import { SSE_COMMENT } from '../api/sse.ts';

/** Bytes written and not yet taken by the connection, past which a reader is dropped. */
const MAX_BACKLOG = 1024 * 1024;
/** ms between comments on a quiet stream. */
const KEEP_ALIVE = 10_000;
/** ms that a reader may take to make room while it is told what there is. */
const STALL = 30_000;

export interface Frame {
  readonly text: string;
  /** Of what there is already: it is bounded, and waits for its reader. Without, the reader has to keep up. */
  readonly waits: boolean;
}

/**
 * Sends what `open` gives, until the connection closes (then its signal is aborted) or `ending` is. Before the first frame a failure is
 * the caller's to answer; after it the stream breaks off, and the failure is told when the reader comes back.
 */
export async function sendStream(
  reply: FastifyReply, ending: AbortSignal, log: FastifyBaseLogger, open: (signal: AbortSignal) => AsyncIterable<Frame>,
): Promise<void> {
  const { raw } = reply;
  const closed = new AbortController();
  const stop = (): void => closed.abort();
  raw.once('close', stop);
  ending.addEventListener('abort', stop, { once: true });
  if (raw.destroyed || ending.aborted) stop();
  const frames = open(closed.signal)[Symbol.asyncIterator]();
  let timer: NodeJS.Timeout | undefined;
  try {
    let next = await frames.next();
    reply.hijack();
    if (closed.signal.aborted) return;
    raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
    raw.flushHeaders();
    timer = setInterval(() => void write(raw, SSE_COMMENT), KEEP_ALIVE);
    for (; !next.done; next = await frames.next()) {
      if (closed.signal.aborted) break;
      if (!write(raw, next.value.text)) {
        log.warn({ backlog: raw.writableLength }, 'a watch did not keep up and was dropped');
        break;
      }
      if (next.value.waits && raw.writableNeedDrain && !(await drained(raw))) break;
    }
  } catch (error) {
    if (!reply.sent) throw error;
    if (!closed.signal.aborted) log.warn({ err: error }, 'a watch broke off');
  } finally {
    clearInterval(timer);
    raw.off('close', stop);
    ending.removeEventListener('abort', stop);
    closed.abort();
    await frames.return?.();
    if (reply.sent) raw.destroy();
  }
}

/** Whether it was written; a frame may be longer than the limit, what lies before it may not. */
function write(raw: ServerResponse, text: string): boolean {
  if (raw.destroyed || raw.writableLength > MAX_BACKLOG) {
    raw.destroy();
    return false;
  }
  raw.write(text);
  return true;
}

/** Whether there was room again in time. */
function drained(raw: ServerResponse): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => finish(false), STALL);
    const onDrain = (): void => finish(true);
    const onClose = (): void => finish(false);
    function finish(room: boolean): void {
      clearTimeout(timer);
      raw.off('drain', onDrain).off('close', onClose);
      resolve(room);
    }
    raw.once('drain', onDrain).once('close', onClose);
  });
}
