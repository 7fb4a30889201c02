import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { checkDocument } from '../../../src/api/check-document.ts';
import type { ShownRouterStatus } from '../../../src/model/virtual-router.ts';
import { golden } from './golden.ts';
import { NOW, cluster, copying, event, failed, host, router, routers, unplaced, untold, vm } from './resources.ts';
import { StubApi, StubIo, godwit } from './stub.ts';

const api = (): StubApi => new StubApi(cluster);

test('tables of every kind', async () => {
  const parts: string[] = [];
  for (const kind of ['hosts', 'networks', 'vms', 'migrations', 'events', 'policies']) {
    for (const format of ['table', 'wide']) {
      const { exit, stdout, stderr } = await godwit(`get ${kind} -o ${format}`, api());
      assert.deepEqual([exit, stderr], [0, '']);
      parts.push(`$ godwit get ${kind} -o ${format}\n${stdout}`);
    }
  }
  golden('get', parts.join('\n'));
});

test('one thing, by every word for it', async () => {
  const said = await Promise.all(['vm web-2', 'vms web-2', 'Vm web-2', 'vm/web-2'].map((words) => godwit(`get ${words}`, api())));
  assert.equal(new Set(said.map(({ stdout }) => stdout)).size, 1);
  assert.match(said[0]!.stdout, /^NAME .*\nweb-2 .*\n$/);
  for (const words of ['no', 'node', 'mig', 'ev', 'net', 'pol']) assert.equal((await godwit(`get ${words}`, api())).exit, 0);
});

test('labels select, and nothing found is said on stderr', async () => {
  const some = await godwit('get vms -l tier=db', api());
  assert.match(some.stdout, /^NAME.*\ndb-1 .*\n$/);
  const none = await godwit('get vms -l tier=none', api());
  assert.deepEqual([none.exit, none.stdout, none.stderr], [0, '', 'There are no vms.\n']);
  assert.equal((await godwit('get vms -l tier', api())).exit, 2);
});

test('json is one object, yaml is documents that may be applied again', async () => {
  const json: unknown = JSON.parse((await godwit('get vms -o json', api())).stdout);
  assert.deepEqual(json, { kind: 'List', items: [failed, vm('web-1', { migration: 'web-1-3', state: 'moving' }), vm('web-2'), unplaced] });
  assert.deepEqual(JSON.parse((await godwit('get vm db-1 -o json', api())).stdout), failed);
  for (const kind of ['hosts', 'networks', 'vms', 'policies']) {
    const { stdout } = await godwit(`get ${kind} -o yaml`, api());
    const values = parseAllDocuments(stdout).map((document): unknown => document.toJS());
    assert.ok(values.length > 0);
    assert.deepEqual(values.filter((value) => !('kind' in checkDocument(value))), []);
  }
});

test('a watch shows what there is, then each change, until Ctrl-C', async () => {
  const watched = api();
  const io = new StubIo();
  watched.story = function* () {
    yield vm('web-2', { placement: { host: 'host-with-a-long-name', epoch: 4, start: 1 } });
    yield failed;
    yield 'web-10';
    io.interrupt();
  };
  const { exit, stdout } = await godwit('get vms --watch', watched, io);
  assert.equal(exit, 0);
  golden('get-watch', stdout);
});

test('a watch by name or label tells of nothing else, and of what no longer fits as deleted', async () => {
  const relabelled = { ...failed, labels: { tier: 'old' } };
  const story = (io: StubIo) => function* () {
    yield vm('web-2');
    yield relabelled;
    yield 'web-2';
    io.interrupt();
  };
  const run = async (words: string): Promise<unknown[]> => {
    const [watched, io] = [api(), new StubIo()];
    watched.story = story(io);
    return (await godwit(words, watched, io)).stdout.trim().split('\n').map((line): unknown => JSON.parse(line));
  };
  assert.deepEqual(await run('get vms -w -o json -l tier=db'), [{ change: 'put', resource: failed }, { change: 'delete', kind: 'Vm', name: 'db-1' }]);
  assert.deepEqual(await run('get vm db-1 -w -o json'), [{ change: 'put', resource: failed }, { change: 'put', resource: relabelled }]);
});

test('events --watch begins with the last hundred', async () => {
  const io = new StubIo();
  const many = new StubApi(Array.from({ length: 250 }, (_, n) => event(n, { kind: 'Vm', name: 'v' }, 'Started', `number ${n}`)));
  many.story = function* () {
    yield event(250, { kind: 'Vm', name: 'v' }, 'Started', 'the newest');
    yield '0000000000000000';
    io.interrupt();
  };
  const lines = (await godwit('events -w', many, io)).stdout.trim().split('\n');
  assert.equal(lines.length, 1 + 100 + 1);
  assert.match(lines[1]!, /number 150$/);
  assert.match(lines.at(-1)!, /the newest$/);
});

test('text from elsewhere cannot move the cursor', async () => {
  const nasty = new StubApi([vm('web-1', { reason: 'a\n\u001b[2Jb' })]);
  const { stdout } = await godwit('get vms -o wide', nasty);
  assert.equal(stdout.split('\n').length, 3);
  assert.ok(!stdout.includes('\u001b'));
});

test('describe', async () => {
  const parts: string[] = [];
  for (const target of ['host host-c', 'network lan', 'network web', 'network backend', 'vm db-1', 'vm web-1', 'migration web-1-3', 'policy default', 'event 0000000000000003']) {
    const { exit, stdout, stderr } = await godwit(`describe ${target}`, api());
    assert.deepEqual([exit, stderr], [0, '']);
    parts.push(`$ godwit describe ${target}\n${stdout}`);
  }
  golden('describe', parts.join('\n'));
});

test('virtual routers', async () => {
  const parts: string[] = [];
  const both = (): StubApi => new StubApi([host('host-a', 1), ...routers]);
  for (const words of ['get routers', 'get vr -o wide', 'describe router gw', 'describe virtualrouter v6', 'describe host host-a']) {
    const { exit, stdout, stderr } = await godwit(words, both(), new StubIo({}, { LANG: 'C.UTF-8' }));
    assert.deepEqual([exit, stderr], [0, '']);
    parts.push(`$ godwit ${words}\n${stdout}`);
  }
  golden('routers', parts.join('\n'));
  assert.match((await godwit('describe router gw', both())).stdout, /backup -> active/, 'without Unicode');
  const { stdout } = await godwit('get virtualrouters -o yaml', both());
  assert.deepEqual(parseAllDocuments(stdout).map((document): unknown => document.toJS()).filter((value) => !('kind' in checkDocument(value))), []);
});

test('a virtual router in a word', async () => {
  const [a, b] = [router.status?.hosts['host-a'], router.status?.hosts['host-b']];
  assert.ok(a && b);
  const said = async (hosts: Readonly<Record<string, ShownRouterStatus>>): Promise<string> => {
    const active = Object.keys(hosts).filter((name) => hosts[name]?.state === 'active');
    const { stdout } = await godwit('get router gw -o wide', new StubApi([{ ...router, spec: { ...router.spec, hosts: { a: {}, b: {} } }, status: { hosts, active } }]));
    const titles = stdout.split('\n')[0] ?? '';
    const row = stdout.split('\n')[1] ?? '';
    return `${row.slice(titles.indexOf('STATE')).split(' ')[0] ?? ''}: ${row.slice(titles.indexOf('REASON'))}`;
  };
  const { active: _, ...deaf } = b;
  assert.deepEqual(await Promise.all([
    said({ a, b }), said({ a, b: a }), said({ a, b: { ...b, state: 'fault' } }), said({ a }), said({ a: b, b }), said({ a: deaf, b: deaf }),
    said({ a: { ...a, state: 'unknown' }, b: deaf }), said({ a: { ...a, state: 'fault', reason: 'eth0 is down' }, b: { ...deaf, state: 'initialize' } }), said({}),
  ]), [
    'active: Active on a', 'contested: a, b all say they are Active', 'degraded: Active on a; b: fault', 'degraded: Active on a; b: not told of it yet',
    'elsewhere: Active is 192.0.2.251, as a hears it', 'electing: Nobody is Active yet', 'unknown: Nobody is known to be Active; not known: a',
    'fault: Nobody can be Active: a: eth0 is down; b: initialize', 'untold: None of 2 hosts has told of it yet',
  ]);
  assert.equal(untold.status, undefined);
});

test('the fraction copied is rounded down', async () => {
  const { stdout } = await godwit('get migrations', new StubApi([copying(0.9999)]));
  assert.match(stdout, / 99% /);
  assert.ok(NOW > 0);
});
