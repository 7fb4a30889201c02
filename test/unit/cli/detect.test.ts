import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { checkDocument } from '../../../src/api/check-document.ts';
import { ApiError } from '../../../src/api/api.ts';
import { happenings, kept, path, paths, sessions, watchPolicy, watchedHosts } from './detection.ts';
import { golden } from './golden.ts';
import { NOW, event } from './resources.ts';
import { StubApi, StubIo, godwit } from './stub.ts';

const api = (): StubApi => {
  const stub = new StubApi([...watchedHosts, ...paths, ...sessions, ...happenings, watchPolicy]);
  stub.kept = kept;
  return stub;
};
const inUtf8 = (): StubIo => new StubIo({}, { LANG: 'C.UTF-8' });

async function outputs(all: readonly string[]): Promise<string> {
  const parts: string[] = [];
  for (const words of all) {
    const { exit, stdout, stderr } = await godwit(words, api(), inUtf8());
    assert.deepEqual([exit, stderr], [0, ''], words);
    assert.ok(!stdout.includes('\u001b'), 'no colour without a terminal');
    parts.push(`$ godwit ${words}\n${stdout}`);
  }
  return parts.join('\n');
}

test('paths', async () => {
  golden('paths', await outputs(['get paths', 'get paths -o wide', 'describe path host-a/host-b/storage', 'describe path/host-a/host-c/main', 'describe path host-c/host-a/main']));
  const { stdout } = await godwit('get paths', api());
  assert.deepEqual(stdout.trim().split('\n').slice(1).map((line) => line.split(/\s+/)[3]), ['unfit', 'down', 'fit', 'fit', 'unknown', 'fit'], 'the sick first');
  const hole = path('host-a', 'host-b', 'main', { mtu: { wanted: 9000, blackHole: true } });
  const deaf = path('host-b', 'host-a', 'main', {}, { heard: 'silent' });
  const mixed = await godwit('get paths', new StubApi([path('host-a', 'host-a', 'main'), hole, deaf]));
  assert.deepEqual(mixed.stdout.trim().split('\n').slice(1).map((line) => line.split(/\s+/)[3]), ['silent', 'fit', 'fit']);
});

test('BFD sessions', async () => {
  golden('bfd-sessions', await outputs(['get bfdsessions', 'get bfd -o wide', 'describe bfdsession uplink', 'describe bfd far']));
  const { stdout } = await godwit('get bfdsessions -o yaml', api());
  assert.deepEqual(parseAllDocuments(stdout).map((document): unknown => document.toJS()).filter((value) => !('kind' in checkDocument(value))), []);
});

test('hosts with what the others make of them, and the policy', async () => {
  golden('watched-hosts', await outputs(['get hosts -o wide', 'describe host host-a', 'describe host host-c', 'describe policy default']));
});

test('a policy that nobody declared holds by its defaults; without sessions between hosts nobody is called dead', async () => {
  const { exit, stdout } = await godwit('describe policy default', new StubApi([]));
  assert.equal(exit, 0);
  assert.match(stdout, /^Declared: +no: all of it is by default$/m);
  assert.match(stdout, /Dead: +when 2 hosts or more/);
  assert.equal((await godwit('describe policy other', new StubApi([]))).exit, 4);
  const off = new StubApi([{ kind: 'Policy', name: 'default', revision: 3, spec: { detect: { bfd: false } } }]);
  assert.match((await godwit('describe policy default', off)).stdout, /Dead: +no host is ever called so/);
  assert.match((await godwit('describe host host-b', api())).stdout, /^Verdict:\n  none: /m);
});

test('rates in words of few digits', async () => {
  const [first] = watchedHosts;
  assert.ok(first?.status?.counters);
  const [link, tcp] = [first.status.counters.links.at(-1), first.status.counters.tcp[0]];
  assert.ok(link && tcp);
  const counters = { ...first.status.counters, links: [{ ...link, queues: [], rxDrops: 2.0003447154096197, txDrops: 0, rxErrors: 0.02 }], tcp: [{ ...tcp, sent: 6.00103414622886 }] };
  const { stdout } = await godwit('describe host host-a', new StubApi([{ ...first, status: { ...first.status, counters } }]));
  assert.match(stdout, / 2\.0\/s +<0\.1\/s /);
  assert.match(stdout, / 3 of 6 /);
});

test('a path whose host is silent says so; one that is well and kept out says what it waits for', async () => {
  const quality = { state: 'unknown', since: NOW, because: 'host-a is silent: this is what it said 20 s ago (fit)', loss: 0, slowLoss: 0, suspicious: false } as const;
  const silent = path('host-a', 'host-b', 'main', { quality });
  const table = await godwit('get paths', new StubApi([silent]));
  assert.match(table.stdout, /unknown.*host-a is silent$/m);
  const waits = path('host-a', 'host-b', 'main', { quality: { ...quality, state: 'unfit', slowLoss: 0.2 } });
  assert.match((await godwit('describe path host-a/host-b/main', new StubApi([waits]))).stdout, /Kept out: +well now, out until the slow average is at 0\.5 %/);
  const sick = path('host-a', 'host-b', 'main', { quality: { ...quality, state: 'unfit', loss: 0.1, slowLoss: 0.2 } });
  assert.doesNotMatch((await godwit('describe path host-a/host-b/main', new StubApi([sick]))).stdout, /Kept out/);
});

test('a history that cannot be had is said where its chart would be', async () => {
  const deaf = api();
  deaf.kept = () => { throw new ApiError(504, 'CONTROL_HISTORY_SILENT', 'The agent on host-a did not answer in 5 s'); };
  const { exit, stdout } = await godwit('describe path host-a/host-b/main', deaf);
  assert.equal(exit, 0);
  assert.match(stdout, /RTT: not to be had: The agent on host-a did not answer in 5 s \[CONTROL_HISTORY_SILENT\]/);
  deaf.kept = () => { throw new TypeError('a fault of ours'); };
  assert.equal((await godwit('describe path host-a/host-b/main', deaf)).exit, 1);
});

test('events: since, host, about, reason', async () => {
  const names = async (words: string): Promise<string[]> => {
    const { exit, stdout } = await godwit(`events ${words}`, api());
    assert.equal(exit, 0);
    return stdout.trim().split('\n').slice(1).map((line) => line.trim().split(/\s+/).slice(2, 4).join(' '));
  };
  assert.deepEqual(await names('--host host-c'), ['HostVerdict host/host-c', 'AgentSilent host/host-c']);
  assert.deepEqual(await names('--about bfd/uplink --reason bfddown'), ['BfdDown bfdsession/uplink']);
  assert.deepEqual(await names('--about path/host-a/host-b/storage'), ['PathUnfit path/host-a/host-b/storage', 'PathTakenOut path/host-a/host-b/storage']);
  // What is done to a path is done both ways.
  assert.deepEqual(await names('--about path/host-b/host-a/storage'), ['PathUnfit path/host-b/host-a/storage', 'PathTakenOut path/host-a/host-b/storage']);
  const back = path('host-b', 'host-a', 'storage');
  assert.match((await godwit('describe path host-b/host-a/storage', new StubApi([back, ...happenings]))).stdout, /PathTakenOut/);
  assert.deepEqual(await names('--about host'), ['AlertOn host/host-b', 'HostVerdict host/host-c', 'AgentSilent host/host-c']);
  // They are 41, 40, 39, 38, 30, 29, 28, 10 and 9 seconds old; it is 03:13:07.
  assert.equal((await names('--since 28500ms')).length, 3);
  assert.equal((await names('--since 2026-05-04T03:12:57')).length, 2);
  assert.equal((await names('--since 2026-05-04T05:12:57+02:00')).length, 2);
  assert.equal((await names('--since 0.5m')).length, 5);
});

test('events: the newest hundred of those that fit, and a hint where none does', async () => {
  const many = new StubApi([event(0, { kind: 'Vm', name: 'rare' }, 'Ended', 'x'), ...Array.from({ length: 150 }, (_, n) => event(n + 1, { kind: 'Vm', name: 'v' }, 'Started', `number ${n}`))]);
  assert.match((await godwit('events --about vm/rare', many)).stdout, /Ended/);
  const lines = (await godwit('events --reason Started', many)).stdout.trim().split('\n');
  assert.equal(lines.length, 101);
  assert.match(lines[1] ?? '', /number 50$/);
  const none = await godwit('events --reason Startet', many);
  assert.deepEqual([none.exit, none.stdout, none.stderr], [0, '', 'There are no events with reason Startet: did you mean Started?\n']);
  assert.equal((await godwit('events --host nobody --since 1h', many)).stderr, 'There are no events of host nobody since 2026-05-04T02:13:07Z.\n');
  assert.deepEqual(JSON.parse((await godwit('events --host nobody -o json', many)).stdout), { kind: 'List', items: [] });
});

test('events --watch tells of those that fit', async () => {
  const [watched, io] = [api(), new StubIo()];
  watched.story = function* () {
    yield event(198, { kind: 'Host', name: 'host-b' }, 'AgentSilent', 'another host');
    yield event(199, { kind: 'Host', name: 'host-c' }, 'AgentBack', 'this one');
    io.interrupt();
  };
  const { stdout } = await godwit('events -w --about host/host-c --since 9500ms', watched, io);
  assert.deepEqual(stdout.trim().split('\n').slice(1).map((line) => line.split(/\s+/)[2]), ['AgentSilent', 'AgentBack']);
});
