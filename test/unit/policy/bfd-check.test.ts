/** What is wrong with a declared BFD session, with paths, and with the policy's detection. */
import { strict as assert } from 'node:assert';
import test from 'node:test';
import type { BfdSessionSpec } from '../../../src/model/bfd-session.ts';
import type { PolicySpec } from '../../../src/model/cluster-policy.ts';
import type { HostSpec } from '../../../src/model/host.ts';
import type { VirtualRouterSpec } from '../../../src/model/virtual-router.ts';
import { type BfdSurroundings, type Problem, checkBfdSession, checkBfdTracks, trackersOf } from '../../../src/policy/bfd-check.ts';
import { checkDetection, checkHostPaths, checkPathNamed } from '../../../src/policy/path-check.ts';

const hosts = new Map<string, HostSpec>([['h1', { address: '10.0.0.1', paths: { storage: '10.1.0.1' } }], ['h2', { address: '10.0.0.2' }], ['h6', { address: 'fd00::6' }]]);
const around: BfdSurroundings = { sessions: new Map(), hosts, routers: new Map(), betweenHosts: true, alone: false };
const fine: BfdSessionSpec = { peer: '10.0.0.254', hosts: { h1: {} }, interface: 'eth0' };
const said = (problems: readonly Problem[], severity: Problem['severity'] = 'error'): string[] =>
  problems.filter((p) => p.severity === severity).map(({ path, message }) => `${path}: ${message}`);
const errors = (spec: Partial<BfdSessionSpec>, more: Partial<BfdSurroundings> = {}): string[] => said(checkBfdSession('s', { ...fine, ...spec }, { ...around, ...more }));
const warnings = (spec: Partial<BfdSessionSpec>, more: Partial<BfdSurroundings> = {}): string[] => said(checkBfdSession('s', { ...fine, ...spec }, { ...around, ...more }), 'warning');
const only = (found: readonly string[], pattern: RegExp): void => {
  assert.equal(found.length, 1, found.join('\n'));
  assert.match(found[0] ?? '', pattern);
};

test('a session that can be', () => {
  assert.deepEqual(checkBfdSession('s', fine, around), []);
  assert.deepEqual(checkBfdSession('s', { peer: '192.0.2.1', hosts: { h1: {}, h2: {} }, hops: 3 }, around), []);
  assert.deepEqual(checkBfdSession('s', { peer: 'fe80::1', hosts: { h1: { interface: 'eth1' } } }, around), []);
  assert.deepEqual(checkBfdSession('s', { ...fine, echo: '50ms', echoReceive: '0ms' }, around), []);
});

test('one hop needs an interface, several an address of the family of the peer', () => {
  const { interface: _, ...without } = fine;
  only(said(checkBfdSession('s', without, around)), /^\/spec\/hosts\/h1: over one hop, by which interface of h1/);
  only(errors({ hosts: { h6: {} }, hops: 2 }), /^\/spec\/hosts\/h6: its address fd00::6 is not of the family of the peer 10\.0\.0\.254/);
  only(errors({ hosts: { h1: { local: 'fd00::1' } }, hops: 2 }), /^\/spec\/hosts\/h1\/local: fd00::1 is not of the family/);
  only(errors({ hosts: { h1: { local: '224.0.0.1' } }, hops: 2 }), /^\/spec\/hosts\/h1\/local: "224.0.0.1" is no IP address that a host can have/);
  only(errors({ peer: '10.0.0.1', hops: 2 }), /h1's own address/);
  only(errors({ hosts: { gone: {} }, hops: 2 }), /^\/spec\/hosts\/gone: over several hops .* not known/);
  assert.deepEqual(errors({ hosts: { gone: {} }, hops: 2 }, { alone: true }), [], 'who looks at files alone does not know its hosts');
  only(warnings({ hosts: { h1: { local: '10.0.0.1' } } }), /^\/spec\/hosts\/h1\/local: over one hop/);
});

test('peers, echoes, intervals and keys', () => {
  only(errors({ peer: '::::' }), /^\/spec\/peer: "::::" is no IP address/);
  only(errors({ peer: '127.0.0.1' }), /^\/spec\/peer/);
  assert.match(errors({ peer: 'fe80::1', hosts: { h6: {} }, hops: 2 }).join(), /\/spec\/peer: fe80::1 is link-local/);
  only(errors({ hops: 2, echo: '50ms' }), /^\/spec\/echo: echoes do not go over several hops/);
  only(errors({ hops: 2, echoReceive: '50ms' }), /^\/spec\/echoReceive/);
  assert.deepEqual(errors({ hops: 2, echoReceive: '0ms' }), []);
  for (const interval of ['0ms', '0.0004ms', '4294967.296ms', '72min']) only(errors({ interval }), /^\/spec\/interval: .* cannot be said in BFD/);
  for (const interval of ['0.0015ms', '1.0001ms']) only(errors({ interval }), /^\/spec\/interval: .* no whole number of microseconds/);
  for (const interval of ['0.001ms', '3.3ms', '4294967.295ms', '71min', '2.01 s']) assert.deepEqual(errors({ interval }), [], interval);
  only(errors({ receive: '0ms' }), /^\/spec\/receive/);
  only(errors({ echo: '0ms' }), /^\/spec\/echo:/);
  only(errors({ authentication: { type: 'sha1', keys: [{ id: 1, file: 'a' }, { id: 1, file: 'b' }] } }), /^\/spec\/authentication\/keys\/1\/id: key 1 is there twice/);
  only(warnings({ interval: '3ms' }), /^\/spec\/interval: 3 ms is faster/);
});

test('two sessions of a host that could not be told apart; one that hosts keep themselves', () => {
  const sessions = new Map<string, BfdSessionSpec>([['other', { peer: '10.0.0.254', hosts: { h1: { interface: 'eth0' } } }], ['s', fine]]);
  only(errors({}, { sessions }), /^\/spec\/hosts\/h1: BfdSession other runs between the same ends on h1/);
  assert.deepEqual(errors({ interface: 'eth1' }, { sessions }), []);
  assert.deepEqual(errors({ hops: 2 }, { sessions }), [], 'one hop and several go to other ports');
  const peering = { peer: '10.0.0.2', hops: 2 };
  only(warnings(peering), /^\/spec\/hosts\/h1: h1 and h2 keep a session between these addresses/);
  assert.deepEqual(warnings(peering, { betweenHosts: false }), []);
});

test('tracks of virtual routers name a session of that host', () => {
  const router: VirtualRouterSpec = { vrid: 1, addresses: ['10.0.0.9/24'], hosts: { h1: {}, h2: {} }, interface: 'eth0', track: [{ bfd: 's' }] };
  assert.deepEqual(checkBfdTracks(router, new Map([['s', { ...fine, hosts: { h1: {}, h2: {} } }]]), false), []);
  only(said(checkBfdTracks(router, new Map([['s', fine]]), false)), /^\/spec\/track\/0\/bfd: BfdSession s is not one of h2/);
  only(said(checkBfdTracks(router, new Map([['t', fine]]), false)), /^\/spec\/track\/0\/bfd: there is no BfdSession s: declare it, or name one of t$/);
  assert.deepEqual(checkBfdTracks(router, new Map(), true), [], 'it may be declared elsewhere');
  const routers = new Map([['r', router]]);
  only(errors({}, { routers }), /^\/spec\/hosts: VirtualRouter r hangs on this session on h2/);
  assert.deepEqual(trackersOf('s', routers), [{ router: 'r', host: 'h1' }, { router: 'r', host: 'h2' }]);
});

test('the paths of a host', () => {
  const faults = (spec: HostSpec, name = 'h2'): string[] => said(checkHostPaths(name, spec, hosts));
  assert.deepEqual(faults({ address: '10.0.0.2', paths: { storage: '10.1.0.2' } }), []);
  only(faults({ address: '10.0.0.2', paths: { main: '10.1.0.2' } }), /^\/spec\/paths\/main: path main is that of the host's address/);
  only(faults({ address: '10.0.0.2', paths: { storage: '10.1' } }), /^\/spec\/paths\/storage: "10.1" is no IP address/);
  only(faults({ address: '10.0.0.2', paths: { storage: 'fd01::2' } }), /^\/spec\/paths\/storage: h1 has an IPv4 address on path storage/);
  only(faults({ address: '10.0.0.2', paths: { x: 'fe80::2' } }), /^\/spec\/paths\/x: fe80::2 is link-local/);
  only(faults({ address: '10.0.0.2', paths: { x: '10.0.0.2' } }), /^\/spec\/paths\/x: 10.0.0.2 is its path main too/);
  only(faults({ address: '10.0.0.2', paths: { x: '10.1.0.1' } }), /^\/spec\/paths\/x: 10.1.0.1 is h1's on path storage/);
  assert.deepEqual(checkPathNamed('storage', '/spec/path', hosts), []);
  assert.deepEqual(checkPathNamed('main', '/spec/path', hosts), []);
  only(said(checkPathNamed('stroage', '/spec/path', hosts), 'warning'), /no host has a path stroage.*main, storage/);
});

test('the detection of a policy', () => {
  const faults = (spec: PolicySpec): string[] => said(checkDetection(spec, hosts));
  assert.deepEqual(checkDetection({ quality: { loss: { rising: 0.05, falling: 0.01 } }, paths: { storage: {} }, monitor: { reflectTo: ['10.0.0.0/8', 'fd00::1'] } }, hosts), []);
  only(faults({ quality: { loss: { rising: 0.01, falling: 0.02 } } }), /^\/spec\/quality\/loss\/falling/);
  only(faults({ quality: { latency: { rising: '1ms', falling: '2ms' } } }), /^\/spec\/quality\/latency\/falling/);
  only(faults({ alerts: { a: { metric: 'path.loss', rising: 1, falling: 1 } } }), /^\/spec\/alerts\/a\/falling/);
  only(faults({ detect: { interval: '0ms' } }), /^\/spec\/detect\/interval/);
  only(faults({ detect: { floor: '6s' } }), /^\/spec\/detect\/floor/);
  only(faults({ monitor: { rate: 0.5 } }), /^\/spec\/monitor\/rate/);
  only(faults({ monitor: { reflectTo: ['10.0.0.0/33'] } }), /^\/spec\/monitor\/reflectTo\/0/);
  only(faults({ webhooks: ['http://['] }), /^\/spec\/webhooks\/0/);
  only(said(checkDetection({ paths: { stroage: {} } }, hosts), 'warning'), /^\/spec\/paths\/stroage/);
  only(said(checkDetection({ alerts: { a: { metric: 'path.loss', rising: 1, falling: 0, host: 'h9' } } }, hosts), 'warning'), /^\/spec\/alerts\/a\/host/);
});
