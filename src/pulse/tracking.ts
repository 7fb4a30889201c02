/** What routers hang on and a pulse sees for itself: interfaces and routes. Processes and scripts are the agent's to look at. */
import type { Track } from '../model/virtual-router.ts';
import { parseIpAddress } from '../wire/ip-address.ts';
import type { PulseGround } from './ground.ts';

/** Undefined: not of the kind that a pulse looks at. Throws DecodeError for a route that is none. */
export function isUp(track: Track, ground: PulseGround): boolean | undefined {
  switch (track.kind) {
    case 'interface': return ground.device(track.interface)?.up ?? false;
    case 'route': {
      const { to, prefixLength } = parsePrefix(track.route);
      return ground.hasRoute(to, prefixLength);
    }
    case 'process':
    case 'script': return undefined;
  }
}

/** An address alone is a host's: /32 or /128. Throws DecodeError. */
export function parsePrefix(text: string): { readonly to: ReturnType<typeof parseIpAddress>; readonly prefixLength: number } {
  const [address = '', length] = text.split('/');
  const to = parseIpAddress(address);
  return { to, prefixLength: length === undefined ? to.bytes().length * 8 : Number(length) };
}

export function describeTrack(track: Track): string {
  switch (track.kind) {
    case 'interface': return `interface ${track.interface}`;
    case 'route': return `route ${track.route}`;
    case 'process': return `process ${track.process}`;
    case 'script': return `script ${track.script}`;
  }
}
