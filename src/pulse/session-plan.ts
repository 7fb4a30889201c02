/** A BFD session's plan, read: texts into addresses, keys looked up, and what of it cannot be, in words. */
import { type Milliseconds, ms } from '../base/units.ts';
import type { BfdSessionPlan } from '../model/bfd-session.ts';
import { type BfdPlan, checkPlans, pathKey } from '../protocol/bfd-plan.ts';
import type { BfdAuthentication, BfdKey } from '../wire/bfd-auth.ts';
import type { BfdPath } from '../wire/bfd.ts';
import { parseIpAddress } from '../wire/ip-address.ts';
import { isLinkLocal } from '../wire/vrrp.ts';
import { DecodeError } from '../wire/wire.ts';
import { PlanImpossible } from './errors.ts';
import { GodwitError, formatError } from '../base/error.ts';

/** By file name, base64. */
export type SessionKeys = Readonly<Record<string, string>>;

export interface ReadSession {
  readonly plan: BfdSessionPlan;
  /** With its keys, so that one comparison tells whether anything changed. */
  readonly text: string;
  readonly bfd: BfdPlan;
}

export interface ImpossibleSession {
  readonly name: string;
  readonly reason: string;
}

export interface ReadSessions {
  readonly wanted: readonly ReadSession[];
  readonly impossible: readonly ImpossibleSession[];
}

/** Those that did not change are the same objects as in `before`. What cannot be is no matter of the others; of twins the first stays. */
export function readSessions(plans: readonly BfdSessionPlan[], keys: SessionKeys, before: ReadonlyMap<string, ReadSession>): ReadSessions {
  const wanted = new Map<string, ReadSession>();
  const ways = new Map<string, string>();
  const impossible: ImpossibleSession[] = [];
  for (const plan of plans) {
    const { name } = plan;
    try {
      const text = textOf(plan, keys);
      const known = before.get(name);
      const read = known?.text === text ? known : { plan, text, bfd: readSession(plan, keys) };
      const way = pathKey(read.bfd.path);
      const twin = ways.get(way);
      if (wanted.has(name)) throw new PlanImpossible(`There is another session called ${name}`);
      if (twin !== undefined) throw new PlanImpossible(`Session ${twin} runs between the same ends: keep one of them`);
      wanted.set(name, read);
      ways.set(way, name);
    } catch (error) {
      if (!(error instanceof GodwitError)) throw error;
      impossible.push({ name, reason: formatError(error) });
    }
  }
  return { wanted: [...wanted.values()], impossible };
}

const textOf = (plan: BfdSessionPlan, keys: SessionKeys): string =>
  JSON.stringify([plan, plan.authentication?.keys.map(({ file }) => keys[file])]);

/** @throws PlanImpossible, BfdPlanError */
function readSession(plan: BfdSessionPlan, keys: SessionKeys): BfdPlan {
  const { name, interval, receive, multiplier, echo, echoReceive, disabled } = plan;
  const read: BfdPlan = {
    name, path: pathOf(plan), authentication: authenticationOf(plan, keys), ...(disabled !== undefined && { disabled }),
    settings: {
      desiredMinTx: ms(interval), requiredMinRx: ms(receive), detectMult: multiplier, requiredMinEchoRx: ms(echoReceive),
      ...(echo !== undefined && { echo: ms(echo) }),
    },
  };
  checkPlans([read]);
  return read;
}

function pathOf({ peer: text, way }: BfdSessionPlan): BfdPath {
  const peer = addressOf(text);
  if (peer.isMulticast || peer.isUnspecified) throw new PlanImpossible(`${peer} is no address that a peer can have`);
  if (way.hops === 'single') return { hops: 'single', peer, interface: way.interface };
  if (isLinkLocal(peer)) {
    throw new PlanImpossible(`${peer} is on this link alone, and several hops lead to other links: name another address of the peer`);
  }
  return { hops: 'multi', peer, local: addressOf(way.local), minTtl: way.minTtl };
}

function addressOf(text: string): BfdPath['peer'] {
  try {
    return parseIpAddress(text);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new PlanImpossible('One of its addresses cannot be read', error);
  }
}

function authenticationOf({ authentication }: BfdSessionPlan, known: SessionKeys): BfdAuthentication | undefined {
  if (!authentication) return undefined;
  const [first, ...rest] = authentication.keys.map(({ id, file }): BfdKey => {
    const secret = known[file];
    if (secret === undefined) throw new PlanImpossible(`Its key ${id} is in the file ${file}, which this host's agent could not read`);
    return { id, secret: new Uint8Array(Buffer.from(secret, 'base64')) };
  });
  if (!first) throw new PlanImpossible('It is to be authenticated, and has no keys');
  return { kind: authentication.type, keys: [first, ...rest] };
}

/** How long the slowest of these two needs for a packet at first: what is not Up sends once a second (RFC 5880 §6.8.3). */
export const firstInterval = ({ bfd: { settings } }: ReadSession): Milliseconds => ms(Math.max(1000, settings.requiredMinRx));
