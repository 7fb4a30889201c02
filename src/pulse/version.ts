import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Of this Godwit, as its package says: an agent and its pulse are to be of the same. */
export function ownVersion(): string {
  const found: unknown = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'));
  return typeof found === 'object' && found !== null && 'version' in found ? String(found.version) : 'unknown';
}
