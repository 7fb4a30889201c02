/**
 * Every transcript in switchover/ gives the log it shows. REWRITE=1 writes the log the machine gives instead: read the diff, line by
 * line, before it is kept.
 */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { rerun } from './transcript.ts';

const folder = join(import.meta.dirname, 'switchover');

for (const name of readdirSync(folder).filter((n) => n.endsWith('.txt')).sort()) {
  test(`transcript ${name}`, () => {
    const path = join(folder, name);
    const shown = readFileSync(path, 'utf8');
    const given = rerun(shown);
    if (process.env['REWRITE'] === '1') writeFileSync(path, given);
    else assert.equal(given, shown);
  });
}
