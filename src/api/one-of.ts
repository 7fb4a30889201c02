/** One of these words, as a schema. */
import { Type } from 'typebox';

export const oneOf = <const T extends readonly string[]>(words: T) => Type.Unsafe<T[number]>({ type: 'string', enum: words });
