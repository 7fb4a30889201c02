import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ApiError } from '../../../src/api/api.ts';
import { golden } from './golden.ts';
import { StubApi, StubIo, godwit } from './stub.ts';

const FINE = `kind: VirtualRouter
name: gw
spec:
  vrid: 10
  addresses: [192.0.2.1/24]
  interface: eth0
  hosts:
    host-a: { priority: 150 }
    host-b: { track: [{ interface: eth1, weight: -60 }] }
---
kind: Vm
name: web-1
spec:
  cpus: 1
  memory: 1GiB
  nics: [{ network: lan, mac: 52:54:00:00:00:0a }]
`;
const BAD = `kind: VirtualRouter
name: gw
spec:
  vrid: 10
  version: 2
  interval: 100ms
  addresses:
    - 192.0.2.1/24
    - fe80::1
  hosts:
    host-a: { interface: eth0 }
    host-b:
      priority: 255
---
kind: VirtualRouter
name: other
spec: { vrid: 10, addresses: [192.0.2.1/24], interface: eth0, hosts: { host-a: {} } }
`;
const UNREADABLE = `kind: VirtualRouter
name: gw
spec:
  vrid: 300
  adresses: [192.0.2.1/24]
  hosts:
    host-a:
      track: [{ interfaces: eth1 }, { script: /bin/true }]
`;

test('by the files alone: no server is asked', async () => {
  const parts: string[] = [];
  const files = { 'fine.yaml': FINE, 'bad.yaml': BAD, 'unreadable.yaml': UNREADABLE };
  for (const [words, code] of [['fine.yaml', 0], ['fine.yaml bad.yaml', 2], ['bad.yaml', 2], ['unreadable.yaml', 2], ['- ', 2], ['absent.yaml', 2]] as const) {
    const api = new StubApi();
    const { exit, stdout, stderr, where } = await godwit(`config check --offline ${words}`, api, new StubIo({ ...files, '-': '# nothing\n' }));
    assert.deepEqual([exit, api.calls, where], [code, [], []]);
    parts.push(`$ godwit config check --offline ${words}\n${stdout}${stderr}`);
  }
  golden('config-check', parts.join('\n'));
});

test("the server's warnings are no failure, and have the place of what they name; its faults are one", async () => {
  const api = new StubApi();
  api.checked = () => [{ document: 1, path: '/spec/nics/0/network', message: 'is far away' }, { document: 0, path: '/spec/hosts/host-a', message: 'is slow' }];
  const warned = await godwit('config check fine.yaml', api, new StubIo({ 'fine.yaml': FINE }));
  assert.deepEqual([warned.exit, warned.stdout], [0, '2 documents, no complaints, 2 warnings\n']);
  assert.deepEqual(warned.stderr.split('\n'), [
    'fine.yaml:8:5: warning: spec.hosts.host-a: is slow', 'fine.yaml:16:21: warning: spec.nics[0].network: is far away', '',
  ]);
  assert.deepEqual(api.calls.map((call) => (Array.isArray(call) ? call[0] as unknown : call)), ['check']);
  api.checked = () => { throw new ApiError(400, 'CONTROL_INVALID', 'x', { faults: [{ document: 0, path: '/spec/vrid', message: 'is taken' }] }); };
  const refused = await godwit('config check fine.yaml', api, new StubIo({ 'fine.yaml': FINE }));
  assert.deepEqual([refused.exit, refused.stdout, refused.stderr], [2, '', 'fine.yaml:4:9: spec.vrid: is taken\nerror: 1 complaint [CONTROL_INVALID]\n']);
});

test('the examples are as they should be', async () => {
  const root = join(import.meta.dirname, '../../../docs/examples');
  const files = Object.fromEntries(globSync('*.yaml', { cwd: root }).map((name) => [name, readFileSync(join(root, name), 'utf8')]));
  assert.ok(Object.keys(files).length > 0);
  for (const name of Object.keys(files)) {
    const { exit, stderr } = await godwit(`config check --offline ${name}`, new StubApi(), new StubIo(files));
    assert.deepEqual([exit, stderr], [0, ''], name);
  }
});
