import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { ApiError } from '../../../src/api/api.ts';
import { formatAge } from '../../../src/cli/age.ts';
import { editDistance, nearest } from '../../../src/api/nearest.ts';
import { golden } from './golden.ts';
import { cluster } from './resources.ts';
import { StubApi, StubIo, godwit } from './stub.ts';

test('mistakes: what is wrong, what to do, exit code 2, and nothing on stdout', async () => {
  const parts: string[] = [];
  for (const words of [
    'gte vms', 'get vmz', 'get', 'get spaceships', 'get vms -o yml', 'get vms --wach', 'describe vm', 'delete vm', 'get vm/ ', 'get vm/a b', 'migrate', 'get vms a b',
    'apply', 'token create --ttl soon', '--socket /a --server https://b get vms', '--server https://b get vms',
    'config check', 'config chekc a.yaml', 'announce', 'server --listen 7443', 'agent join http://b --token t --address 10.0.0.1', 'agent join https://b --token t --address host-b', 'lab up --hosts 0', 'vm strat a',
    'get pahts', 'describe path', 'events --since soon', 'events --about pth/a', 'matrix --metric rtd', 'matrix -o wide', 'top --view vms', 'history h1', 'history h1 link/eth0', 'why', 'why host',
  ]) {
    const api = new StubApi();
    const { exit, stdout, stderr, daemons } = await godwit(words, api);
    assert.deepEqual([exit, stdout, api.calls, daemons], [2, '', [], []], words);
    assert.match(stderr, /^error: .*\[CLI_USAGE\]$/m);
    parts.push(`$ godwit ${words}\n${stderr}`);
  }
  golden('mistakes', parts.join('\n'));
});

test('help is data, names the exit codes, and needs no server', async () => {
  const { exit, stdout, stderr, where } = await godwit('--help');
  assert.deepEqual([exit, stderr, where], [0, '', []]);
  for (const code of [0, 1, 2, 3, 4, 5]) assert.match(stdout, new RegExp(`^  ${code}  `, 'm'));
  assert.equal((await godwit('--version')).stdout, '1.2.3\n');
  assert.equal((await godwit('')).exit, 2);
});

test('the exit code says what kind of failure it was', async () => {
  const api = (error: Error): StubApi => {
    const failing = new StubApi();
    failing.get = async () => { throw error; };
    return failing;
  };
  const run = async (error: Error): Promise<number> => (await godwit('get vm web-1', api(error))).exit;
  assert.equal(await run(new ApiError(0, 'API_UNREACHABLE', 'x')), 3);
  assert.equal(await run(new ApiError(0, 'API_ADDRESS', 'x')), 2);
  assert.equal(await run(new ApiError(404, 'CONTROL_NO_SUCH', 'x')), 4);
  assert.equal(await run(new ApiError(400, 'API_BAD', 'x')), 2);
  assert.equal(await run(new ApiError(409, 'CONTROL_BUSY', 'x')), 1);
  assert.equal(await run(new Error('x')), 1);
  const { stderr, stdout } = await godwit('get vm nobody', new StubApi(cluster));
  assert.deepEqual([stdout, stderr], ['', 'error: There is no Vm nobody [CONTROL_NO_SUCH]\n']);
});

test('where the server is: options before the environment, one server only', async () => {
  const at = async (words: string, env: Readonly<Record<string, string>> = {}): Promise<unknown> =>
    (await godwit(words, new StubApi(cluster), new StubIo({}, env))).where[0];
  assert.deepEqual(await at('get vms'), { socketPath: '/run/godwit/godwit.sock' });
  assert.deepEqual(await at('get vms', { GODWIT_SOCKET: '/e' }), { socketPath: '/e' });
  assert.deepEqual(await at('get vms --socket /o', { GODWIT_SOCKET: '/e', GODWIT_SERVER: 'https://e' }), { socketPath: '/o' });
  assert.deepEqual(await at('get vms', { GODWIT_SERVER: 'https://e', GODWIT_IDENTITY: '/i' }), { url: 'https://e', identity: '/i' });
  assert.deepEqual(await at('--server https://o --identity /j get vms', { GODWIT_SERVER: 'https://e', GODWIT_IDENTITY: '/i' }), { url: 'https://o', identity: '/j' });
});

test('small verbs', async () => {
  const api = new StubApi(cluster);
  assert.equal((await godwit('vm start web-2', api)).stdout, 'vm/web-2 starting on host-a\n');
  assert.equal((await godwit('vm stop web-2 --force', api)).stdout, 'vm/web-2 stopping on host-a\n');
  assert.equal((await godwit('announce web-2', api)).stdout, 'vm/web-2 announcing on host-a\n');
  assert.equal((await godwit('delete vm/web-2', api)).stdout, 'vm/web-2 deleted\n');
  const token = await godwit('token create --ttl 30m', api);
  assert.equal(token.stdout, 'gwt1.a.b.c\n');
  assert.match(token.stderr, /^For one host, until 2026-05-04 03:43:07 UTC/);
  assert.deepEqual(api.calls, [['start', 'web-2'], ['stop', 'web-2', { force: true }], ['announce', 'web-2'], ['remove', 'Vm', 'web-2'], ['token', 1_800_000]]);
  api.createToken = async (ttl) => { throw new ApiError(400, 'CONTROL_TOKEN_TTL', `${ttl} is too long`); };
  const { exit, stderr } = await godwit('token create --ttl 48h', api);
  assert.deepEqual([exit, stderr], [2, 'error: 172800000 is too long [CONTROL_TOKEN_TTL]\n'], 'the server decides');
});

test('daemons are given what was asked for', async () => {
  const given = async (words: string): Promise<unknown> => {
    const { exit, daemons, where } = await godwit(words);
    assert.deepEqual([exit, where], [0, []]);
    return daemons[0];
  };
  const stateDir = '/var/lib/godwit';
  const runDir = '/run/godwit';
  assert.deepEqual(await given('init --name lab --listen 10.0.0.1:7443 --listen [::1]:7443'), ['init', { stateDir, name: 'lab', listen: [{ host: '10.0.0.1', port: 7443 }, { host: '::1', port: 7443 }] }]);
  assert.deepEqual(await given('init'), ['init', { stateDir, listen: [] }]);
  assert.deepEqual(await given('server --listen :7443 --run-dir /r'), ['server', { stateDir, runDir: '/r', listen: { host: '', port: 7443 } }]);
  assert.deepEqual(await given('server'), ['server', { stateDir, runDir }]);
  assert.deepEqual(await given('agent --state-dir /s'), ['agent', { stateDir: '/s', runDir, scripts: '/etc/godwit/scripts', keys: '/etc/godwit/keys' }]);
  const metrics = { address: '::1', port: 9442 };
  assert.deepEqual(await given('agent --metrics [::1]:9442 --keys /k'), ['agent', { stateDir, runDir, scripts: '/etc/godwit/scripts', keys: '/k', metrics }]);
  const join = ['join', { url: 'https://10.0.0.1:7443', token: 't', address: '10.0.0.2', name: 'host-b', peerPort: 7445, stateDir: '/s' }];
  assert.deepEqual(await given('agent join https://10.0.0.1:7443 --token t --address 10.0.0.2 --name host-b --peer-port 7445 --state-dir /s'), join);
  assert.deepEqual(await given('agent --state-dir /s join https://10.0.0.1:7443 --token t --address 10.0.0.2 --name host-b --peer-port 7445'), join);
  assert.deepEqual(await given('lab up --hosts 3'), ['labUp', { hosts: 3 }]);
  assert.deepEqual(await given('lab down'), ['labDown', undefined]);
  assert.deepEqual(await given('pulse end --run-dir /r'), ['endPulse', { runDir: '/r' }]);
  assert.deepEqual(await given('pulse end'), ['endPulse', { runDir: '/run/godwit' }]);
});

test('ages, as kubectl has them', () => {
  const [s, m, h, d] = [1000, 60_000, 3_600_000, 86_400_000];
  const ages: readonly (readonly [number, string])[] = [
    [-5 * s, '0s'], [119 * s, '119s'], [2 * m, '2m'], [9 * m + 59 * s, '9m59s'], [10 * m + 5 * s, '10m'], [179 * m, '179m'], [3 * h, '3h'],
    [7 * h + 59 * m, '7h59m'], [47 * h, '47h'], [2 * d, '2d'], [7 * d + 23 * h, '7d23h'], [8 * d, '8d'], [730 * d, '2y'], [800 * d, '2y70d'],
  ];
  for (const [span, text] of ages) assert.equal(formatAge(span), text);
});

test('suggestions: a distance is symmetric, and one slip is always found', () => {
  fc.assert(fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), (a, b) => {
    assert.equal(editDistance(a, b), editDistance(b, a));
    assert.equal(editDistance(a, b) === 0, a === b);
  }));
  assert.equal(editDistance('memroy', 'memory'), 1);
  assert.equal(nearest('memroy', ['cpus', 'memory']), 'memory');
  assert.equal(nearest('spaceships', ['hosts', 'vms']), undefined);
});

test('bin/godwit runs by a link from elsewhere, and says when there is no Node that is new enough', () => {
  const script = join(import.meta.dirname, '../../../bin/godwit');
  const directory = mkdtempSync(join(tmpdir(), 'gwcli-'));
  try {
    symlinkSync(script, join(directory, 'godwit'));
    const ran = spawnSync(join(directory, 'godwit'), ['get', 'vmz'], { encoding: 'utf8' });
    assert.deepEqual([ran.status, ran.stdout], [2, '']);
    assert.match(ran.stderr, /did you mean vm\?/);
    // A copy has no node_modules beside it, and finds an old node first.
    mkdirSync(join(directory, 'a/bin'), { recursive: true });
    mkdirSync(join(directory, 'old'));
    writeFileSync(join(directory, 'old/node'), '#!/bin/sh\necho 20\n', { mode: 0o755 });
    spawnSync('cp', [script, join(directory, 'a/bin/godwit')]);
    const none = spawnSync(join(directory, 'a/bin/godwit'), ['get', 'vms'], { encoding: 'utf8', env: { PATH: `${join(directory, 'old')}:/usr/bin:/bin` } });
    assert.deepEqual([none.status, none.stdout], [1, '']);
    assert.match(none.stderr, /^error: godwit needs Node 24 or newer.*\[CLI_NO_NODE\]\nWhat to do: /);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
