/** When a daemon is to end. */

/** `end` resolves when `signal` is aborted, or without one at SIGTERM or SIGINT; `stop` listens no more. */
export function toldToEnd(signal: AbortSignal | undefined): { readonly end: Promise<void>; stop(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = (): void => resolve();
  if (signal) {
    if (signal.aborted) end();
    signal.addEventListener('abort', end, { once: true });
    return { end: promise, stop: () => signal.removeEventListener('abort', end) };
  }
  process.on('SIGTERM', end).on('SIGINT', end);
  return { end: promise, stop: () => void process.off('SIGTERM', end).off('SIGINT', end) };
}
