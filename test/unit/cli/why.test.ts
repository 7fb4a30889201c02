import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BfdTransition } from '../../../src/model/bfd-session.ts';
import type { EventEvidence, EventResource, VerdictReport } from '../../../src/model/event.ts';
import { because, down, happenings, path, paths, sessions, turn, verdict, watchPolicy, watchedHosts } from './detection.ts';
import { golden } from './golden.ts';
import { NOW, event, migration, router, transitions } from './resources.ts';
import { StubApi, StubIo, godwit } from './stub.ts';

const api = (): StubApi => new StubApi([...watchedHosts, ...paths, ...sessions, ...happenings, ...transitions, router, watchPolicy]);

test('every kind of evidence is told', async () => {
  const parts: string[] = [];
  for (const words of [
    'why path/host-a/host-b/storage', 'why 159', 'why bfd/uplink', 'why 0000000000000170', 'why host/host-b', 'why host host-c', 'why 162', 'why router/gw', 'why event/1003', 'why 191',
  ]) {
    const { exit, stdout, stderr } = await godwit(words, api(), new StubIo({}, { LANG: 'C.UTF-8' }));
    assert.deepEqual([exit, stderr], [0, ''], words);
    for (const line of stdout.split('\n')) assert.ok([...line].length <= 80, line);
    parts.push(`$ godwit ${words}\n${stdout}`);
  }
  golden('why', parts.join('\n'));
});

test('what is done to a path is done both ways', async () => {
  assert.match((await godwit('why path/host-b/host-a/storage', api())).stdout, /^Reason: +PathTakenOut$/m);
  assert.equal((await godwit('why path/host-b/host-a/main', api())).stdout, '');
});

test('the newest with evidence, before a newer one without', async () => {
  const { stdout } = await godwit('why host/host-c', api());
  assert.match(stdout, /^Event: +0000000000000190$/m);
  assert.match(stdout, /What followed:\n  1.00 s later: AgentSilent: no report for 5 s/);
});

test('what has no evidence says so; what nothing happened to, and what there is not, are told apart', async () => {
  const moved = new StubApi([event(5, { kind: 'Migration', name: 'web-1-3' }, 'Moved', 'web-1 moved'), migration({}), path('host-a', 'host-b', 'main')]);
  const plain = await godwit('why migration/web-1-3', moved);
  assert.match(plain.stdout, /Evidence:\n  This event carries none/);
  const nothing = await godwit('why path/host-a/host-b/main', moved);
  assert.deepEqual([nothing.exit, nothing.stdout, nothing.stderr], [0, '', 'Nothing has happened to path/host-a/host-b/main that is still remembered.\n']);
  assert.equal((await godwit('why host/nobody', moved)).exit, 4);
  assert.equal((await godwit('why 77', moved)).exit, 4);
});

test('mistakes', async () => {
  for (const [words, says] of [
    ['why', 'missing required argument'], ['why pth/a/b/main', 'did you mean path?'], ['why host', 'Which host to tell why of?'], ['why 12345678901234567', 'their names have 16 digits'], ['why 12 host', 'name one event or one thing'],
    ['why web-1', 'There is no kind "web-1"'],
  ] as const) {
    const asked = api();
    const { exit, stdout, stderr } = await godwit(words, asked);
    assert.deepEqual([exit, stdout, asked.calls], [2, '', []], words);
    assert.ok(stderr.includes(says), stderr);
  }
});

const one = async (evidence: EventEvidence, spec: Partial<EventResource['spec']> = {}, others: readonly EventResource[] = []): Promise<string> => {
  const e = event(100, { kind: 'Host', name: 'host-a' }, 'Something', 'x');
  const { exit, stdout } = await godwit('why 100', new StubApi([{ ...e, spec: { ...e.spec, host: 'host-a', evidence, ...spec } }, ...others, watchPolicy]));
  assert.equal(exit, 0);
  return stdout.replaceAll(/\n {2,4}(?=\S)/g, ' ');
};

test('every verdict, every turn and every diagnostic says what would have changed it', async () => {
  const verdicts: Readonly<Record<VerdictReport['verdict'], RegExp>> = {
    dead: /single one of the 2 voters/, 'path-down': /2 of them at least/, 'one-way': /Both ends/, gray: /policy\.quality/, self: /being awake/, unknown: /opinion of any host/, fine: /Silence on a path/,
  };
  for (const [word, says] of Object.entries(verdicts)) {
    // The keys are verdicts: the record has no others.
    assert.match(await one({ kind: 'verdict', verdict: { ...verdict, verdict: word as VerdictReport['verdict'] } }), says);
  }
  for (const [to, says] of [['unfit', /Less than 2.0 % of loss/], ['down', /Any answer to a probe/], ['fit', /above 0.5 %/], ['unknown', /started anew/]] as const) {
    assert.match(await one({ kind: 'path', turn: turn({ to }) }), says);
  }
  const session = (over: Partial<BfdTransition>): Promise<string> => one({
    kind: 'session', transition: { sequence: 1, pulse: 'p', session: 'host-b/main', at: NOW, from: 'up', to: 'down', diagnostic: 'detection-expired', rule: 'r', lateness: { now: 0, worst: 0 }, ...over },
  });
  assert.match(await session({ down }), /One packet within 900.0 ms.* A multiplier of 4 instead of 3.* within 1.20 s.* Not a quicker host here/s);
  assert.match(await session({ down: { ...down, ownLateness: 700 } }), /this host may have been the one that was slow/);
  assert.match(await session({ diagnostic: 'neighbor-down' }), /The BFD session to host-b on path main .* Nothing on this host/s);
  assert.match(await session({ diagnostic: 'admin-down' }), /Only whoever switched it off/);
  assert.match(await session({ to: 'up', diagnostic: 'none' }), /have found each other/);
});

test('who saw it otherwise is the other end, not somebody else', async () => {
  const at = (n: number, over: Partial<EventResource['spec']>): EventResource => {
    const e = event(n, { kind: 'Path', name: 'x' }, 'PathUnfit', 'x');
    return { ...e, spec: { ...e.spec, ...over } };
  };
  const back: EventEvidence = { kind: 'path', turn: turn({ peer: 'host-a', because: 'the way back' }) };
  const told = await one({ kind: 'path', turn: turn() }, {}, [at(101, { host: 'host-b', evidence: back }), at(102, { host: 'host-c', evidence: back })]);
  assert.match(told, /host-b, of its way back to host-a: fit to unfit/);
  assert.equal([...told.matchAll(/of its way back/g)].length, 1, 'not what host-c says of its own');
  const bfd: EventEvidence = { kind: 'session', transition: { sequence: 1, pulse: 'p', session: 'host-b/storage', at: NOW - 41_300, from: 'up', to: 'down', diagnostic: 'detection-expired', rule: 'silence', lateness: { now: 0, worst: 0 } } };
  assert.match(await one({ kind: 'path', turn: turn() }, {}, [at(101, { host: 'host-a', evidence: bfd })]), /BFD on host-a, with host-b on this path: up to down 300.0 ms before: silence/);
  assert.doesNotMatch(await one({ kind: 'path', turn: turn() }, {}, [at(101, { host: 'host-c', evidence: bfd })]), /BFD on/);
  const far = at(101, { host: 'host-b', evidence: back, at: NOW });
  assert.match(await one({ kind: 'path', turn: turn() }, {}, [far]), /host-b said nothing of its way back/, 'a hundred seconds later is another story');
});

test('what was done to paths of a host while its verdict waited was done about it', async () => {
  const action = (n: number, name: string): EventResource => {
    const e = event(n, { kind: 'Path', name }, 'PathTakenOut', `${name} is out`);
    return { ...e, spec: { ...e.spec, evidence: { kind: 'action', action: { action: 'path', mode: 'act', what: 'x', because: [because] } } } };
  };
  const down: EventEvidence = { kind: 'verdict', verdict: { ...verdict, host: 'host-a', verdict: 'path-down', paths: ['storage'] } };
  assert.match(await one(down, {}, [action(98, 'host-a/host-b/storage')]), /2\.00 s before: PathTakenOut: host-a\/host-b\/storage is out \(godwit why 98\)/);
  assert.match(await one(down, {}, [action(101, 'host-0/host-a/storage')]), /1\.00 s later: PathTakenOut/);
  for (const other of [action(98, 'host-b/host-c/storage'), action(98, 'host-a/host-b/main'), action(90, 'host-a/host-b/storage')]) {
    assert.match(await one(down, {}, [other]), /Godwit has done nothing so far/);
  }
});

test('what was done about it is what was done to one of the two, soon after', async () => {
  const action = (n: number, host: string): EventResource => {
    const e = event(n, { kind: 'Vm', name: 'db-1' }, 'EvacuationBegun', `db-1 leaves ${host}`);
    return { ...e, spec: { ...e.spec, host, evidence: { kind: 'action', action: { action: 'evacuate', mode: 'act', what: 'x', because: [because] } } } };
  };
  assert.match(await one({ kind: 'path', turn: turn() }, {}, [action(103, 'host-a')]), /3\.00 s later: EvacuationBegun: db-1 leaves host-a \(godwit why 103\)/);
  for (const other of [action(103, 'host-c'), action(99, 'host-a')]) assert.match(await one({ kind: 'path', turn: turn() }, {}, [other]), /Godwit has done nothing so far/);
});
