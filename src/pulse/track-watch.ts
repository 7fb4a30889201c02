/** What this host's routers hang on: what a pulse sees for itself, looked at again only when news may have changed it, and what it is told. */
import type { Milliseconds } from '../base/units.ts';
import type { Track } from '../model/virtual-router.ts';
import { type HostEffect, type VrrpHost, trackKey } from '../protocol/vrrp-host.ts';
import { parseIpPrefix, prefixText } from '../wire/ip-prefix.ts';
import type { GroundChange, PulseGround } from './ground.ts';
import { type SessionState, isUp } from './tracking.ts';

interface Watched {
  readonly track: Track;
  /** Of a route: as the ground writes it. */
  readonly prefix: string | undefined;
}

export class TrackWatch {
  readonly #ground: PulseGround;
  readonly #host: VrrpHost;
  readonly #isSessionUp: SessionState;
  #watched: ReadonlyMap<string, Watched> = new Map();
  /** To be looked at; `true` where the news said it already: a table of routes takes some ms to read, and must not be read for each. */
  readonly #stale = new Map<string, true | 'look'>();
  /** What the agent looks at, as it last said. */
  readonly #told = new Set<string>();

  constructor(ground: PulseGround, host: VrrpHost, isSessionUp: SessionState) {
    this.#ground = ground;
    this.#host = host;
    this.#isSessionUp = isSessionUp;
  }

  /** Instead of what was watched. */
  want(tracks: readonly Track[]): void {
    const watched = new Map<string, Watched>();
    for (const track of tracks) {
      const key = trackKey(track);
      if (watched.has(key)) continue;
      const prefix = track.kind === 'route' ? prefixText(parseIpPrefix(track.route)) : undefined;
      watched.set(key, { track, prefix });
      if (!this.#watched.has(key)) this.#stale.set(key, 'look');
    }
    this.#watched = watched;
  }

  note(change: GroundChange): void {
    for (const [key, { track, prefix }] of this.#watched) {
      if (change.kind === 'all') this.#stale.set(key, 'look');
      else if (change.kind === 'device') {
        // With a link its routes go, without a word.
        if (track.kind === 'interface' ? track.interface === change.name : !change.up && track.kind === 'route') this.#stale.set(key, 'look');
      } else if (change.kind === 'route' && prefix === prefixText({ address: change.to, prefixLength: change.prefixLength })) {
        // There may be another to the same prefix.
        this.#stale.set(key, change.removed ? 'look' : true);
      }
    }
  }

  /** A BFD session came Up, or is so no longer, or is there no more. */
  noteSession(bfd: string): void {
    const key = trackKey({ kind: 'bfd', bfd });
    if (this.#watched.has(key)) this.#stale.set(key, 'look');
  }

  /** What has become of all that was noted. */
  read(now: Milliseconds): HostEffect[] {
    const stale = [...this.#stale];
    this.#stale.clear();
    return stale.flatMap(([key, known]) => {
      const track = this.#watched.get(key)?.track;
      const up = track && (known === true || isUp(track, this.#ground, this.#isSessionUp));
      // The rest is told by the agent; a session that is not there is not known, and counts as up.
      return up === undefined && track?.kind !== 'bfd' ? [] : this.#host.track(key, up, now);
    });
  }

  /** By the agent; what is not listed is not known. */
  told(up: Readonly<Record<string, boolean>>, now: Milliseconds): HostEffect[] {
    const gone = [...this.#told].filter((key) => !(key in up));
    this.#told.clear();
    for (const key of Object.keys(up)) this.#told.add(key);
    return [...gone.map((key) => [key, undefined] as const), ...Object.entries(up)].flatMap(([key, is]) => this.#host.track(key, is, now));
  }
}
