/** What a host is to run of BFD, looked up and parsed, and what of it cannot be. */
import { GodwitError } from '../base/error.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { type BfdAuthentication, checkAuthentication } from '../wire/bfd-auth.ts';
import type { BfdPath } from '../wire/bfd.ts';
import { EncodeError } from '../wire/wire.ts';
import type { BfdSettings } from './bfd.ts';

export interface BfdPlan {
  readonly name: string;
  readonly path: BfdPath;
  readonly settings: BfdSettings;
  readonly authentication?: BfdAuthentication | undefined;
  /** AdminDown, and why. */
  readonly disabled?: string | undefined;
}

/** Code `BFD_PLAN_IMPOSSIBLE`. */
export class BfdPlanError extends GodwitError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('BFD_PLAN_IMPOSSIBLE', message, options);
  }
}

type Way =
  | { readonly hops: 'single'; readonly peer: IpAddress; readonly interface: string }
  | { readonly hops: 'multi'; readonly peer: IpAddress; readonly local: IpAddress };

/** Sessions with the same could not be told apart: RFC 5881 §3, RFC 5883 §4. */
export const pathKey = (way: Way): string => (way.hops === 'single' ? `${way.peer}%${way.interface}` : `${way.peer}>${way.local}`);

/** 2^32 - 1 µs. */
const LONGEST = 4_294_967.295;

/** @throws BfdPlanError */
export function checkPlans(plans: readonly BfdPlan[]): void {
  const names = new Set<string>();
  const paths = new Map<string, string>();
  for (const plan of plans) {
    const { name, path } = plan;
    if (names.has(name)) throw new BfdPlanError(`Two BFD sessions are called ${name}. Give each a name of its own.`);
    names.add(name);
    const key = pathKey(path);
    const other = paths.get(key);
    if (other !== undefined) throw new BfdPlanError(`BFD sessions ${other} and ${name} run between the same ends. Keep one of them.`);
    paths.set(key, name);
    const wrong = faultOf(plan);
    if (wrong !== undefined) throw new BfdPlanError(`BFD session ${name}: ${wrong}`);
    try {
      if (plan.authentication) checkAuthentication(plan.authentication);
    } catch (error) {
      if (!(error instanceof EncodeError)) throw error;
      throw new BfdPlanError(`BFD session ${name} has a key that cannot be.`, { cause: error });
    }
  }
}

function faultOf({ path, settings }: BfdPlan): string | undefined {
  const { detectMult, desiredMinTx, requiredMinRx, requiredMinEchoRx, echo } = settings;
  if (!Number.isInteger(detectMult) || detectMult < 1 || detectMult > 255) return `its detect multiplier is ${detectMult}; give 1..255.`;
  for (const [what, value] of Object.entries({ desiredMinTx, requiredMinRx, echo })) {
    if (value !== undefined && !isInterval(value)) return `${what} is ${value} ms; give 0.001 to ${LONGEST} in steps of 0.001.`;
  }
  if (requiredMinEchoRx !== 0 && !isInterval(requiredMinEchoRx)) {
    return `requiredMinEchoRx is ${requiredMinEchoRx} ms; give 0 to ${LONGEST} in steps of 0.001.`;
  }
  if (path.hops === 'single') return undefined;
  if (echo !== undefined || requiredMinEchoRx !== 0) return 'echoes do not go over several hops (RFC 5883 §3). Leave them out.';
  if (path.local.family !== path.peer.family) return `${path.local} and ${path.peer} are not of one family.`;
  if (!Number.isInteger(path.minTtl) || path.minTtl < 1 || path.minTtl > 255) return `its minimum TTL is ${path.minTtl}; give 1..255.`;
  return undefined;
}

const isInterval = (value: number): boolean =>
  value >= 0.001 && value <= LONGEST && Math.abs(value * 1000 - Math.round(value * 1000)) < 1e-3;
