import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from '../../../src/api/api.ts';
import { golden } from './golden.ts';
import { StubApi, StubIo, godwit } from './stub.ts';

const GOOD = `# a cluster
kind: Network
name: lan
spec: {bridge: br0}
---
kind: Vm
name: web-1
labels: {tier: web}
spec:
  cpus: 2
  memory: 4GiB
  nics:
    - network: lan
      mac: 52:54:00:00:00:0a
---
# nothing here
`;
const BAD = `kind: Vm
name: Web_1
spec:
  cpus: "2"
  memroy: 1GiB
  accelerator: tgc
  nics:
    - network: lan
      mac: 01:00:5e:00:00:01
      addres: [192.0.2.1]
  disks: [{path: vm.img, format: raw}]
---
kind: Network
name: lan
name: wan
spec: {bridge: br0}
---
kind: Host
name: host-a
spec:
  address: 10.0.0.1
  maxBandwidth: fast
spce: {}
---
kind: vms
name: x
---
kind: Event
name: x
---
- a
- b
---
spec: {}
---
kind: Network
name: dmz
spec:
---
kind: Network
name: dmz
spec: {bridge: br0, mtu: 10}
---
kind: Policy
name: default
spec: {moves: {maxPause: 300, movesPerVm: 9}}
---
a: [1
`;

test('what was declared is sent as it stands, and what became of it is said', async () => {
  const api = new StubApi();
  api.applied = (documents) => documents.map(({ name }) => ({ kind: name === 'lan' ? 'Network' : 'Vm', name, change: name === 'lan' ? 'unchanged' : 'created' }));
  const { exit, stdout, stderr } = await godwit('apply -f a.yaml', api, new StubIo({ 'a.yaml': GOOD }));
  assert.deepEqual([exit, stdout, stderr], [0, 'network/lan unchanged\nvm/web-1 created\n', '']);
  assert.deepEqual(api.calls, [['apply', [
    { kind: 'Network', name: 'lan', spec: { bridge: 'br0' } },
    { kind: 'Vm', name: 'web-1', labels: { tier: 'web' }, spec: { cpus: 2, memory: '4GiB', nics: [{ network: 'lan', mac: '52:54:00:00:00:0a' }] } },
  ], { dryRun: false }]]);
  const dry = await godwit('apply --dry-run -f -', api, new StubIo({ '-': GOOD }));
  assert.equal(dry.stdout, 'network/lan unchanged (dry run)\nvm/web-1 created (dry run)\n');
});

test('every complaint at once, each with its place, and nothing is sent', async () => {
  const api = new StubApi();
  const { exit, stdout, stderr } = await godwit('apply -f bad.yaml', api, new StubIo({ 'bad.yaml': BAD }));
  assert.deepEqual([exit, stdout, api.calls], [2, '', []]);
  golden('apply-complaints', stderr);
});

test("the server's faults get the place of what they name, in the right file", async () => {
  const api = new StubApi();
  api.applied = () => {
    throw new ApiError(422, 'CONTROL_INVALID', 'It cannot be applied', {
      faults: [
        { document: 2, path: '/spec/bridge', message: 'there is no such bridge on host-a; make it there' },
        { document: 1, path: '/spec/nics/0/network', message: 'there is no network lan; declare it' },
        { document: 1, path: '/spec/host', message: 'somewhere in spec' },
      ],
    });
  };
  const other = '\n\nkind: Network\nname: wan\nspec:\n  bridge: br7\n';
  const { exit, stdout, stderr } = await godwit('apply -f a.yaml -f b.yaml', api, new StubIo({ 'a.yaml': GOOD, 'b.yaml': other }));
  assert.deepEqual([exit, stdout], [2, '']);
  assert.deepEqual(stderr.split('\n'), [
    'a.yaml:9:1: spec.host: somewhere in spec',
    'a.yaml:13:16: spec.nics[0].network: there is no network lan; declare it',
    'b.yaml:6:11: spec.bridge: there is no such bridge on host-a; make it there',
    'error: 3 complaints; nothing was applied [CONTROL_INVALID]', '',
  ]);
});

test('a refusal without faults, a file that is not there, a file with nothing in it', async () => {
  const api = new StubApi();
  api.applied = () => { throw new ApiError(507, 'STORE_FULL', 'No room on the disk: make some'); };
  const full = await godwit('apply -f a.yaml', api, new StubIo({ 'a.yaml': GOOD }));
  assert.deepEqual([full.exit, full.stderr], [1, 'error: No room on the disk: make some [STORE_FULL]\n']);
  const absent = await godwit('apply -f c.yaml', new StubApi());
  assert.equal(absent.exit, 2);
  assert.match(absent.stderr, /^error: c\.yaml cannot be read; nothing was applied \[CLI_FILE_UNREADABLE\]: ENOENT.*\[ENOENT\]\n$/);
  const empty = await godwit('apply -f a.yaml', new StubApi(), new StubIo({ 'a.yaml': '# soon\n---\n' }));
  assert.deepEqual([empty.exit, empty.stdout], [2, '']);
  assert.match(empty.stderr, /nothing to apply in a\.yaml/);
});

test('declared in two files', async () => {
  const { exit, stderr } = await godwit('apply -f a.yaml -f b.yaml', new StubApi(), new StubIo({ 'a.yaml': GOOD, 'b.yaml': GOOD }));
  assert.equal(exit, 2);
  assert.match(stderr, /^b\.yaml:3:7: name: Network lan is declared at a\.yaml:3 already; keep one of them$/m);
});
