/** Reads what an agent tells a pulse. By hand: a pulse carries no schema compiler. */
import type { RouterPlan, Track } from '../model/virtual-router.ts';
import { PulseLineInvalid } from './errors.ts';
import { type Test, faultOf, isBoolean, isRecord, isSpan, isText, listOf, oneOf, optional, shape, within } from './json-tests.ts';
import type { PulseCommand } from './pulse-protocol.ts';
import { faultOfSession, readSessionsCommand } from './session-command.ts';

/** A plan with something in it that this pulse does not know: an agent of another version told it. */
export interface UnreadPlan {
  readonly name: string;
  readonly reason: string;
}

/** As it was read: one plan that cannot be is no matter of the others. */
export type ReadCommand = PulseCommand & { readonly unread?: readonly UnreadPlan[] };

/** Throws PulseLineInvalid. Whether a plan can be carried out is another question. */
export function decodeCommand(value: unknown): ReadCommand {
  if (!isRecord(value)) throw new PulseLineInvalid('a command that is no object');
  const { kind } = value;
  switch (kind) {
    case 'routers': {
      const { routers } = value;
      if (!Array.isArray(routers)) throw new PulseLineInvalid('routers without a list');
      const bad = routers.filter((plan) => !isPlan(plan)).map((plan) => unread(plan, faultOfPlan));
      return { kind, routers: routers.filter(isPlan), ...(bad.length > 0 && { unread: bad }) };
    }
    case 'sessions': {
      const { command, unread: bad } = readSessionsCommand(value);
      return { ...command, ...(bad.length > 0 && { unread: bad.map((plan) => unread(plan, faultOfSession)) }) };
    }
    case 'tracks': {
      const { up } = value;
      if (!isBooleans(up)) throw new PulseLineInvalid('tracks that are not up or down');
      return { kind, up };
    }
    case 'seen': {
      const { sequence } = value;
      if (typeof sequence !== 'number' || !Number.isSafeInteger(sequence)) throw new PulseLineInvalid('seen without a sequence');
      return { kind, sequence };
    }
    case 'end': {
      const { reason } = value;
      return { kind, reason: typeof reason === 'string' ? reason : 'told to end' };
    }
    default:
      throw new PulseLineInvalid(`there is no command ${JSON.stringify(kind)}`);
  }
}

const unread = (value: unknown, faultIn: (value: unknown) => string | undefined): UnreadPlan =>
  ({ name: nameOf(value), reason: `Agent and pulse do not understand each other: ${faultIn(value)}; are both of the same version?` });

function nameOf(value: unknown): string {
  const name = isRecord(value) ? value['name'] : undefined;
  return typeof name === 'string' ? name : '(without a name)';
}

const isPlan = (value: unknown): value is RouterPlan => faultOfPlan(value) === undefined;

const isBooleans = (value: unknown): value is Readonly<Record<string, boolean>> => isRecord(value) && Object.values(value).every(isBoolean);

const weight = optional(within(-253, 253));
const tracks: Readonly<Record<Track['kind'], Test>> = {
  interface: shape({ interface: isText, weight }),
  route: shape({ route: isText, weight }),
  bfd: shape({ bfd: isText, weight }),
  process: shape({ process: isText, weight }),
  script: shape({ script: isText, weight }),
};
const isTrack: Test = (value) => isRecord(value) && (tracks[isKind(value['kind']) ? value['kind'] : 'script'])(value);
const isKind = (kind: unknown): kind is Track['kind'] => typeof kind === 'string' && kind in tracks;

const plan: Readonly<Record<Exclude<keyof RouterPlan, 'notify'>, Test>> = {
  name: isText, vrid: within(1, 255), version: oneOf(2, 3), family: oneOf(4, 6), device: isText,
  addresses: listOf(shape({ address: isText, prefixLength: within(0, 128) })),
  source: optional(isText), priority: within(1, 255), interval: isSpan, virtualMac: isBoolean, preempt: isBoolean, preemptDelay: isSpan,
  accept: isBoolean, checksum: oneOf('pseudo-header', 'rfc9568'), peers: listOf(isText), minTtl: within(1, 255), group: optional(isText),
  announce: shape({ count: within(1, 1000), interval: isSpan, refresh: optional(isSpan) }),
  track: listOf(isTrack),
};

const faultOfPlan = (value: unknown): string | undefined => (isRecord(value) ? faultOf(plan, value) : 'it is no object');
