/** Amounts as people write them, `512MiB`, `1Gbit/s`, `300ms`, and as numbers. */
import { Type } from 'typebox';
import { GodwitError } from '../base/error.ts';
import { type Bytes, type BytesPerSecond, type Milliseconds, bytes, bytesPerSecond, ms } from '../base/units.ts';

export class QuantityError extends GodwitError {
  constructor(text: string, wanted: string) {
    super('MODEL_QUANTITY', `${JSON.stringify(text)} is not ${wanted}`);
  }
}

const SIZES: Readonly<Record<string, number>> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };
const RATES: Readonly<Record<string, number>> = {
  'bit/s': 1 / 8, 'kbit/s': 125, 'Mbit/s': 125e3, 'Gbit/s': 125e6, 'B/s': 1, 'kB/s': 1e3, 'MB/s': 1e6, 'GB/s': 1e9, 'MiB/s': 2 ** 20, 'GiB/s': 2 ** 30,
};
const TIMES: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000 };

const pattern = (units: Readonly<Record<string, number>>): string => `^\\d+(\\.\\d+)? ?(${Object.keys(units).join('|')})$`;

export const Size = Type.String({ pattern: pattern(SIZES), description: 'a size, like 512MiB or 4GiB' });
export const Rate = Type.String({ pattern: pattern(RATES), description: 'a rate, like 500Mbit/s or 1GB/s' });
export const Duration = Type.String({ pattern: pattern(TIMES), description: 'a time, like 300ms or 30s' });

function parse(text: string, units: Readonly<Record<string, number>>, wanted: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?) ?(\S+)$/.exec(text) ?? [];
  const factor = unit === undefined ? undefined : units[unit];
  if (number === undefined || factor === undefined) throw new QuantityError(text, wanted);
  return Number(number) * factor;
}

/** Throw QuantityError (MODEL_QUANTITY). */
export const parseSize = (text: string): Bytes => bytes(Math.round(parse(text, SIZES, 'a size, like 512MiB')));
export const parseRate = (text: string): BytesPerSecond => bytesPerSecond(Math.round(parse(text, RATES, 'a rate, like 500Mbit/s')));
export const parseDuration = (text: string): Milliseconds => ms(parse(text, TIMES, 'a time, like 300ms'));
