import assert from 'node:assert/strict';
import { test } from 'node:test';
import { programMemory } from '../../../src/native/kernel-realtime.ts';

test('what is locked: files, the C heap and the first stack, and nothing that V8 gives back', () => {
  const maps = [
    '00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/node',
    '7ef4fe000000-7ef4fe001000 rw-p 00000000 08:02 173522                     /a name/with spaces (deleted)',
    '00e03000-00e24000 rw-p 00000000 00:00 0           [heap]',
    '35b1800000-35b1820000 rw-p 00000000 00:00 0',
    '35b1a00000-35b1a20000 rw-p 00000000 00:00 0 ',
    '7f0000000000-7f0000001000 rw-s 00000000 00:01 2057  /memfd:v8 (deleted)',
    '7f0000002000-7f0000003000 rw-s 00000000 00:05 7     /dev/zero (deleted)',
    '7f0000004000-7f0000005000 rw-s 00000000 00:0e 7     anon_inode:[io_uring]',
    '7fffb2c0d000-7fffb2c2e000 rw-p 00000000 00:00 0   [stack]',
    '7fffb2d48000-7fffb2d49000 r-xp 00000000 00:00 0   [vdso]',
    '',
  ].join('\n');
  assert.deepEqual(programMemory(maps).map((range) => [...range]), [
    [0x400000, 0x52000], [0x7ef4fe000000, 0x1000], [0xe03000, 0x21000], [0x7fffb2c0d000, 0x21000],
  ]);
});
