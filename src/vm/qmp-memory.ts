/**
 * A QMP server in memory, below the same seam as the real socket. It behaves as `qemu-system-x86_64 -M none` does as far as
 * test/contract/qmp.ts looks, and a test can script any other command, event or byte.
 *
 * Bytes travel in microtasks, never inside `write`, as they never do with a socket.
 */
import { encodeQmp, QmpDecoder } from './qmp-framing.ts';
import type { QmpEventName } from './qmp-events.ts';
import type { QmpTransport } from './qmp-transport.ts';
import type { QmpEvents } from './qmp-types.ts';

/** What a handler throws to have the command refused. */
export class QmpRefusal extends Error {
  readonly class: string;

  constructor(errorClass: string, desc: string) {
    super(desc);
    this.class = errorClass;
  }
}

/** The value returned is the answer; `noAnswer` leaves the command unanswered. */
export type QmpHandler = (args: Readonly<Record<string, unknown>>) => unknown;
export const noAnswer = Symbol('no answer');

export interface QmpMemoryOptions {
  /** `oob` without. */
  readonly capabilities?: readonly string[];
}

interface Request {
  readonly id: unknown;
  readonly command: string;
  readonly args: Readonly<Record<string, unknown>>;
}

export class QmpMemory {
  /** Commands received, oldest first. */
  readonly commands: string[] = [];
  readonly transport: QmpTransport;
  readonly #handlers = new Map<string, QmpHandler>();
  readonly #decoder = new QmpDecoder();
  #client: { data: (chunk: Uint8Array) => void; closed: (cause?: Error) => void } | undefined;
  #ended = false;
  #negotiated = false;
  #running = true;
  #parameters: object = { 'max-bandwidth': 134217728 };

  constructor({ capabilities = ['oob'] }: QmpMemoryOptions = {}) {
    this.transport = {
      open: (data, closed) => {
        this.#client = { data, closed };
        this.send({ QMP: { version: { qemu: { major: 10, minor: 0, micro: 2 }, package: '' }, capabilities } });
      },
      write: (bytes) => queueMicrotask(() => this.#received(bytes)),
      close: () => this.close(),
    };
    this.#script();
  }

  /** From now on `handler` carries out `command`. */
  on(command: string, handler: QmpHandler): void {
    this.#handlers.set(command, handler);
  }

  /** `at`: ms since the epoch. */
  emit<Name extends QmpEventName>(event: Name, data: QmpEvents[Name], at = Date.now()): void {
    const seconds = Math.floor(at / 1000);
    this.send({ event, data, timestamp: { seconds, microseconds: Math.round((at - seconds * 1000) * 1000) } });
  }

  send(message: object): void {
    this.sendBytes(encodeQmp(message));
  }

  sendBytes(bytes: Uint8Array): void {
    queueMicrotask(() => {
      if (!this.#ended) this.#client?.data(bytes);
    });
  }

  /** As when QEMU's process ends: what was sent before still arrives. */
  close(cause?: Error): void {
    queueMicrotask(() => {
      if (this.#ended) return;
      this.#ended = true;
      this.#client?.closed(cause);
    });
  }

  #received(bytes: Uint8Array): void {
    if (this.#ended) return;
    for (const message of this.#decoder.push(bytes)) {
      const { id, command, args } = readRequest(message);
      this.commands.push(command);
      try {
        const answer = this.#carryOut(command, args);
        if (answer !== noAnswer) this.send({ return: answer, id });
      } catch (error) {
        if (!(error instanceof QmpRefusal)) throw error;
        this.send({ id, error: { class: error.class, desc: error.message } });
      }
      if (command === 'quit') this.close();
    }
  }

  #carryOut(command: string, args: Readonly<Record<string, unknown>>): unknown {
    if (command !== 'qmp_capabilities' && !this.#negotiated) {
      throw new QmpRefusal('CommandNotFound', "Expecting capabilities negotiation with 'qmp_capabilities'");
    }
    const handler = this.#handlers.get(command);
    if (handler === undefined) throw new QmpRefusal('CommandNotFound', `The command ${command} has not been found`);
    return handler(args);
  }

  #script(): void {
    this.on('qmp_capabilities', () => {
      this.#negotiated = true;
      return {};
    });
    this.on('query-status', () => ({ status: this.#running ? 'running' : 'paused', running: this.#running }));
    this.on('stop', () => this.#run(false, 'STOP'));
    this.on('cont', () => this.#run(true, 'RESUME'));
    this.on('query-yank', () => [{ type: 'chardev', id: 'compat_monitor0' }]);
    this.on('yank', () => {
      throw new QmpRefusal('DeviceNotFound', 'Instance not found');
    });
    this.on('query-migrate', () => ({}));
    this.on('query-migrate-parameters', () => this.#parameters);
    this.on('migrate-set-parameters', (args) => {
      this.#parameters = { ...this.#parameters, ...args };
      return {};
    });
    this.on('migrate-continue', () => {
      throw new QmpRefusal('GenericError', 'Migration not in expected state: none');
    });
    this.on('quit', () => {
      this.emit('SHUTDOWN', { guest: false, reason: 'host-qmp-quit' });
      return {};
    });
  }

  #run(running: boolean, event: 'STOP' | 'RESUME'): object {
    if (this.#running !== running) this.emit(event, {});
    this.#running = running;
    return {};
  }
}

function readRequest(message: unknown): Request {
  // Only QmpClient writes here.
  const { id, execute, 'exec-oob': urgent, arguments: args = {} } = message as Record<string, unknown>;
  // The same.
  return { id, command: String(execute ?? urgent), args: args as Request['args'] };
}
