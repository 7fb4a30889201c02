/** What routers hang on and a pulse sees for itself: interfaces, routes and its own BFD sessions. Processes and scripts are the agent's to look at. */
import type { Track } from '../model/virtual-router.ts';
import { parseIpPrefix } from '../wire/ip-prefix.ts';
import type { PulseGround } from './ground.ts';

/** Whether a BFD session is Up; undefined: there is none of that name. */
export type SessionState = (session: string) => boolean | undefined;

/** Undefined: not of the kind that a pulse looks at. Throws DecodeError for a route that is none. */
export function isUp(track: Track, ground: PulseGround, isSessionUp: SessionState): boolean | undefined {
  switch (track.kind) {
    case 'interface': return ground.device(track.interface)?.up ?? false;
    case 'route': {
      const { address, prefixLength } = parseIpPrefix(track.route);
      return ground.hasRoute(address, prefixLength);
    }
    case 'bfd': return isSessionUp(track.bfd);
    case 'process':
    case 'script': return undefined;
  }
}
