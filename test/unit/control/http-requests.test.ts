/** Requests over real sockets: what they call, and what garbage gets. */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { type Socket, connect } from 'node:net';
import { test } from 'node:test';
import { GodwitError } from '../../../src/base/error.ts';
import { ApiError } from '../../../src/api/api.ts';
import { startHttp } from '../../../src/control/http-server.ts';
import { StoreError } from '../../../src/store/store-errors.ts';
import { ask, startFixture } from './http-fixture.ts';
import { gateway, transition } from './router-parts.ts';
import pino from 'pino';

test('each path calls its part of the Api', async (t) => {
  const { plane, socketPath } = await startFixture(t);
  plane.put('Vm', 'web-1', { cpus: 1, memory: '1GiB' });
  const to = { socketPath };
  assert.deepEqual(
    (await ask(to, 'GET', '/v1/vms')).json, { items: [{ kind: 'Vm', name: 'web-1', spec: { cpus: 1, memory: '1GiB' }, revision: 1 }] },
  );
  assert.equal((await ask(to, 'GET', '/v1/vms/web-1')).json['name'], 'web-1');
  await ask(to, 'GET', '/v1/vms?label=a%3Db%3Dc&label=tier%3D&last=5');
  await ask(to, 'POST', '/v1/apply?dryRun=true', JSON.stringify([{ kind: 'Vm', name: 'a', spec: {} }]));
  await ask(to, 'POST', '/v1/vms/web-1/start');
  await ask(to, 'POST', '/v1/vms/web-1/stop?force=true');
  await ask(to, 'POST', '/v1/vms/web-1/announce');
  assert.deepEqual((await ask(to, 'POST', '/v1/check', '[{"kind":"Vm","name":"a"}]')).json, { warnings: [{ document: 0, path: '/spec', message: 'is odd' }] });
  assert.deepEqual(plane.calls, [
    'list Vm {}', 'list Vm {"labels":{"a":"b=c","tier":""},"last":5}', 'apply 1 true', 'start web-1', 'stop web-1 true', 'announce web-1', 'check 1',
  ]);
  plane.put('Event', '1', { at: 1, severity: 'info', about: { kind: 'VirtualRouter', name: 'gw' }, reason: 'RouterActive', message: 'x', evidence: transition(1) });
  assert.deepEqual(((await ask(to, 'GET', '/v1/events/1')).json['spec'] as { evidence: object }).evidence, transition(1));
  plane.put('VirtualRouter', 'gw', gateway()['spec']);
  assert.deepEqual((await ask(to, 'GET', '/v1/routers/gw')).json['spec'], gateway()['spec']);
  for (const name of ['10.1.0.5', 'web%2F10.1.0.5']) assert.equal((await ask(to, 'GET', `/v1/addresses/${name}`)).json.code, 'CONTROL_NOT_FOUND', 'for the plane to say what was meant');
  const made = await ask(to, 'POST', '/v1/migrations', '{"vm":"web-1","to":"host-b"}');
  assert.equal(made.status, 201);
  assert.equal((await ask(to, 'POST', '/v1/migrations/web-1-1/cancel')).json['name'], 'web-1-1');
  assert.equal((await ask(to, 'POST', '/v1/tokens', '{"ttl":60000}')).json['expiresAt'], 60_000);
  assert.equal((await ask(to, 'POST', '/v1/tokens', '{"ttl":99999999999.5}')).json['expiresAt'], 99_999_999_999.5, 'for the plane to judge');
  assert.equal((await ask(to, 'DELETE', '/v1/vms/web-1')).status, 204);
  assert.equal((await ask(to, 'GET', '/v1/vms/web-1')).json.code, 'CONTROL_NOT_FOUND');
  assert.match(String((await ask(to, 'GET', '/v1/version')).json['version']), /^\d+\.\d+\.\d+$/);
  assert.deepEqual((await ask(to, 'GET', '/healthz')).json, { status: 'ok' });
});

test('the OpenAPI document is 3.1 and names every path and declaration', async (t) => {
  const { socketPath } = await startFixture(t);
  const { json } = await ask({ socketPath }, 'GET', '/openapi.json');
  assert.equal(json['openapi'], '3.1.0');
  const paths = Object.keys(json['paths'] as object);
  for (const path of ['/v1/vms', '/v1/vms/{name}', '/v1/policies/{name}', '/v1/apply', '/v1/check', '/v1/routers', '/v1/vms/{name}/announce', '/v1/migrations/{name}/cancel', '/v1/tokens', '/agent/v1/report', '/agent/v1/wanted', '/agent/v1/join', '/healthz']) {
    assert.ok(paths.includes(path), path);
  }
  assert.deepEqual(Object.keys((json['components'] as { schemas: object }).schemas).sort(), ['BfdSession', 'Host', 'Network', 'Policy', 'VirtualRouter', 'Vm']);
});

test('what is wrong with a request is a 4xx problem with a code, never a 500', async (t) => {
  const { plane, socketPath, log } = await startFixture(t);
  const cases: readonly (readonly [string, string, string | undefined, number, string])[] = [
    ['POST', '/v1/apply', '{', 400, 'API_MALFORMED'],
    ['POST', '/v1/apply', '', 400, 'API_MALFORMED'],
    ['POST', '/v1/apply', '[{"kind":"Vm","name":"x","__proto__":{"a":1}}]', 400, 'API_MALFORMED'],
    ['POST', '/v1/apply', '{"kind":"Vm"}', 400, 'API_INVALID'],
    ['POST', '/v1/apply', '[{"kind":"Vm","name":3}]', 400, 'API_INVALID'],
    ['POST', '/v1/apply', '[{"kind":"Vm","name":"a","typo":1}]', 400, 'CONTROL_INVALID'],
    ['POST', '/v1/migrations', '{"vm":"web-1","to":"h","dryrun":true}', 400, 'API_INVALID'],
    ['POST', '/v1/migrations', '{"vm":"../../etc","to":"h"}', 400, 'API_INVALID'],
    ['POST', '/v1/tokens', '{"ttl":"1h"}', 400, 'API_INVALID'],
    ['GET', '/v1/vms/..%2f..%2fetc', undefined, 400, 'API_INVALID'],
    ['GET', '/v1/vms/%ff', undefined, 400, 'API_MALFORMED'],
    ['GET', `/v1/vms/${'a'.repeat(300)}`, undefined, 414, 'API_MALFORMED'],
    ['GET', '/v1/vms?lable=a%3Db', undefined, 400, 'API_INVALID'],
    ['GET', '/v1/vms?last=-1', undefined, 400, 'API_INVALID'],
    ['GET', '/v1/cats', undefined, 404, 'API_NO_SUCH_PATH'],
    ['PUT', '/v1/vms', '{}', 404, 'API_NO_SUCH_PATH'],
    ['POST', '/v1/tokens', `{"ttl":60000,"x":"${'y'.repeat(1_100_000)}"}`, 413, 'API_TOO_LARGE'],
  ];
  for (const [method, path, body, status, code] of cases) {
    const answer = await ask({ socketPath }, method, path, body);
    assert.deepEqual(
      [answer.status, answer.json.code],
      [status, code],
      `${method} ${path.slice(0, 80)} ${body?.slice(0, 60)}: ${answer.body.slice(0, 300)}`,
    );
    assert.match(answer.type, /^application\/problem\+json/);
    assert.doesNotMatch(answer.body, /node_modules|at .*\.ts:/);
  }
  assert.deepEqual(
    (await ask({ socketPath }, 'POST', '/v1/apply', '[{"kind":"Vm","name":"a"},{"kind":"Vm","name":3}]')).json['faults'],
    [{ document: 1, path: '/name', message: 'must be string' }],
  );
  assert.equal(
    (await ask({ socketPath }, 'POST', '/v1/apply', 'kind: Vm', { 'content-type': 'application/yaml' })).json.code, 'API_MEDIA_TYPE',
  );
  assert.deepEqual(plane.calls, ['apply 1 false']);
  assert.deepEqual(log, []);
});

test('the server\'s own failures: the store\'s code goes out, its insides stay in the log', async (t) => {
  const { plane, socketPath, log } = await startFixture(t);
  const failing = async (error: Error): Promise<readonly [number, unknown, unknown]> => {
    plane.failWith = error;
    const { status, json } = await ask({ socketPath }, 'GET', '/v1/vms/x');
    return [status, json.code, json['detail']];
  };
  assert.deepEqual(await failing(new StoreError('STORE_FULL', 'The disk is full')), [507, 'STORE_FULL', 'The disk is full']);
  assert.deepEqual(await failing(new StoreError('STORE_UNAVAILABLE', 'away')), [503, 'STORE_UNAVAILABLE', 'away']);
  assert.deepEqual(await failing(new GodwitError('MODEL_QUANTITY', 'no')), [400, 'MODEL_QUANTITY', 'no']);
  assert.deepEqual(await failing(new ApiError(409, 'CONTROL_X', 'why')), [409, 'CONTROL_X', 'why']);
  const [status, code, detail] = await failing(new TypeError('secret insides'));
  assert.deepEqual([status, code], [500, 'API_INTERNAL']);
  assert.doesNotMatch(String(detail), /secret/);
  assert.match(log.at(-1) ?? '', /secret insides/);
  // A failure before the first event of a watch is an answer as well.
  assert.equal((await ask({ socketPath }, 'GET', '/v1/vms?watch=true')).json.code, 'API_INTERNAL');
});

/** All that comes back until the other side closes. */
const dialogue = (socket: Socket, text: string | Uint8Array): Promise<string> =>
  new Promise((resolve, reject) => {
    let got = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => (got += chunk)).on('error', reject).on('close', () => resolve(got));
    socket.write(text);
  });

test('what is not HTTP gets a problem, and the server lives', async (t) => {
  const { socketPath } = await startFixture(t);
  assert.match(
    await dialogue(connect(socketPath), Uint8Array.from({ length: 200 }, (_, i) => (i * 73) & 0xff)),
    /^HTTP\/1\.1 400 [\s\S]*API_MALFORMED/,
  );
  assert.match(
    await dialogue(connect(socketPath), `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`),
    /^HTTP\/1\.1 431 [\s\S]*API_MALFORMED/,
  );
  assert.equal((await ask({ socketPath }, 'GET', '/healthz')).status, 200);
});

test('the socket is root\'s alone, one server has it, and one left behind is taken over', async (t) => {
  const { socketPath, authority, plane, stop, restart } = await startFixture(t);
  assert.equal(statSync(socketPath).mode & 0o777, 0o600);
  const options = { socketPath, authority, log: pino({ level: 'silent' }) };
  await assert.rejects(startHttp(plane, options), { code: 'CONTROL_ALREADY_RUNS' });
  assert.equal((await ask({ socketPath }, 'GET', '/healthz')).status, 200);
  await stop();
  await assert.rejects(startHttp(plane, { ...options, socketPath: `${socketPath}/not/there` }), { code: 'CONTROL_LISTEN' });
  await restart();
  assert.equal((await ask({ socketPath }, 'GET', '/healthz')).status, 200);
});
