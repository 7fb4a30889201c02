/** The seam below QmpClient: a stream of bytes both ways. Real: a unix socket. Double: `qmp-memory.ts`. */
import { createConnection } from 'node:net';
import { QmpClosed } from './qmp-errors.ts';

export interface QmpTransport {
  /** Once, before anything else. `closed` comes exactly once, after all data; with the error that ended it, if one did. */
  open(data: (chunk: Uint8Array) => void, closed: (cause?: Error) => void): void;
  /** After the end: does nothing. */
  write(bytes: Uint8Array): void;
  /** Idempotent. `closed` follows. */
  close(): void;
}

/** Connects to QEMU's QMP socket at `path` (at most 107 bytes: sun_path of unix(7)). Fails with QmpClosed. */
export function connectQmpSocket(path: string): Promise<QmpTransport> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    const refused = (cause: Error): void => reject(new QmpClosed(`before it was open (${path})`, { cause }));
    socket.once('error', refused);
    socket.once('connect', () => {
      socket.off('error', refused);
      resolve({
        open(data, closed) {
          let failure: Error | undefined;
          socket.on('error', (error) => (failure = error));
          socket.on('close', () => closed(failure));
          // Reading starts with this listener, so nothing that came before it is lost.
          socket.on('data', data);
        },
        write: (bytes) => void (socket.writable && socket.write(bytes)),
        close: () => void socket.destroy(),
      });
    });
  });
}
