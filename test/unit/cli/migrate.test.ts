import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import { MigrationProgressView } from '../../../src/cli/migration-progress.ts';
import { outcomeOf } from '../../../src/cli/migration-outcome.ts';
import type { MigrationEnd, MigrationResource } from '../../../src/model/migration.ts';
import { golden } from './golden.ts';
import { clean, plain, rich, rolledBack } from './receipts.ts';
import { cluster, copying, migration } from './resources.ts';
import { StubApi, StubIo, godwit } from './stub.ts';

const queued = migration({ reason: 'host-b takes in web-2 (web-2-1)' });
const moved = migration({ phase: 'done', endedAt: 1, end: { kind: 'moved' }, receipt: clean });

/** A cluster in which this migration is asked for, and goes on so. */
function asked(...story: readonly MigrationResource[]): StubApi {
  const api = new StubApi([queued]);
  api.migration = queued;
  api.story = () => story;
  return api;
}

test('asked for and not waited for', async () => {
  const api = asked();
  const { exit, stdout, stderr } = await godwit('migrate web-1 --to host-b', api);
  assert.deepEqual([exit, stdout], [0, 'migration/web-1-3 created\n']);
  assert.match(stderr, /^Follow it with godwit get migration web-1-3 --watch\n$/);
  assert.deepEqual(api.calls, [['migrate', { vm: 'web-1', to: 'host-b' }]]);
});

test('without a host the server chooses one, and it is said which', async () => {
  const api = asked();
  const { exit, stdout, stderr } = await godwit('migrate web-1', api);
  assert.deepEqual([exit, stdout], [0, 'migration/web-1-3 created\n']);
  assert.match(stderr, /^web-1 moves to host-b\nFollow it/);
  assert.deepEqual(api.calls, [['migrate', { vm: 'web-1' }]]);
});

test('waited for: progress on stderr, the receipt on stdout', async () => {
  const api = asked(
    migration({ phase: 'plan' }), migration({ phase: 'prepare' }), copying(0), copying(0.4), copying(0.6),
    migration({ ...copying(0.7).status, progress: { ...copying(0.7).status!.progress!, slow: 'the guest dirties 900 MB/s', dirtyRate: 9e8 } }),
    migration({ phase: 'switch' }), migration({ phase: 'drain' }), moved,
  );
  const { exit, stdout, stderr } = await godwit('migrate web-1 --to host-b --wait', api);
  assert.equal(exit, 0);
  golden('migrate-wait', `${stdout}--- stderr\n${stderr}`);
});

const ends: Readonly<Record<string, readonly [number, MigrationResource]>> = {
  'rolled back, with a receipt': [1, migration({ phase: 'done', end: { kind: 'rolled-back', reason: 'The guest stood still for 300 ms' }, receipt: rolledBack })],
  'rolled back in prepare': [1, migration({ phase: 'prepare', end: { kind: 'rolled-back', reason: 'host-b cannot be reached at 10.0.0.2:7444' } })],
  refused: [1, migration({ phase: 'plan', end: { kind: 'refused', reasons: ['host-b has no bridge br0: make it', 'host-b has 1.0 GiB free, 4.0 GiB are needed'] } })],
  cancelled: [5, migration({ phase: 'copy', cancel: true, end: { kind: 'cancelled' } })],
  dead: [1, migration({ phase: 'copy', end: { kind: 'dead', at: 'source', reason: 'QEMU ended: killed' } })],
  stranded: [1, migration({ phase: 'drain', end: { kind: 'stranded', reason: 'it did not continue' } })],
};

test('every end says what became of the VM, by its exit code and in words', async () => {
  const parts: string[] = [];
  for (const [name, [code, end]] of Object.entries(ends)) {
    const { exit, stdout, stderr } = await godwit('migrate web-1 --to host-b --wait', asked(end));
    assert.equal(exit, code, name);
    assert.equal(stdout === '', end.status?.receipt === undefined);
    parts.push(`# ${name}\n${stderr}`);
  }
  golden('migrate-ends', parts.join('\n'));
});

test('a dry run is waited for, and changes nothing', async () => {
  const end: MigrationEnd = { kind: 'possible', warnings: ['QEMU on host-b is older'], notes: ['MTU 1500 on the whole path'] };
  const api = asked(migration({ phase: 'plan', end }));
  const { exit, stdout } = await godwit('migrate web-1 --to host-b --dry-run', api);
  assert.equal(exit, 0);
  assert.equal(stdout, 'web-1 can move from host-a to host-b; nothing was changed\nwarning: QEMU on host-b is older\nMTU 1500 on the whole path\n');
  assert.deepEqual(api.calls, [['migrate', { vm: 'web-1', to: 'host-b', dryRun: true }]]);
});

test('Ctrl-C asks once to cancel, and its end is waited for', async () => {
  const [api, io] = [asked(), new StubIo()];
  api.story = function* () {
    yield copying(0.3);
    io.interrupt();
    yield copying(0.35);
    yield migration({ phase: 'copy', cancel: true, end: { kind: 'cancelled' } });
  };
  const { exit, stderr } = await godwit('migrate web-1 --to host-b --wait', api, io);
  assert.equal(exit, 5);
  assert.deepEqual(api.calls.slice(1), [['cancel', 'web-1-3']]);
  assert.match(stderr, /^Asking to cancel web-1-3\. Ctrl-C again leaves/m);
  assert.match(stderr, /^The move of web-1 to host-b was cancelled; web-1 runs on host-a\n$/m);
});

test('Ctrl-C again leaves, and says what is not known then', { timeout: 10_000 }, async () => {
  const [api, io] = [asked(), new StubIo()];
  api.story = function* () {
    yield copying(0.3);
    io.interrupt();
    io.interrupt();
  };
  const { exit, stderr } = await godwit('migrate web-1 --to host-b --wait', api, io);
  assert.equal(exit, 5);
  assert.equal(api.calls.filter((call) => Array.isArray(call) && call[0] === 'cancel').length, 1);
  assert.match(stderr, /^Left: web-1-3 is asked to be cancelled, .*godwit describe migration web-1-3\n$/m);
});

test('too late to cancel: said, and the move is waited for all the same', async () => {
  const [api, io] = [asked(), new StubIo()];
  api.onCancel = () => { throw new Error('it was handed over'); };
  api.story = async function* () {
    io.interrupt();
    await new Promise((resolve) => setImmediate(resolve));
    yield moved;
  };
  const { exit, stderr } = await godwit('migrate web-1 --to host-b --wait', api, io);
  assert.equal(exit, 0);
  assert.match(stderr, /^It could not be cancelled: it was handed over$/m);
});

test('a migration that goes away, and a watch that ends, are no success', async () => {
  const gone = asked();
  gone.story = () => ['web-1-3'];
  assert.match((await godwit('migrate web-1 --to host-b --wait', gone)).stderr, /\[CLI_MIGRATION_GONE\]/);
  const ended = asked();
  ended.ends = true;
  const { exit, stderr } = await godwit('migrate web-1 --to host-b --wait', ended);
  assert.equal(exit, 3);
  assert.match(stderr, /\[CLI_WATCH_ENDED\]/);
});

test('cancel by name', async () => {
  const { exit, stdout } = await godwit('cancel web-1-3', new StubApi(cluster));
  assert.deepEqual([exit, stdout], [0, 'migration/web-1-3 cancelling\n']);
});

test('the receipt knows better than the last report which step failed', () => {
  const outcome = outcomeOf(migration({ phase: 'copy', end: { kind: 'rolled-back', reason: 'x' }, receipt: rolledBack }));
  assert.match(outcome!.text, /failed in step switch and was taken back; web-1 runs on host-a$/);
});

const progress = fc.record({
  fraction: fc.oneof(fc.double({ min: -1, max: 2 }), fc.constant(NaN)), pass: fc.nat(9), transferred: fc.nat(), remaining: fc.nat(),
  throughput: fc.nat(), dirtyRate: fc.nat(),
});
const report = fc.record({ phase: fc.constantFrom('queued' as const, 'plan' as const, 'copy' as const, 'switch' as const, 'drain' as const), progress });

test('never runs backwards, whatever the server says, and says 100 % only when all is copied', () => {
  fc.assert(fc.property(fc.array(report), fc.integer({ min: 20, max: 200 }), (reports, columns) => {
    const written: string[] = [];
    const view = new MigrationProgressView({ out: { write: (text) => written.push(text), columns }, style: rich, vm: 'web-1', from: 'h1', to: 'h2' });
    let before = 0;
    let now = 0;
    for (const status of reports) {
      view.update(migration(status), ms(now += 1000));
      assert.ok(view.fraction >= before && view.fraction <= 1);
      before = view.fraction;
    }
    view.end();
    const shown = written.flatMap((line) => [.../(\d+) %/g[Symbol.matchAll](line)].map((m) => Number(m[1])));
    assert.deepEqual(shown, [...shown].sort((a, b) => a - b));
    if (before < 1) assert.ok(shown.every((percent) => percent < 100));
    for (const line of written) assert.ok([...line.replaceAll('\r\u001b[K', '')].length < columns);
  }));
});

test('the live line, and the lines that stay', () => {
  const written: string[] = [];
  const view = new MigrationProgressView({ out: { write: (text) => written.push(text), columns: 140 }, style: rich, vm: 'web-1', from: 'host-a', to: 'host-b' });
  const story = [queued, queued, migration({ phase: 'plan' }), copying(0.1), copying(0.5, { slow: 'dirties too fast', timeLeft: undefined }), copying(0.5, { slow: 'dirties too fast' }), moved];
  for (const [i, step] of story.entries()) view.update(step, ms(i * 200));
  view.end();
  golden('migrate-live', written.join('').replaceAll('\r', '\n<CR>').replaceAll('\u001b[K', '<EL>'));
});

test('without a terminal a log gets a line per phase, and one in ten seconds of copying', () => {
  const written: string[] = [];
  const view = new MigrationProgressView({ out: { write: (text) => written.push(text) }, style: plain, vm: 'web-1', from: 'host-a', to: 'host-b' });
  for (let i = 0; i <= 30; i++) view.update(copying(i / 40), ms(i * 1000));
  assert.equal(written.length, 4);
  assert.match(written[3]!, /^web-1 host-a -> host-b: copy, 812 MB\/s, dirty 4\.2 MB\/s, .* left, 1 s to go \(after 30\.00 s\)\n$/);
});
