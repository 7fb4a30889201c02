/** Serial ports of this host's VMs, joined to whoever asked the server for one. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { formatError } from '../base/error.ts';
import type { ConsoleOrder } from '../api/agent-protocol.ts';
import type { AgentClient } from '../api/agent-client.ts';
import { ApiError } from '../api/api.ts';
import { runDirectory } from '../vm/run-directory.ts';
import type { Log } from '../base/log.ts';

/** Bytes that the server has not taken; past that the console is ended: a guest whose port is not read stands still in its writes. */
const MAX_BACKLOG = 1024 * 1024;

export interface ConsolesParts {
  readonly server: Pick<AgentClient, 'console' | 'refuseConsole'>;
  /** Of a VM whose QEMU runs here; undefined of any other. */
  readonly runDirectory: (vm: string) => string | undefined;
  readonly log: Log;
}

export class Consoles {
  readonly #parts: ConsolesParts;
  /** By VM. QEMU serves one at a time, and lets a second wait without a word. */
  readonly #open = new Map<string, AbortController>();
  #closed = false;

  constructor(parts: ConsolesParts) {
    this.#parts = parts;
  }

  /** Never rejects; resolves when the session is over. */
  async open({ session, vm }: ConsoleOrder): Promise<void> {
    if (this.#closed) return;
    const { server, log } = this.#parts;
    const directory = this.#parts.runDirectory(vm);
    if (directory === undefined) return this.#refuse(session, 'its QEMU does not run on this host');
    if (this.#open.has(vm)) return this.#refuse(session, 'somebody else has it open; it is for one at a time');
    const leave = new AbortController();
    this.#open.set(vm, leave);
    const tty = connect(runDirectory(directory).ttySocket);
    tty.on('error', () => tty.destroy());
    try {
      try {
        await once(tty, 'connect');
      } catch (error) {
        return await this.#refuse(session, `its serial port cannot be opened (${formatError(error)}); was it started by an older Godwit?`);
      }
      await join(tty, await server.console(session), leave.signal);
    } catch (error) {
      log.warn({ vm, error: formatError(error) }, 'A console could not be joined to whoever asked for it');
    } finally {
      tty.destroy();
      this.#open.delete(vm);
    }
  }

  close(): void {
    this.#closed = true;
    for (const leave of this.#open.values()) leave.abort();
  }

  async #refuse(session: string, why: string): Promise<void> {
    try {
      await this.#parts.server.refuseConsole(session, why);
    } catch (error) {
      // The server says back that there is none.
      if (!(error instanceof ApiError)) throw error;
    }
  }
}

/** Until either ends. */
async function join(tty: Duplex, wire: Duplex, leave: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const over = (): void => resolve();
  for (const end of [tty, wire]) end.on('error', over).on('close', over).on('end', over);
  leave.addEventListener('abort', over, { once: true });
  if (leave.aborted) over();
  tty.on('data', (bytes: Uint8Array) => {
    if (wire.writableLength > MAX_BACKLOG) over();
    else if (wire.writable) wire.write(bytes);
  });
  wire.pipe(tty);
  await promise;
  leave.removeEventListener('abort', over);
  wire.unpipe(tty);
  wire.destroy();
  tty.destroy();
}
