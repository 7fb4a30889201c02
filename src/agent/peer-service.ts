/**
 * Lets the agents of other hosts in, over TLS, and answers their probes of the path at the same port of UDP, at this host's address on
 * each path, as soon as what an earlier agent left of moves into this host has been settled.
 */
import { once } from 'node:events';
import { formatError } from '../base/error.ts';
import { seconds } from '../base/units.ts';
import type { Host } from '../host/host.ts';
import { answerPathProbes } from '../host/path-mtu.ts';
import { systemClock } from '../native/system-clock.ts';
import type { LiveIdentity } from '../trust/renewal.ts';
import { parseIpAddress } from '../wire/ip-address.ts';
import type { Moves } from './agent-process.ts';
import type { Log } from '../base/log.ts';
import type { Mover } from './mover.ts';
import { listenTls } from '../move/peer-tls.ts';

export interface PeerServiceOptions {
  readonly host: Host;
  readonly identity: LiveIdentity;
  /** Of path `main`. */
  readonly address: string;
  readonly port: number;
  readonly log: Log;
}

const TRY_AGAIN = seconds(2);

/** The mover's moves, which end with the service. An address that is not there yet, or a port that is taken, is tried again. */
export function withPeers(mover: Mover, options: PeerServiceOptions): Moves {
  const closing = new AbortController();
  /** By address; `main` stays whatever else is said. */
  const listening = new Map<string, Listening>();
  const callAt = (addresses: readonly string[]): void => {
    // One address may be written in several ways.
    const wanted = new Set([options.address, ...addresses].map((address) => String(parseIpAddress(address))));
    for (const [address, { stop }] of listening) if (!wanted.has(address)) stop.abort();
    for (const address of wanted) {
      const before = listening.get(address);
      if (closing.signal.aborted || (before && !before.stop.signal.aborted)) continue;
      const stop = new AbortController();
      const signal = AbortSignal.any([closing.signal, stop.signal]);
      // After its former: they would have one port.
      const ended = (before?.ended ?? Promise.resolve()).then(() => serve(mover, { ...options, address }, signal));
      listening.set(address, { stop, ended });
    }
  };
  callAt([]);
  return {
    want: (moves) => mover.want(moves),
    reports: () => mover.reports(),
    incoming: () => mover.incoming(),
    acknowledged: (migrations) => mover.acknowledged(migrations),
    callAt,
    close: async () => {
      closing.abort();
      // Not one after the other: what an earlier agent left may be settled only by giving it up, and nobody is let in before.
      await Promise.all([mover.close(), ...[...listening.values()].map(({ ended }) => ended)]);
    },
  };
}

interface Listening {
  readonly stop: AbortController;
  /** Nobody is let in at it any more. */
  readonly ended: Promise<void>;
}

async function serve(mover: Mover, { host, identity, address, port, log }: PeerServiceOptions, closing: AbortSignal): Promise<void> {
  const refused = (error: unknown, from: string | undefined): void => log.warn({ from, error: formatError(error) }, 'Somebody who is no agent of this cluster was turned away');
  await mover.ready;
  let told = '';
  while (!closing.aborted) {
    let probes: { close(): void } | undefined;
    try {
      const answering = (probes = await answerPathProbes(host, parseIpAddress(address), port));
      const agents = await listenTls(identity.current, { address, port }, () => systemClock.now(), (connection) => mover.peers.accept(connection), refused);
      const off = identity.onRenewed((renewed) => agents.useIdentity(renewed));
      agents.useIdentity(identity.current);
      if (!closing.aborted) await once(closing, 'abort');
      off();
      answering.close();
      agents.close();
      return;
    } catch (error) {
      probes?.close();
      const why = formatError(error);
      if (why !== told) log.error({ address, port, error: why }, 'Other agents cannot be let in at this address, so no VM can be moved to it; it is tried again every 2 s');
      told = why;
      await systemClock.sleep(TRY_AGAIN, closing);
    }
  }
}
