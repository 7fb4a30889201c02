/** Fills the disk that `path` is on, until not one more byte fits. */
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';

export function fillDisk(path: string): void {
  for (let size = 65536; size > 0; ) {
    try {
      appendFileSync(path, Buffer.alloc(size));
    } catch (error) {
      assert.ok(error instanceof Error && 'code' in error && error.code === 'ENOSPC', String(error));
      size >>= 1;
    }
  }
}
