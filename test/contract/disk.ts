/** What a Disk promises; run above the kernel's files and above the double's. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { DiskFailed, type Disk } from '../../src/host/disk.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (data: Uint8Array | undefined): string | undefined => (data === undefined ? undefined : new TextDecoder().decode(data));

/** `reopen`: the same files, by another process. */
export function diskContract(name: string, open: (t: TestContext) => { readonly disk: Disk; reopen(): Disk }): void {
  const promise = (what: string, body: (disk: Disk, reopen: () => Disk) => void): void => {
    void test(`${name}: ${what}`, (t) => {
      const { disk, reopen } = open(t);
      body(disk, reopen);
    });
  };

  promise('what does not exist is undefined, empty, and harmlessly removed', (disk) => {
    assert.equal(disk.read('vms/a.json'), undefined);
    assert.deepEqual(disk.list('vms'), []);
    disk.remove('vms/a.json');
    disk.remove('vms/a.json');
    assert.deepEqual(disk.list('vms'), []);
  });

  promise('write replaces the whole file', (disk, reopen) => {
    disk.write('vms/a.json', bytes('a long first text'));
    disk.write('vms/a.json', bytes('short'));
    assert.equal(text(disk.read('vms/a.json')), 'short');
    assert.equal(text(reopen().read('vms/a.json')), 'short');
    disk.write('vms/a.json', bytes(''));
    assert.equal(text(disk.read('vms/a.json')), '');
  });

  promise('append adds, and begins the file', (disk, reopen) => {
    disk.append('journal', bytes('one\n'));
    disk.append('journal', bytes('two\n'));
    assert.equal(text(reopen().read('journal')), 'one\ntwo\n');
  });

  promise('list has the files of a directory in their order, and no others', (disk) => {
    for (const path of ['vms/b.json', 'vms/a.json', 'moves/c.json', 'vms/old/d.json', 'root']) disk.write(path, bytes(path));
    assert.deepEqual(disk.list('vms'), ['a.json', 'b.json']);
    assert.deepEqual(disk.list('moves'), ['c.json']);
    disk.remove('vms/a.json');
    assert.deepEqual(disk.list('vms'), ['b.json']);
    assert.equal(disk.read('vms/a.json'), undefined);
  });

  promise('rename takes the place of what was there', (disk, reopen) => {
    disk.write('vms/a.json', bytes('new'));
    disk.write('vms/b.json', bytes('old'));
    disk.rename('vms/a.json', 'vms/b.json');
    assert.deepEqual(reopen().list('vms'), ['b.json']);
    assert.equal(text(disk.read('vms/b.json')), 'new');
  });

  promise('nothing outside can be named', (disk) => {
    for (const path of ['../a', '/etc/passwd', 'vms/../../a', 'vms//a', '', '.', 'vms/a\0b']) {
      assert.throws(() => disk.write(path, bytes('x')), DiskFailed, path);
      assert.throws(() => disk.read(path), DiskFailed, path);
    }
  });

  promise('data given stays the caller’s, data read is the caller’s', (disk) => {
    const data = bytes('abc');
    disk.write('a', data);
    data[0] = 0;
    const read = disk.read('a');
    if (read) read[1] = 0;
    assert.equal(text(disk.read('a')), 'abc');
  });
}
