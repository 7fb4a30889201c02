/**
 * The destination's end of a move as its source's agent has it: over a connection, which it makes anew whenever something is asked.
 * An answer's shape is not checked, it is cast: it comes from the same program at the other end (the hello turns other versions away), of
 * a host with a certificate of this cluster.
 */
import { ms, seconds } from '../base/units.ts';
import type { Vm } from '../model/vm.ts';
import { systemClock } from '../native/system-clock.ts';
import type { ReceivedFrame } from '../native/native.ts';
import type { HostFacts } from '../policy/plan.ts';
import type { Commit, DestinationEnd, DestinationEvent, DestinationSummary, MoveTerms } from './ends.ts';
import { PeerLost } from './errors.ts';
import type { Decision } from './journal.ts';
import type { DestinationSide } from './move.ts';
import type { PeerAddress, PeerDialer } from './peer-connection.ts';
import { type Declared, PEER_PROTOCOL, type PeerMethod, type PeerParams, encodeValue } from './peer-message.ts';
import type { PeerProbes } from './preflight.ts';
import { PeerRefused, PeerRpc, type PeerTimes, peerTimes } from './peer-rpc.ts';

/** How long a move waits for the other agent before anything was done, and between two tries. */
const PATIENCE = seconds(3);
const RETRY = ms(200);

export interface PeerSideOptions {
  readonly dialer: PeerDialer;
  readonly peer: PeerAddress;
  readonly move: string;
  readonly token: string;
  readonly vm: Declared;
  readonly times?: PeerTimes;
}

/** The other host's side of one move. `close` ends the connection; what is prepared there is ended by its own end's `finish`. */
export class PeerSide implements DestinationSide {
  readonly #o: PeerSideOptions;
  readonly #listeners = new Set<(event: DestinationEvent) => void>();
  #rpc: Promise<PeerRpc> | undefined;
  #closed = false;

  constructor(options: PeerSideOptions) {
    this.#o = options;
  }

  get host(): string {
    return this.#o.peer.host;
  }

  /** The first that is asked in a move: an agent that is just being restarted gets a little time to let others in. */
  async facts(_vm: Vm): Promise<HostFacts> {
    for (const until = performance.now() + PATIENCE; ; await systemClock.sleep(RETRY)) {
      try {
        return (await this.#request('facts', { vm: this.#o.vm })) as HostFacts;
      } catch (error) {
        if (!(error instanceof PeerLost) || this.#closed || performance.now() > until) throw error;
      }
    }
  }

  get probes(): PeerProbes {
    return {
      port: this.#o.peer.port,
      sendFrames: async ({ sizes, ...frames }) => void (await this.#request('sendFrames', { ...frames, sizes: [...sizes] })),
      gateway: async (bridge, address) => (await this.#request('gateway', { bridge, address })) as string[],
    };
  }

  async prepare(_vm: Vm, { source, destination, maxBandwidth }: MoveTerms): Promise<DestinationEnd> {
    const { uri } = (await this.#request('prepare', {
      vm: this.#o.vm, source: source.toString(), destination: destination.toString(), maxBandwidth,
    })) as { uri: string };
    return this.#end(uri);
  }

  /** The end that was prepared before this agent was restarted. Asks nothing: it may not be there any more. */
  prepared(): DestinationEnd {
    return this.#end('');
  }

  close(): void {
    this.#closed = true;
    void this.#rpc?.then((rpc) => rpc.close(), () => undefined);
  }

  #end(uri: string): DestinationEnd {
    const ask = async <M extends PeerMethod>(method: M, params: PeerParams<M>): Promise<unknown> => this.#request(method, params);
    return {
      host: this.host,
      uri,
      listen: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      permit: async () => void (await ask('permit', {})),
      abort: async () => (await ask('abort', {})) as Decision,
      commit: async () => (await ask('commit', {})) as Commit,
      announce: async () => void (await ask('announce', {})),
      takeHeld: async (nic) => {
        const all: ReceivedFrame[] = [];
        for (;;) {
          const { frames, more } = (await ask('takeHeld', { nic })) as { frames: ReceivedFrame[]; more: boolean };
          all.push(...frames);
          if (!more) return all;
        }
      },
      deliveredFrames: async () => (await ask('deliveredFrames', {})) as number[],
      summary: async () => (await ask('summary', {})) as DestinationSummary,
      finish: async () => {
        await ask('finish', {});
        this.close();
      },
    };
  }

  async #request<M extends PeerMethod>(method: M, params: PeerParams<M>): Promise<unknown> {
    if (this.#closed) throw new PeerLost(this.host, 'this move is over');
    this.#rpc ??= this.#dial();
    const dialled = this.#rpc;
    let rpc: PeerRpc;
    try {
      rpc = await dialled;
    } catch (error) {
      if (this.#rpc === dialled) this.#rpc = undefined;
      throw error;
    }
    try {
      return await rpc.request(method, params);
    } catch (error) {
      // Nothing of this move is there: whatever was prepared went with the agent that had it. It can still be asked to abort.
      if (error instanceof PeerRefused && error.code === 'MOVE_NO_SUCH_MOVE') throw new PeerLost(this.host, 'it knows nothing of this move any more', error);
      throw error;
    }
  }

  async #dial(): Promise<PeerRpc> {
    const { dialer, peer, move, token, times = peerTimes } = this.#o;
    const connection = await dialer.dial(peer);
    connection.send(encodeValue({ hello: PEER_PROTOCOL, move, token }));
    return new PeerRpc(connection, {
      // The cast: an event of the same program at the other end, of a host with a certificate of this cluster.
      onEvent: (event) => this.#tell(event as DestinationEvent),
      onLost: (why) => {
        this.#rpc = undefined;
        if (!this.#closed) this.#tell({ kind: 'lost', reason: new PeerLost(peer.host, why).message });
      },
    }, times);
  }

  #tell(event: DestinationEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

