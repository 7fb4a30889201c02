/** What webhooks are told, and what happens when they do not listen: nothing waits for them. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { test } from 'node:test';
import type { EventSpec } from '../../../src/model/event.ts';
import { Cluster } from '../../../src/control/cluster.ts';
import { record } from '../../../src/control/events.ts';
import { QUEUE, type Post, WebhookLine, type WebhookNews } from '../../../src/control/webhook-line.ts';
import { Webhooks } from '../../../src/control/webhooks.ts';
import { MemoryStore } from '../../../src/store/memory-store.ts';
import { ManualClock, drain } from '../agent/manual-clock.ts';

const alert = (n: number): EventSpec => ({
  at: n, severity: 'warning', about: { kind: 'Host', name: 'h1' }, reason: 'AlertOn', message: `alert ${n}`,
  evidence: { kind: 'alert', alert: { alert: 'busy', on: 'eth0', state: 'on', since: n, value: 1, last: 1, because: 'x', severity: 'warning' } },
});

async function cluster(clock: ManualClock, webhooks: readonly string[]): Promise<Cluster> {
  const cluster = await Cluster.open(new MemoryStore({ clock }), clock, (error) => assert.fail(String(error)));
  await cluster.change((draft) => draft.put('policies', 'default', { spec: { webhooks: [...webhooks] } }));
  return cluster;
}
const say = (cluster: Cluster, ...events: readonly EventSpec[]): Promise<void> => cluster.change((draft) => events.forEach((event) => record(draft, event)));
const reasons = (cluster: Cluster): string[] => cluster.rows('events').map(({ record: { spec } }) => spec.reason);

test('events with an alert, a verdict or an action are told as they are, in order, to each; others and earlier ones are not', async () => {
  const clock = new ManualClock();
  const it = await cluster(clock, ['http://one/x', 'http://two/y']);
  await say(it, alert(1));
  const got: [string, { spec: EventSpec }][] = [];
  const webhooks = new Webhooks(it, { clock, post: async (url, body) => {
    got.push([url, JSON.parse(body)]);
    return 204;
  } });
  const session: EventSpec = { at: 1, severity: 'info', about: { kind: 'Host', name: 'h1' }, reason: 'AgentBack', message: 'no evidence' };
  const action: EventSpec = { ...alert(3), reason: 'PathTakenOut', evidence: { kind: 'action', action: { action: 'path', mode: 'act', what: 'x', because: [] } } };
  await say(it, session, alert(2), action);
  await drain();
  assert.deepEqual(got.filter(([url]) => url === 'http://one/x').map(([, event]) => event), it.rows('events').slice(2).map(({ name, record: { spec }, revision }) => ({ kind: 'Event', name, spec, revision })));
  assert.deepEqual(got.filter(([url]) => url === 'http://two/y').map(([, { spec }]) => spec.message), ['alert 2', 'alert 3']);

  await it.change((draft) => draft.put('policies', 'default', { spec: { webhooks: ['http://two/y'] } }));
  await say(it, alert(4));
  await drain();
  assert.deepEqual(got.slice(4).map(([url]) => url), ['http://two/y']);
  await webhooks.close();
  await it.close();
});

test('one that fails is tried again, ever more rarely, and that it fails is said once, without the secret in its address', async () => {
  const clock = new ManualClock();
  const it = await cluster(clock, ['http://user.example/hooks/SECRET?token=SECRET']);
  const at: number[] = [];
  let status = 503;
  const webhooks = new Webhooks(it, { clock, post: async () => {
    at.push(clock.monotonic() / 1000);
    return status;
  } });
  await say(it, alert(1), alert(2));
  await clock.advance(20_000);
  assert.deepEqual(at, [0, 1, 3, 7, 15]);
  assert.deepEqual(reasons(it), ['AlertOn', 'AlertOn', 'WebhookFails']);
  status = 200;
  await clock.advance(20_000);
  assert.deepEqual(at, [0, 1, 3, 7, 15, 31, 31]);
  assert.deepEqual(reasons(it).slice(3), ['WebhookWorks']);
  assert.match(it.rows('events')[2]?.record.spec.message ?? '', /http:\/\/user\.example is not told what happens: it answered 503/);
  assert.ok(!JSON.stringify(it.rows('events')).includes('SECRET'));
  await webhooks.close();
  await it.close();
});

interface Line {
  readonly line: WebhookLine;
  readonly clock: ManualClock;
  readonly got: string[];
  readonly news: WebhookNews[];
}

function line(post: (body: string, signal: AbortSignal) => Promise<number>): Line {
  const clock = new ManualClock();
  const [got, news]: [string[], WebhookNews[]] = [[], []];
  const counting: Post = (_, body, signal) => {
    got.push(body);
    return post(body, signal);
  };
  return { line: new WebhookLine('http://x/', { post: counting, clock, onNews: (one) => void news.push(one) }), clock, got, news };
}

test('who does not answer in 5 s is given up on for then, and the request with it', async () => {
  let given: AbortSignal | undefined;
  const { line: one, clock, got, news } = line((_, signal) => {
    given = signal;
    return new Promise(() => undefined);
  });
  one.send('a');
  await clock.advance(4999);
  assert.equal(given?.aborted, false);
  await clock.advance(1);
  assert.equal(given?.aborted, true);
  assert.match(JSON.stringify(news), /did not answer within 5 s/);
  await clock.advance(1000);
  assert.deepEqual(got, ['a', 'a']);
  await one.close();
  assert.equal(clock.sleepers, 0);
});

test('the queue is bounded: the oldest are dropped, that is said once, and how many when it works again', async () => {
  let answer: ((status: number) => void) | undefined;
  const { line: one, got, news } = line(() => new Promise((resolve) => {
    answer = resolve;
  }));
  for (let n = 0; n < QUEUE + 10; n++) one.send(String(n));
  assert.deepEqual(news, [{ kind: 'drops' }]);
  const delivered: string[] = [];
  for (let n = 0; n < QUEUE; n++) {
    delivered.push(got.at(-1) ?? '');
    answer?.(200);
    await drain();
  }
  assert.deepEqual(delivered, ['0', ...Array.from({ length: QUEUE - 1 }, (_, n) => String(n + 11))]);
  assert.deepEqual(news.slice(1), [{ kind: 'works', dropped: 10 }]);
  await one.close();
});

test('what it refuses is not tried again, and the next is told', async () => {
  for (const status of [400, 404, 410, 301, 307]) {
    const { line: one, clock, got, news } = line(async (body) => (body === 'a' ? status : 200));
    one.send('a');
    one.send('b');
    await clock.advance(10);
    assert.deepEqual(got, ['a', 'b']);
    assert.deepEqual(news.map(({ kind }) => kind), ['fails', 'drops', 'works']);
    await one.close();
  }
});

test('it is given up after six times', async () => {
  const { line: one, clock, got } = line(async () => Promise.reject(Object.assign(new Error('http://x/SECRET'), { code: 'ECONNREFUSED' })));
  one.send('a');
  await clock.advance(3_600_000);
  assert.equal(got.length, 6);
  await one.close();
});

const listening = (handle: (request: IncomingMessage, body: string) => { status: number; headers?: Record<string, string> }): Promise<Server> => new Promise((resolve) => {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () => {
      const { status, headers = {} } = handle(request, body);
      response.writeHead(status, headers).end();
    });
  });
  server.listen(0, '127.0.0.1', () => resolve(server));
});

test('over real HTTP: a POST of JSON, and no redirect is followed', async () => {
  const seen: string[] = [];
  let heard: (() => void) | undefined;
  const server = await listening((request, body) => {
    seen.push(`${request.method} ${request.url} ${request.headers['content-type']} ${JSON.parse(body).spec.message}`);
    if (request.url === '/ok') heard?.();
    return request.url === '/ok' ? { status: 200 } : { status: 307, headers: { location: '/ok' } };
  });
  const at = server.address();
  assert.ok(at !== null && typeof at === 'object');
  const clock = new ManualClock();
  const it = await cluster(clock, [`http://127.0.0.1:${at.port}/moved`]);
  const webhooks = new Webhooks(it, { clock });
  await say(it, alert(1));
  // The refusal is written down when the answer has come.
  for (let { revision } = it; !reasons(it).includes('WebhookDrops'); { revision } = it) await it.changedSince(revision, AbortSignal.timeout(20_000));
  assert.deepEqual(seen, ['POST /moved application/json alert 1']);
  assert.match(JSON.stringify(it.rows('events')), /answered 307: redirects are not followed/);
  await it.change((draft) => draft.put('policies', 'default', { spec: { webhooks: [`http://127.0.0.1:${at.port}/ok`] } }));
  const told = new Promise<void>((resolve) => {
    heard = resolve;
  });
  await say(it, alert(2));
  await told;
  assert.equal(seen[1], 'POST /ok application/json alert 2');
  await webhooks.close();
  await it.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
