/**
 * Consoles: an administrator's connection joined to one that the VM's agent opens, since agents dial. The agent is asked over its stream
 * of what is wanted; a session's name is its secret, and is good for one connection of that host's agent.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ConsoleOrder } from '../api/agent-protocol.ts';
import { ApiError } from '../api/api.ts';
import { CONSOLE_PROTOCOL, CONSOLE_REFUSED } from '../api/http-paths.ts';
import { authorize, callerOf } from './http-caller.ts';
import type { HttpContext } from './http-context.ts';
import { endWithProblem } from './http-listener.ts';
import { problemOf } from './http-problem.ts';

/** ms for the agent to open its end. */
const PATIENCE = 10_000;
const CHANGED = `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${CONSOLE_PROTOCOL}\r\n\r\n`;

/** An administrator who waits for the agent's end. */
interface Waiting {
  readonly host: string;
  readonly vm: string;
  readonly socket: Socket;
  /** Undefined: it is there. */
  readonly done: (failure?: ApiError) => void;
}

export class Consoles {
  readonly #context: Pick<HttpContext, 'control' | 'clock' | 'ending'>;
  readonly #agents = new Map<string, Set<(order: ConsoleOrder) => unknown>>();
  readonly #waiting = new Map<string, Waiting>();
  readonly #open = new Set<Socket>();

  constructor(context: Pick<HttpContext, 'control' | 'clock' | 'ending'>) {
    this.#context = context;
    context.ending.addEventListener('abort', () => {
      for (const socket of this.#open) socket.destroy();
    }, { once: true });
  }

  /** An agent hears of what is asked of its host, until what it returns is called. */
  listen(host: string, told: (order: ConsoleOrder) => unknown): () => void {
    const agents = this.#agents.get(host) ?? new Set();
    this.#agents.set(host, agents.add(told));
    return () => {
      agents.delete(told);
      if (agents.size === 0 && this.#agents.get(host) === agents) this.#agents.delete(host);
    };
  }

  /** A connection that is to become an end of a console. */
  upgrade(request: IncomingMessage, connection: Duplex, head: Buffer): void {
    connection.on('error', () => connection.destroy());
    if (!(connection instanceof Socket) || this.#context.ending.aborted) {
      connection.destroy();
      return;
    }
    this.#open.add(connection);
    connection.once('close', () => this.#open.delete(connection));
    if (head.length > 0) connection.unshift(head);
    this.#route(request, connection).catch((error: unknown) => refuse(connection, error));
  }

  async #route({ url = '', headers }: IncomingMessage, socket: Socket): Promise<void> {
    const caller = callerOf(socket, this.#context.clock.now());
    const vm = /^\/v1\/vms\/([a-z0-9-]+)\/console$/.exec(url)?.[1];
    if (vm !== undefined) {
      authorize(caller, 'admin');
      return this.#ask(vm, socket);
    }
    const session = /^\/agent\/v1\/consoles\/([\w-]+)$/.exec(url)?.[1];
    if (session === undefined) throw new ApiError(404, 'API_NO_SUCH_PATH', 'There is no such console: it is /v1/vms/NAME/console');
    authorize(caller, 'agent');
    const waiting = this.#waiting.get(session);
    if (!waiting || caller.role !== 'agent' || caller.host !== waiting.host) {
      throw new ApiError(404, 'CONTROL_NOT_FOUND', 'There is no such session for this host: whoever asked has left');
    }
    const refused = headers[CONSOLE_REFUSED];
    if (typeof refused === 'string') {
      const failure = new ApiError(409, 'CONTROL_NO_CONSOLE', `There is no console of ${waiting.vm}: ${decoded(refused)}`);
      waiting.done(failure);
      throw failure;
    }
    waiting.done();
    join(waiting.socket, socket);
  }

  async #ask(vm: string, socket: Socket): Promise<void> {
    const { status } = await this.#context.control.get('Vm', vm);
    const host = status?.placement?.host;
    if (host === undefined || status?.state === 'stopped' || status?.state === 'failed') {
      throw new ApiError(409, 'CONTROL_VM_NOT_RUNNING', `${vm} does not run, so it has no console: start it`);
    }
    const agents = this.#agents.get(host);
    if (!agents) throw new ApiError(503, 'CONTROL_HOST_SILENT', `The agent of ${host}, where ${vm} is, has no connection to the server: see to it`);
    const session = randomBytes(32).toString('base64url');
    const order: ConsoleOrder = { session, vm };
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const done = (failure?: ApiError): void => {
      this.#waiting.delete(session);
      if (failure) reject(failure);
      else resolve();
    };
    const late = setTimeout(() => done(new ApiError(504, 'CONTROL_HOST_SILENT', `The agent of ${host} did not open the console of ${vm} in time: try again`)), PATIENCE);
    const left = (): void => done(new ApiError(499, 'API_ABORTED', 'Whoever asked has left'));
    socket.once('close', left);
    this.#waiting.set(session, { host, vm, socket, done });
    for (const told of agents) told(order);
    try {
      await promise;
    } finally {
      clearTimeout(late);
      socket.off('close', left);
    }
  }
}

/** From now on what one says the other hears; with one ends the other. */
function join(one: Socket, other: Socket): void {
  for (const [from, to] of [[one, other], [other, one]] as const) {
    from.setTimeout(0);
    from.write(CHANGED);
    from.once('close', () => to.destroy());
  }
  one.pipe(other);
  other.pipe(one);
}

function refuse(socket: Socket, error: unknown): void {
  const { status, code, detail } = problemOf(error);
  if (socket.writable) endWithProblem(socket, status, code, detail);
  else socket.destroy();
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text).slice(0, 1000);
  } catch {
    return 'its host says so';
  }
}
