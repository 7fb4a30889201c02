/** The agent's end of the pulse's socket. One connection: whoever wants another makes it. */
import { type Socket, connect } from 'node:net';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { BfdStatusSchema, BfdTransitionSchema, PeerOpinionSchema } from '../api/bfd-schemas.ts';
import { RouterStatusSchema, RouterTransitionSchema } from '../api/router-schemas.ts';
import { type Milliseconds, seconds } from '../base/units.ts';
import { PulseLineInvalid, PulseUnreachable } from './errors.ts';
import { readLines, writeLine } from './json-lines.ts';
import type { PulseCommand, PulseMessage } from './pulse-protocol.ts';

export type PulseHello = Extract<PulseMessage, { readonly kind: 'hello' }>;

const check = Compile(Type.Union([
  Type.Object({ kind: Type.Literal('hello'), pulse: Type.String({ minLength: 1, maxLength: 64 }), pid: Type.Integer({ minimum: 1 }), version: Type.String() }),
  Type.Object({ kind: Type.Literal('status'), routers: Type.Record(Type.String(), RouterStatusSchema) }),
  Type.Object({ kind: Type.Literal('transition'), transition: RouterTransitionSchema }),
  Type.Object({
    kind: Type.Literal('sessions'), sessions: Type.Record(Type.String(), BfdStatusSchema), drops: Type.Record(Type.String(), Type.Integer({ minimum: 0 })),
    opinions: Type.Array(PeerOpinionSchema),
  }),
  // A pulse takes any name: what names there are is the server's to say.
  Type.Object({ kind: Type.Literal('session-transition'), transition: Type.Object({ ...BfdTransitionSchema.properties, session: Type.String() }) }),
  Type.Object({ kind: Type.Literal('refused-session'), session: Type.String(), reason: Type.String() }),
  Type.Object({ kind: Type.Literal('refused'), router: Type.String(), reason: Type.String() }),
]));

export class PulseClient {
  /** Who it is. */
  readonly hello: PulseHello;
  /** Resolves when the connection is gone, whoever ended it. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  #left = false;
  /** Of before anybody listened. */
  #waiting: PulseMessage[] | undefined;
  #listener: (message: PulseMessage) => void = (message) => void this.#waiting?.push(message);

  constructor(socket: Socket, hello: PulseHello, closed: Promise<void>) {
    this.#socket = socket;
    this.hello = hello;
    this.closed = closed;
    this.#waiting = [hello];
  }

  /** Never throws: what cannot be sent is told anew on the next connection. */
  send(command: PulseCommand): void {
    writeLine(this.#socket, command);
  }

  /** From the `hello` on, also what came before; only one listener. */
  onMessage(listener: (message: PulseMessage) => void): void {
    this.#listener = listener;
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const message of waiting) listener(message);
  }

  /** It was closed from here: what becomes of the pulse is not asked any more. */
  get left(): boolean {
    return this.#left;
  }

  close(): void {
    this.#left = true;
    this.#socket.destroy();
  }

  hear(message: PulseMessage): void {
    this.#listener(message);
  }
}

/** Resolves when the pulse has said who it is. Fails with PulseUnreachable. */
export function connectPulse(socketPath: string, within: Milliseconds = seconds(5)): Promise<PulseClient> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    const closed = new Promise<void>((gone) => void socket.once('close', () => gone()));
    let client: PulseClient | undefined;
    let failure: unknown;
    let silent = false;
    const patience = setTimeout(() => {
      silent = true;
      socket.destroy(new PulseLineInvalid(`nothing was said within ${within} ms`));
    }, within);
    socket.on('error', (error) => {
      failure = error;
    });
    socket.once('close', () => {
      clearTimeout(patience);
      reject(new PulseUnreachable(socketPath, failure, silent));
    });
    readLines(socket, (value) => {
      // A message of a newer pulse that this agent does not know is passed over; one that it half knows is not believed.
      if (!check.Check(value)) {
        if (isUnknownKind(value)) return;
        throw new PulseLineInvalid(`a message that is not as agreed (${[...check.Errors(value)].map(({ instancePath }) => instancePath).join(', ')})`);
      }
      if (client) return client.hear(value);
      if (value.kind !== 'hello') throw new PulseLineInvalid(`the first message is ${value.kind}, not hello`);
      clearTimeout(patience);
      client = new PulseClient(socket, value, closed);
      resolve(client);
    });
  });
}

const KINDS: ReadonlySet<unknown> = new Set([
  'hello', 'status', 'transition', 'sessions', 'session-transition', 'refused-session', 'refused',
] satisfies PulseMessage['kind'][]);
const isUnknownKind = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'kind' in value && typeof value.kind === 'string' && !KINDS.has(value.kind);
