import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { KeyUnusable, type ReadKey, keysOf } from '../../../src/agent/session-keys.ts';

function folder(t: TestContext): { readonly path: string; readonly key: ReadKey; write(name: string, text: string, mode?: number): string } {
  const path = mkdtempSync(join(tmpdir(), 'gwa-keys-'));
  t.after(() => rmSync(path, { recursive: true }));
  return {
    path, key: keysOf(path),
    write: (name, text, mode = 0o600) => {
      const file = join(path, name);
      writeFileSync(file, text, { mode });
      chmodSync(file, mode);
      return file;
    },
  };
}

function refuses(read: () => unknown, words: RegExp): void {
  assert.throws(read, (error) => error instanceof KeyUnusable && error.code === 'AGENT_KEY' && words.test(error.message));
}

test('a key is the first line, whatever ends it, and any bytes', (t) => {
  const { key, write } = folder(t);
  for (const text of ['secret', 'secret\n', 'secret\r\n', 'secret\nand more that is longer than any key']) {
    write('a.key', text, 0o400);
    assert.equal(Buffer.from(key('a.key')).toString(), 'secret');
  }
  write('b', `${'k'.repeat(20)}\r\n`);
  assert.equal(key('b').length, 20);
});

test('a file that is empty, or too long for BFD, is no key', (t) => {
  const { key, write } = folder(t);
  for (const text of ['', '\n', '\r\nsecret']) {
    write('a', text);
    refuses(() => key('a'), /empty first line/);
  }
  for (const text of ['k'.repeat(21), `${'k'.repeat(21)}\n`, 'k'.repeat(4096)]) {
    write('a', text);
    refuses(() => key('a'), /longer than 20 bytes/);
  }
});

test('what others may read, own or have put there is not used', (t) => {
  const { path, key, write } = folder(t);
  refuses(() => key('none'), /cannot be opened/);
  for (const mode of [0o640, 0o604, 0o601, 0o620]) {
    write('a', 'secret', mode);
    refuses(() => key('a'), /chmod 600/);
  }
  const file = write('b', 'secret');
  if (process.getuid?.() === 0) {
    chownSync(file, 1, 1);
    refuses(() => key('b'), /belongs to user 1/);
  }
  symlinkSync(write('c', 'secret'), join(path, 'link'));
  refuses(() => key('link'), /links are not followed/);
  mkdirSync(join(path, 'directory'));
  refuses(() => key('directory'), /no regular file/);
  execFileSync('mkfifo', ['-m', '600', join(path, 'pipe')]);
  refuses(() => key('pipe'), /no regular file/);
  for (const name of ['../c', '.', '..', '', 'a/b', '.hidden']) refuses(() => key(name), /no name of a key/);
  chmodSync(path, 0o770);
  refuses(() => key('c'), /chmod go-w/);
  refuses(() => keysOf(join(path, 'nowhere'))('c'), /is not there/);
});
