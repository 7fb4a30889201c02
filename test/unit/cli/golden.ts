import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Compares with golden/NAME.txt; REWRITE=1 writes it instead, and the diff is for reading. */
export function golden(name: string, text: string): void {
  const path = join(import.meta.dirname, 'golden', `${name}.txt`);
  if (process.env['REWRITE'] === '1') writeFileSync(path, `${text}\n`);
  assert.equal(`${text}\n`, readFileSync(path, 'utf8'));
}
