/** What an administrator may set for the whole cluster: the one Policy resource, `default`. */
import { Type, type Static } from 'typebox';
import { Duration, parseDuration } from './quantity.ts';
import { detectionSpecs } from './detection-policy.ts';
import { closed, declaration, type Resource } from './resource.ts';

export const defaultMovePolicy = {
  lastPass: '4ms', patience: '8s', lastPassLate: '20ms', maxCopy: '30min', maxPause: '300ms', maxEmptying: '300ms', quiet: '100ms', maxDrain: '5s', movesPerVm: 4,
} as const;
const SILENT_AFTER = '5s';
const defaultAnnounce = { count: 3, interval: '1s' } as const;

const time = (description: string, byDefault: string) => Type.Optional({ ...Duration, description, default: byDefault });

export const PolicySpec = Type.Object(
  {
    moves: Type.Optional(
      Type.Object(
        {
          lastPass: time('the guest is stopped when what remains can be sent in this time', defaultMovePolicy.lastPass),
          patience: time('how long the copy may try for that', defaultMovePolicy.patience),
          lastPassLate: time('what is taken instead, after that', defaultMovePolicy.lastPassLate),
          maxCopy: time('a copy that has not come so far after this is given up', defaultMovePolicy.maxCopy),
          maxPause: time('a guest that stood still for this long goes back', defaultMovePolicy.maxPause),
          maxEmptying: time('how long the guest may take to read its network queues', defaultMovePolicy.maxEmptying),
          quiet: time('the redirect stays until no frame came through it for this long', defaultMovePolicy.quiet),
          maxDrain: time('… but no longer than this', defaultMovePolicy.maxDrain),
          /** EVPN freezes a MAC that moved 5 times in 180 s (RFC 7432 §15.1). */
          movesPerVm: Type.Optional(Type.Integer({ minimum: 1, maximum: 4, default: defaultMovePolicy.movesPerVm, description: 'of one VM in 3 minutes' })),
        },
        closed,
      ),
    ),
    announce: Type.Optional(
      Type.Object(
        {
          count: Type.Optional(Type.Integer({ minimum: 0, maximum: 20, default: defaultAnnounce.count, description: 'how often a VM that has moved is announced again' })),
          interval: time('until the first of these; doubled each time', defaultAnnounce.interval),
        },
        closed,
      ),
    ),
    ...detectionSpecs,
    hosts: Type.Optional(Type.Object({ silentAfter: time('a host whose agent has not reported for this long is silent', SILENT_AFTER) }, closed)),
  },
  closed,
);
export type PolicySpec = Static<typeof PolicySpec>;
export const PolicyDeclaration = declaration('Policy', PolicySpec);
export type PolicyResource = Resource<'Policy', PolicySpec, never>;

/** In ms. */
export function movePolicy(spec: PolicySpec | undefined) {
  const set = { ...defaultMovePolicy, ...spec?.moves };
  return {
    lastPass: parseDuration(set.lastPass), patience: parseDuration(set.patience), lastPassLate: parseDuration(set.lastPassLate),
    maxCopy: parseDuration(set.maxCopy), maxPause: parseDuration(set.maxPause), maxEmptying: parseDuration(set.maxEmptying),
    quiet: parseDuration(set.quiet), maxDrain: parseDuration(set.maxDrain), movesPerVm: set.movesPerVm,
  };
}

/** When a VM that has moved is announced again, beside what the move itself says: `interval` in ms. */
export interface AnnounceAgain {
  readonly count: number;
  readonly interval: number;
}

export function announcePolicy(spec: PolicySpec | undefined): AnnounceAgain {
  const { count, interval } = { ...defaultAnnounce, ...spec?.announce };
  return { count, interval: parseDuration(interval) };
}

export const silentAfter = (spec: PolicySpec | undefined) => parseDuration(spec?.hosts?.silentAfter ?? SILENT_AFTER);
