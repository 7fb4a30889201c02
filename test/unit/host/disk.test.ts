import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DiskFailed, DiskFull, DurableDisk, kernelDisk } from '../../../src/host/disk.ts';
import { MemoryFiles, type Survived } from '../../../src/host/disk-memory.ts';
import { diskContract } from '../../contract/disk.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (data: Uint8Array | undefined): string | undefined => (data === undefined ? undefined : new TextDecoder().decode(data));

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'godwit-disk-'));
  t.after(() => rmSync(path, { recursive: true }));
  return join(path, 'state');
}

diskContract('kernel', (t) => {
  const root = folder(t);
  return { disk: kernelDisk(root), reopen: () => kernelDisk(root) };
});
diskContract('double', () => {
  const files = new MemoryFiles();
  return { disk: new DurableDisk(files), reopen: () => new DurableDisk(files) };
});

test('files and folders are for root alone', (t) => {
  const root = folder(t);
  kernelDisk(root).write('vms/a.json', bytes('{}'));
  assert.deepEqual([root, join(root, 'vms'), join(root, 'vms/a.json')].map((path) => statSync(path).mode & 0o777), [0o700, 0o700, 0o600]);
  assert.deepEqual(readdirSync(join(root, 'vms')), ['a.json']);
});

const steps: readonly { readonly name: string; readonly run: (disk: DurableDisk) => void; readonly before: readonly (string | undefined)[]; readonly after: string | undefined }[] = [
  { name: 'a first write', run: (d) => d.write('vms/a', bytes('first')), before: [undefined], after: 'first' },
  { name: 'a replacement', run: (d) => d.write('vms/a', bytes('second')), before: ['first'], after: 'second' },
  { name: 'an append', run: (d) => d.append('vms/a', bytes('+third')), before: ['second', 'second+', 'second+t', 'second+th', 'second+thi', 'second+thir'], after: 'second+third' },
  { name: 'a removal', run: (d) => d.remove('vms/a'), before: ['second+third'], after: undefined },
  { name: 'a first append', run: (d) => d.append('vms/a', bytes('new')), before: [undefined, '', 'n', 'ne'], after: 'new' },
];

for (const survived of ['nothing', 'names', 'parts'] as const satisfies readonly Survived[]) {
  for (const [i, step] of steps.entries()) {
    test(`power cut at any call of ${step.name}, ${survived} of the unsynced kept: the old or the new, and the new once it returned`, () => {
      let cut = 0;
      for (; ; cut++) {
        const files = new MemoryFiles();
        const disk = new DurableDisk(files);
        for (const earlier of steps.slice(0, i)) earlier.run(disk);
        files.cutAfter(cut);
        let returned = true;
        try {
          step.run(disk);
        } catch (error) {
          assert.ok(error instanceof DiskFailed, String(error));
          returned = false;
        }
        const left = text(new DurableDisk(files.afterPowerCut(survived)).read('vms/a'));
        if (returned) assert.equal(left, step.after);
        else assert.ok([...step.before, step.after].includes(left), `cut at ${cut}: ${left}`);
        if (returned) break;
      }
      assert.ok(cut >= 2, `only ${cut} calls were cut`);
    });
  }
}

for (const call of ['write', 'append'] as const) {
  test(`what the next process reads of a ${call} stays, though the one before crashed before its syncs`, () => {
    for (let cut = 0; cut < 12; cut++) {
      const files = new MemoryFiles();
      files.cutAfter(cut);
      try {
        new DurableDisk(files)[call]('vms/a', bytes('text'));
      } catch (error) {
        assert.ok(error instanceof DiskFailed);
      }
      const left = files.afterCrash();
      const next = new DurableDisk(left);
      const read = text(next.read('vms/a'));
      if (read === undefined) next.write('vms/a', bytes('other'));
      assert.equal(text(new DurableDisk(left.afterPowerCut('nothing')).read('vms/a')), read ?? 'other', `crash at ${cut}`);
    }
  });
}

test('a full disk: HOST_DISK_FULL, the old contents, nothing else, and fine again when there is room', () => {
  for (let room = 0; room < 10; room++) {
    const files = new MemoryFiles();
    const disk = new DurableDisk(files);
    disk.write('a', bytes('old'));
    disk.append('log', bytes('1\n'));
    files.setRoom(room);
    const full = (error: unknown): boolean => error instanceof DiskFull && error.code === 'HOST_DISK_FULL' && error.message.includes('make room');
    assert.throws(() => disk.write('a', bytes('0123456789')), full);
    files.setRoom(room);
    assert.throws(() => disk.append('log', bytes('0123456789')), full);
    assert.deepEqual([text(disk.read('a')), text(disk.read('log')), files.list('.')], ['old', '1\n', ['a', 'log']]);
    files.setRoom(100);
    disk.write('a', bytes('0123456789'));
    disk.append('log', bytes('2\n'));
    assert.deepEqual([text(disk.read('a')), text(disk.read('log'))], ['0123456789', '1\n2\n']);
  }
});
