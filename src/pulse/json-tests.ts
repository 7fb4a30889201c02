/** Tests of what came as JSON: whether a value is of the shape that is agreed. By hand: a pulse carries no schema compiler. */

export type Test = (value: unknown) => boolean;

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
export const isBoolean: Test = (value) => typeof value === 'boolean';
export const isText: Test = (value) => typeof value === 'string';
export const isSpan: Test = (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0;
export const within = (least: number, most: number): Test => (value) => Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
export const oneOf = (...values: readonly unknown[]): Test => (value) => values.includes(value);
export const optional = (test: Test): Test => (value) => value === undefined || test(value);
export const listOf = (test: Test): Test => (value) => Array.isArray(value) && value.every(test);
export const shape = (fields: Readonly<Record<string, Test>>): Test => (value) => isRecord(value) && faultOf(fields, value) === undefined;

/** The first field that is not as it should be. */
export function faultOf(fields: Readonly<Record<string, Test>>, value: Readonly<Record<string, unknown>>): string | undefined {
  const wrong = Object.entries(fields).find(([name, test]) => !test(value[name]));
  return wrong && `${wrong[0]} is ${JSON.stringify(value[wrong[0]])}`;
}
