/**
 * What agents say of BFD and of each other (model/bfd-session.ts, protocol/failure-detector.ts), as schemas. Closed: what is kept as the
 * evidence of an event has a known size.
 */
import { Type, type TProperties } from 'typebox';
import type { Milliseconds } from '../base/units.ts';
import { type BfdDiagnostic, bfdDiagnostics, bfdStates } from '../wire/bfd.ts';
import { Name, closed } from '../model/resource.ts';
import { oneOf } from './one-of.ts';

const Text = Type.String({ maxLength: 8192 });
const Word = Type.String({ maxLength: 64 });
const Count = Type.Integer({ minimum: 0 });
/** By reason, by errno. */
const Counts = Type.Record(Word, Count, { maxProperties: 64 });
/** ms */
const Span = Type.Number({ minimum: 0 });
const Spell = Type.Unsafe<Milliseconds>({ type: 'number', minimum: 0 });
const exactly = <const P extends TProperties>(properties: P) => Type.Object(properties, closed);

const State = oneOf(bfdStates);
const Diagnostic = Type.Unsafe<BfdDiagnostic>({ type: 'string', enum: Object.keys(bfdDiagnostics) });
/** Of a declared one, or `PEER/PATH`. */
export const SESSION_NAME = '^[a-z0-9-]{1,40}(/[a-z0-9-]{1,40})?$';

const Down = exactly({
  at: Type.Number(), diagnostic: Diagnostic, rule: Text,
  silence: Type.Optional(Span), detectionTime: Type.Optional(Span), missed: Type.Optional(Span), ownLateness: Type.Optional(Span),
});

export const BfdTransitionSchema = exactly({
  sequence: Count,
  pulse: Type.String({ minLength: 1, maxLength: 64 }),
  session: Type.String({ pattern: SESSION_NAME }),
  at: Type.Number(),
  from: State,
  to: State,
  diagnostic: Diagnostic,
  rule: Text,
  down: Type.Optional(Down),
  lateness: exactly({ now: Type.Number(), worst: Type.Number() }),
});

export const BfdStatusSchema = exactly({
  state: State,
  since: Type.Number(),
  reason: Type.Optional(Text),
  diagnostic: Diagnostic,
  remote: Type.Optional(exactly({ state: State, diagnostic: Diagnostic, discriminator: Count })),
  discriminator: Count,
  send: Span,
  receive: Span,
  detectionTime: Span,
  echo: Type.Optional(exactly({ active: Type.Boolean(), interval: Span, roundTrip: Type.Optional(Span) })),
  counters: exactly({
    sent: Count, heard: Count, echoesSent: Count, echoesHeard: Count, ups: Count, downs: Count, dropped: Counts, unsent: Counts,
  }),
  lastDown: Type.Optional(Down),
});

const PathOpinion = exactly({
  path: Name,
  state: oneOf(['heard', 'silent', 'unknown'] as const),
  silence: Spell,
  timeout: Spell,
  phi: Span,
  // `undefined` does not travel as JSON: not known is not there.
  falseAlarmsPerDay: Type.Optional(Span),
  probes: Span,
  arrivals: Span,
  heardThere: Type.Optional(Type.Boolean()),
});

export const PeerOpinionSchema = exactly({
  peer: Name,
  paths: Type.Array(PathOpinion, { maxItems: 16 }),
  hearsOthers: Type.Optional(Type.Boolean()),
  health: exactly({ score: Span, worstLateness: Spell, sleptAgo: Type.Optional(Spell), unwell: Type.Boolean() }),
});
