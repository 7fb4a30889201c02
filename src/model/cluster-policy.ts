/** What an administrator may set for the whole cluster: the one Policy resource, `default`. */
import { Type, type Static } from 'typebox';
import { seconds } from '../base/units.ts';
import { Duration, parseDuration } from './quantity.ts';
import { closed, declaration, type Resource } from './resource.ts';

const time = (description: string, byDefault: string) => Type.Optional({ ...Duration, description, default: byDefault });

export const PolicySpec = Type.Object(
  {
    moves: Type.Optional(
      Type.Object(
        {
          lastPass: time('the guest is stopped when what remains can be sent in this time', '4ms'),
          patience: time('how long the copy may try for that', '8s'),
          lastPassLate: time('what is taken instead, after that', '20ms'),
          maxCopy: time('a copy that has not come so far after this is given up', '30min'),
          maxPause: time('a guest that stood still for this long goes back', '300ms'),
          maxEmptying: time('how long the guest may take to read its network queues', '300ms'),
          quiet: time('the redirect stays until no frame came through it for this long', '100ms'),
          maxDrain: time('… but no longer than this', '5s'),
          /** EVPN freezes a MAC that moved 5 times in 180 s (RFC 7432 §15.1). */
          movesPerVm: Type.Optional(Type.Integer({ minimum: 1, maximum: 4, default: 4, description: 'of one VM in 3 minutes' })),
        },
        closed,
      ),
    ),
    hosts: Type.Optional(Type.Object({ silentAfter: time('a host whose agent has not reported for this long is silent', '5s') }, closed)),
  },
  closed,
);
export type PolicySpec = Static<typeof PolicySpec>;
export const PolicyDeclaration = declaration('Policy', PolicySpec);
export type PolicyResource = Resource<'Policy', PolicySpec, never>;

export const defaultMovePolicy = {
  lastPass: '4ms', patience: '8s', lastPassLate: '20ms', maxCopy: '30min', maxPause: '300ms', maxEmptying: '300ms', quiet: '100ms', maxDrain: '5s', movesPerVm: 4,
} as const;

/** In ms. */
export function movePolicy(spec: PolicySpec | undefined) {
  const set = { ...defaultMovePolicy, ...spec?.moves };
  return {
    lastPass: parseDuration(set.lastPass), patience: parseDuration(set.patience), lastPassLate: parseDuration(set.lastPassLate),
    maxCopy: parseDuration(set.maxCopy), maxPause: parseDuration(set.maxPause), maxEmptying: parseDuration(set.maxEmptying),
    quiet: parseDuration(set.quiet), maxDrain: parseDuration(set.maxDrain), movesPerVm: set.movesPerVm,
  };
}

export const silentAfter = (spec: PolicySpec | undefined) => (spec?.hosts?.silentAfter === undefined ? seconds(5) : parseDuration(spec.hosts.silentAfter));
