/** Lets the agents of other hosts in, over TLS, and answers their probes of the path at the same port of UDP, as soon as what an earlier agent left of moves into this host has been settled. */
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
  readonly address: string;
  readonly port: number;
  readonly log: Log;
}

const TRY_AGAIN = seconds(2);

/** The mover's moves, which end with the service. An address that is not there yet, or a port that is taken, is tried again. */
export function withPeers(mover: Mover, options: PeerServiceOptions): Moves {
  const closing = new AbortController();
  const listening = serve(mover, options, closing.signal);
  return {
    want: (moves) => mover.want(moves),
    reports: () => mover.reports(),
    incoming: () => mover.incoming(),
    acknowledged: (migrations) => mover.acknowledged(migrations),
    close: async () => {
      closing.abort();
      // Not one after the other: what an earlier agent left may be settled only by giving it up, and nobody is let in before.
      await Promise.all([mover.close(), listening.then((service) => service?.close())]);
    },
  };
}

async function serve(mover: Mover, { host, identity, address, port, log }: PeerServiceOptions, closing: AbortSignal): Promise<{ close(): void } | undefined> {
  const refused = (error: unknown, from: string | undefined): void => log.warn({ from, error: formatError(error) }, 'Somebody who is no agent of this cluster was turned away');
  await mover.ready;
  while (!closing.aborted) {
    let probes: { close(): void } | undefined;
    try {
      const answering = (probes = await answerPathProbes(host, parseIpAddress(address), port));
      const agents = await listenTls(identity.current, { address, port }, () => systemClock.now(), (connection) => mover.peers.accept(connection), refused);
      const off = identity.onRenewed((renewed) => agents.useIdentity(renewed));
      agents.useIdentity(identity.current);
      return {
        close: () => {
          off();
          answering.close();
          agents.close();
        },
      };
    } catch (error) {
      probes?.close();
      log.error({ address, port, error: formatError(error) }, 'Other agents cannot be let in, so no VM can be moved to this host; it is tried again');
      await systemClock.sleep(TRY_AGAIN, closing);
    }
  }
  return undefined;
}
