/** Reads the `sessions` command of an agent. */
import type { BfdSessionPlan } from '../model/bfd-session.ts';
import { PulseLineInvalid } from './errors.ts';
import { type Test, faultOf, isRecord, isSpan, isText, listOf, oneOf, optional, shape, within } from './json-tests.ts';
import type { PulseCommand } from './pulse-protocol.ts';

type SessionsCommand = Extract<PulseCommand, { kind: 'sessions' }>;

const single = shape({ hops: oneOf('single'), interface: isText });
const multi = shape({ hops: oneOf('multi'), local: isText, minTtl: within(1, 255) });

const plan: Readonly<Record<keyof BfdSessionPlan, Test>> = {
  name: isText, peer: isText, way: (value) => single(value) || multi(value), interval: isSpan, receive: isSpan, multiplier: within(1, 255),
  echo: optional(isSpan), echoReceive: isSpan,
  authentication: optional(shape({
    type: oneOf('simple', 'sha1', 'meticulous-sha1'), keys: listOf(shape({ id: within(0, 255), file: isText })),
  })),
  disabled: optional(isText), watches: optional(shape({ host: isText, path: isText })),
};

/** What is wrong with a plan; undefined: nothing. */
export const faultOfSession = (value: unknown): string | undefined => (isRecord(value) ? faultOf(plan, value) : 'it is no object');

const isSession = (value: unknown): value is BfdSessionPlan => faultOfSession(value) === undefined;
const isKeys = (value: unknown): value is Readonly<Record<string, string>> => isRecord(value) && Object.values(value).every(isText);
const isDetector = (value: unknown): value is SessionsCommand['detector'] =>
  shape({ falseAlarmsPerDay: (share) => isSpan(share) && share !== 0, floor: isSpan, ceiling: isSpan })(value);

/** Throws PulseLineInvalid. The plans that cannot be read are given apart. */
export function readSessionsCommand(
  { sessions, keys, detector }: Readonly<Record<string, unknown>>,
): { readonly command: SessionsCommand; readonly unread: readonly unknown[] } {
  if (!Array.isArray(sessions)) throw new PulseLineInvalid('sessions without a list');
  if (!isKeys(keys)) throw new PulseLineInvalid('sessions with keys that are no texts');
  if (!isDetector(detector)) throw new PulseLineInvalid('sessions without a detector\'s policy');
  return {
    command: { kind: 'sessions', sessions: sessions.filter(isSession), keys, detector },
    unread: sessions.filter((value) => !isSession(value)),
  };
}
