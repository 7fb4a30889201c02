/** Reads what an agent tells a pulse. By hand: a pulse carries no schema compiler. */
import type { RouterPlan, Track } from '../model/virtual-router.ts';
import { PulseLineInvalid } from './errors.ts';
import type { PulseCommand } from './pulse-protocol.ts';

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
      const bad = routers.filter((plan) => !isPlan(plan)).map(unread);
      return { kind, routers: routers.filter(isPlan), ...(bad.length > 0 && { unread: bad }) };
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

const unread = (value: unknown): UnreadPlan =>
  ({ name: nameOf(value), reason: `Agent and pulse do not understand each other: ${faultOfPlan(value)}; are both of the same version?` });

function nameOf(value: unknown): string {
  const name = isRecord(value) ? value['name'] : undefined;
  return typeof name === 'string' ? name : '(without a name)';
}

const isPlan = (value: unknown): value is RouterPlan => faultOfPlan(value) === undefined;

type Test = (value: unknown) => boolean;
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value);
const isBooleans = (value: unknown): value is Readonly<Record<string, boolean>> => isRecord(value) && Object.values(value).every(isBoolean);
const isBoolean: Test = (value) => typeof value === 'boolean';
const isText: Test = (value) => typeof value === 'string';
const within = (least: number, most: number): Test => (value) => Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
const isSpan: Test = (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0;
const oneOf = (...values: readonly unknown[]): Test => (value) => values.includes(value);
const optional = (test: Test): Test => (value) => value === undefined || test(value);
const listOf = (test: Test): Test => (value) => Array.isArray(value) && value.every(test);
const shape = (fields: Readonly<Record<string, Test>>): Test => (value) => isRecord(value) && faultOf(fields, value) === undefined;

/** The first field that is not as it should be. */
function faultOf(fields: Readonly<Record<string, Test>>, value: Readonly<Record<string, unknown>>): string | undefined {
  const wrong = Object.entries(fields).find(([name, test]) => !test(value[name]));
  return wrong && `${wrong[0]} is ${JSON.stringify(value[wrong[0]])}`;
}

const weight = optional(within(-253, 253));
const tracks: Readonly<Record<Track['kind'], Test>> = {
  interface: shape({ interface: isText, weight }),
  route: shape({ route: isText, weight }),
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
