/** The agent's records as they lie on its disk, one JSON file each, checked when they are read and when they are written. */
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { WantedMove } from '../api/agent-protocol.ts';
import { NetworkSpec } from '../model/network.ts';
import { Name } from '../model/resource.ts';
import { type Placement, VmSpec } from '../model/vm-spec.ts';
import { RecordInvalid } from './errors.ts';
import type { Place } from '../move/hypervisor.ts';

/** A VM as it was started or received: what its QEMU is found again by. */
export interface VmRecord {
  readonly name: string;
  readonly spec: VmSpec;
  readonly networks: Readonly<Record<string, NetworkSpec>>;
  readonly placement: Placement;
  readonly place: Place;
  /** Wanted so, when it was last heard: a QEMU that ends although it is was not stopped. */
  readonly running: boolean;
  /** The last order to start it that was followed, or the move by which it came. There is no second try of the same. */
  readonly run?: Run;
  /** It never runs here again for this epoch or an older one. Without `move` it was removed. */
  readonly givenAway?: { readonly epoch: number; readonly move?: string };
}

export interface Run {
  readonly epoch: number;
  readonly start: number;
  /** `starting` is on the disk before QEMU is started: who finds it after a restart does not know how far that came. */
  readonly state: 'starting' | 'up' | 'stopped' | 'ended';
  readonly reason?: string;
}

/** A move in progress: on the disk before anything is done for it, removed when nothing is left to do. */
export interface MoveRecord {
  readonly wanted: WantedMove;
  readonly place: Place;
  /** At a destination: the VM as its source has it. */
  readonly incoming?: Pick<VmRecord, 'spec' | 'networks' | 'placement'>;
}

const Count = Type.Integer({ minimum: 0 });
const PlacementSchema = Type.Object({ host: Type.String(), epoch: Count, start: Count });
const PlaceSchema = Type.Object({ runDirectory: Type.String({ pattern: '^/' }), id: Type.String({ pattern: '^[a-z0-9]{1,8}$' }) });
const Vm = { spec: VmSpec, networks: Type.Record(Type.String(), NetworkSpec), placement: PlacementSchema };
const State = Type.Union([Type.Literal('starting'), Type.Literal('up'), Type.Literal('stopped'), Type.Literal('ended')]);
const Decision = Type.Union([Type.Literal('committed'), Type.Literal('aborted')]);
const Milliseconds = Type.Number({ minimum: 0 });

const vmCheck = Compile(
  Type.Object({
    version: Type.Literal(1), name: Name, ...Vm, place: PlaceSchema, running: Type.Boolean(),
    run: Type.Optional(Type.Object({ epoch: Count, start: Count, state: State, reason: Type.Optional(Type.String()) })),
    givenAway: Type.Optional(Type.Object({ epoch: Count, move: Type.Optional(Type.String()) })),
  }),
);
const moveCheck = Compile(
  Type.Object({
    version: Type.Literal(1),
    wanted: Type.Object({
      migration: Type.String(), move: Type.String({ pattern: '^[0-9a-f]{6}$' }),
      role: Type.Union([Type.Literal('source'), Type.Literal('destination')]), vm: Name, epoch: Count,
      peer: Type.Object({ host: Type.String(), address: Type.String(), port: Count }), local: Type.Optional(Type.String()),
      token: Type.String(), maxBandwidth: Type.Number({ exclusiveMinimum: 0 }),
      policy: Type.Object({
        lastPass: Milliseconds, patience: Milliseconds, lastPassLate: Milliseconds, maxCopy: Milliseconds,
        maxPause: Milliseconds, maxEmptying: Milliseconds, quiet: Milliseconds, maxDrain: Milliseconds,
      }),
      announce: Type.Optional(Type.Object({ count: Count, interval: Milliseconds })),
      dryRun: Type.Boolean(), cancel: Type.Boolean(), decision: Type.Optional(Decision),
    }),
    place: PlaceSchema,
    incoming: Type.Optional(Type.Object(Vm)),
  }),
);

const isVm = (value: unknown): value is VmRecord => vmCheck.Check(value);
const isMove = (value: unknown): value is MoveRecord => moveCheck.Check(value);

export const encodeVm = (path: string, record: VmRecord): Uint8Array => encode(path, record, isVm, vmCheck);
export const encodeMove = (path: string, record: MoveRecord): Uint8Array => encode(path, record, isMove, moveCheck);
/** These two throw RecordInvalid. */
export const decodeVm = (path: string, data: Uint8Array): VmRecord => decode(path, data, isVm, vmCheck);
export const decodeMove = (path: string, data: Uint8Array): MoveRecord => decode(path, data, isMove, moveCheck);

interface Check {
  Errors(value: unknown): readonly { readonly instancePath: string; readonly message: string }[];
}

/** What could not be read again is not written in the first place. */
function encode<T extends object>(path: string, record: T, is: (value: unknown) => value is T, check: Check): Uint8Array {
  const data = new TextEncoder().encode(`${JSON.stringify({ version: 1, ...record })}\n`);
  decode(path, data, is, check);
  return data;
}

function decode<T>(path: string, data: Uint8Array, is: (value: unknown) => value is T, check: Check): T {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data));
  } catch (error) {
    throw new RecordInvalid(path, error instanceof Error ? error.message : 'not JSON');
  }
  if (is(value)) return value;
  const [fault] = check.Errors(value);
  throw new RecordInvalid(path, fault ? `${fault.instancePath || '/'}: ${fault.message}` : 'it does not fit');
}
