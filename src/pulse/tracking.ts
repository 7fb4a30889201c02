/** What routers hang on and a pulse sees for itself: interfaces and routes. Processes and scripts are the agent's to look at. */
import type { Track } from '../model/virtual-router.ts';
import { parseIpPrefix } from '../wire/ip-prefix.ts';
import type { PulseGround } from './ground.ts';

/** Undefined: not of the kind that a pulse looks at. Throws DecodeError for a route that is none. */
export function isUp(track: Track, ground: PulseGround): boolean | undefined {
  switch (track.kind) {
    case 'interface': return ground.device(track.interface)?.up ?? false;
    case 'route': {
      const { address, prefixLength } = parseIpPrefix(track.route);
      return ground.hasRoute(address, prefixLength);
    }
    case 'process':
    case 'script': return undefined;
  }
}
