/** docs/ERRORS.md lists the error codes of the sources: all of them and no others. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../../..');
const CODE = /'((?:BASE|WIRE|MODEL|NATIVE|HOST|QMP|VM|STORE|API|TRUST|MOVE|PULSE|MONITOR|PROTOCOL|VRRP|BFD|AGENT|CONTROL|CLI|LAB)_[A-Z0-9_]+)'/g;

test('every error code is documented, and every documented one exists', () => {
  const used = globSync('src/**/*.ts', { cwd: root }).flatMap((path) => [...readFileSync(join(root, path), 'utf8').matchAll(CODE)].map((m) => m[1] ?? ''));
  const documented = [...readFileSync(join(root, 'docs/ERRORS.md'), 'utf8').matchAll(/^\| `([A-Z0-9_]+)`/gm)].map((m) => m[1] ?? '');
  assert.deepEqual(documented, [...new Set(used)].toSorted());
});
