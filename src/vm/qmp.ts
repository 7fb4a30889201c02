/**
 * A QMP connection: commands with typed arguments and answers, events that cannot be missed.
 *
 * Source: QEMU, docs/interop/qmp-spec.rst; the types come from QEMU's own introspection (`qmp-types.ts`).
 * A QMP server talks to one client at a time: a second connection is accepted when the first one has closed.
 */
import { seconds, type Milliseconds } from '../base/units.ts';
import { QmpClosed, QmpCommandError, QmpProtocolError, QmpTimeout } from './qmp-errors.ts';
import { QmpEventLog, type QmpEvent, type QmpEventName, type QmpMark, type WaitForOptions } from './qmp-events.ts';
import { encodeQmp, QmpDecoder } from './qmp-framing.ts';
import { readQmpMessage, type QemuVersion, type QmpMessage } from './qmp-message.ts';
import { connectQmpSocket, type QmpTransport } from './qmp-transport.ts';
import type { QmpCommands, QmpOutOfBandCommand } from './qmp-types.ts';

export type QmpCommandName = keyof QmpCommands;
export type QmpReturn<Name extends QmpCommandName> = QmpCommands[Name]['returns'];

export interface QmpOptions {
  /** Until the answer; 10 s without. */
  readonly timeout?: Milliseconds;
}

/** Arguments can be left out where none is required. */
type Rest<Name extends QmpCommandName> = {} extends QmpCommands[Name]['arguments']
  ? [args?: QmpCommands[Name]['arguments'], options?: QmpOptions]
  : [args: QmpCommands[Name]['arguments'], options?: QmpOptions];

const defaultTimeout = seconds(10);

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly command: string;
  readonly timer: NodeJS.Timeout;
}

/** Connects and negotiates; `timeout` (10 s) covers both. Fails with QmpClosed, QmpTimeout or QmpProtocolError. */
export async function connectQmp(path: string, options: QmpOptions = {}): Promise<QmpClient> {
  return QmpClient.open(await connectQmpSocket(path), options);
}

export class QmpClient {
  readonly #transport: QmpTransport;
  readonly #decoder = new QmpDecoder();
  readonly #events = new QmpEventLog();
  readonly #pending = new Map<number, Pending>();
  readonly #greeting = Promise.withResolvers<QmpMessage & { kind: 'greeting' }>();
  readonly #ended = Promise.withResolvers<unknown>();
  #lastId = 0;
  #state: 'greeting' | 'open' | 'closed' = 'greeting';
  #cause: unknown;
  #version: QemuVersion = { major: 0, minor: 0, micro: 0 };
  #outOfBand = false;

  private constructor(transport: QmpTransport) {
    this.#transport = transport;
    // Awaited by `open` only; a connection that ends before that must not be an unhandled rejection.
    this.#greeting.promise.catch(() => undefined);
    transport.open(
      (chunk) => this.#received(chunk),
      (cause) => this.#closed(cause),
    );
  }

  static async open(transport: QmpTransport, { timeout = defaultTimeout }: QmpOptions = {}): Promise<QmpClient> {
    const client = new QmpClient(transport);
    const timer = setTimeout(() => client.#greeting.reject(new QmpTimeout('greeting', timeout)), timeout);
    try {
      const { version, capabilities } = await client.#greeting.promise;
      client.#version = version;
      client.#outOfBand = capabilities.includes('oob');
      await client.execute('qmp_capabilities', client.#outOfBand ? { enable: ['oob'] } : {}, { timeout });
      return client;
    } catch (error) {
      client.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  get version(): QemuVersion {
    return this.#version;
  }

  /** Whether QEMU takes out-of-band commands on this connection. */
  get outOfBand(): boolean {
    return this.#outOfBand;
  }

  /** Resolves, never rejects, when the connection has ended, with the error that ended it, if one did. */
  get closed(): Promise<unknown> {
    return this.#ended.promise;
  }

  /**
   * Sends a command and waits for its answer. Commands are carried out in the order they are sent in.
   * Fails with QmpCommandError (refused), QmpTimeout (may still be carried out), QmpClosed, QmpProtocolError.
   */
  execute<Name extends QmpCommandName>(command: Name, ...[args, options]: Rest<Name>): Promise<QmpReturn<Name>> {
    return this.#send('execute', command, args, options);
  }

  /** Overtakes all other commands, and is answered even while QEMU's main loop hangs. Needs `outOfBand`. */
  executeOutOfBand<Name extends QmpOutOfBandCommand>(command: Name, ...[args, options]: Rest<Name>): Promise<QmpReturn<Name>> {
    return this.#send('exec-oob', command, args, options);
  }

  /** The place after the last event so far; take it before the command whose events are waited for. */
  mark(): QmpMark {
    return this.#events.mark();
  }

  /** Returns what removes the listener. Events come in QEMU's order, and before the answers that QEMU sent after them. */
  on<Name extends QmpEventName>(name: Name, listener: (event: QmpEvent<Name>) => void): () => void {
    return this.#events.on(name, listener);
  }

  /** The first event since the mark that the predicate accepts, be it past or to come. Fails with QmpTimeout or QmpClosed. */
  waitFor<Name extends QmpEventName>(name: Name, options: WaitForOptions<Name>): Promise<QmpEvent<Name>> {
    return this.#events.waitFor(name, options);
  }

  /** Ends the connection and leaves QEMU running. What is pending fails with QmpClosed. Idempotent. */
  close(): void {
    this.#transport.close();
  }

  #send<Name extends QmpCommandName>(
    verb: 'execute' | 'exec-oob',
    command: Name,
    args: QmpCommands[Name]['arguments'] | undefined,
    { timeout = defaultTimeout }: QmpOptions = {},
  ): Promise<QmpReturn<Name>> {
    return new Promise((resolve, reject) => {
      if (this.#state === 'closed') return reject(new QmpClosed(`before '${command}' was sent`, { cause: this.#cause }));
      const id = ++this.#lastId;
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new QmpTimeout(`answer to '${command}'`, timeout));
      }, timeout);
      // QEMU's schema, from which the types are made, promises this shape of the answer.
      const answered = (value: unknown): void => resolve(value);
      this.#pending.set(id, { resolve: answered, reject, command, timer });
      this.#transport.write(encodeQmp({ [verb]: command, arguments: args ?? {}, id }));
    });
  }

  #received(chunk: Uint8Array): void {
    try {
      for (const message of this.#decoder.push(chunk)) this.#handle(readQmpMessage(message));
    } catch (error) {
      this.#cause ??= error;
      this.#transport.close();
    }
  }

  #handle(message: QmpMessage): void {
    if (this.#cause !== undefined) return;
    if ((message.kind === 'greeting') !== (this.#state === 'greeting')) {
      throw new QmpProtocolError(`QEMU's first message, and only that, is the greeting; this came: ${message.kind}`);
    }
    switch (message.kind) {
      case 'greeting':
        this.#state = 'open';
        return this.#greeting.resolve(message);
      case 'event':
        // QEMU's schema promises this shape; an event without a type in it has no listener that could misread it.
        return this.#events.append({ name: message.name, data: message.data, at: message.at } as QmpEvent);
      case 'return':
        return this.#answered(message.id)?.resolve(message.value);
      case 'error': {
        const pending = this.#answered(message.id);
        return pending?.reject(new QmpCommandError(pending.command, message.class, message.desc));
      }
    }
  }

  /** What the answer belongs to; undefined when that has timed out before. */
  #answered(id: number): Pending | undefined {
    const sent = Number.isInteger(id) && id >= 1 && id <= this.#lastId;
    if (!sent) throw new QmpProtocolError(`QEMU answered command ${id}, which was never sent`);
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    clearTimeout(pending?.timer);
    return pending;
  }

  #closed(cause: Error | undefined): void {
    this.#state = 'closed';
    this.#cause ??= cause;
    const why = this.#cause;
    this.#greeting.reject(why instanceof QmpProtocolError ? why : new QmpClosed('before the greeting', { cause: why }));
    for (const { reject, command, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(why instanceof QmpProtocolError ? why : new QmpClosed(`before the answer to '${command}'`, { cause: why }));
    }
    this.#pending.clear();
    this.#events.close(why);
    this.#ended.resolve(why);
  }
}
