/** Consoles over a real server: an administrator's connection and an agent's become one, and what can go wrong before that is told. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { type Socket, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { Consoles } from '../../../src/agent/consoles.ts';
import { AgentClient } from '../../../src/api/agent-client.ts';
import { HttpClient } from '../../../src/api/client.ts';
import { runDirectory } from '../../../src/vm/run-directory.ts';
import { vmConsole } from '../../../src/cli/command-console.ts';
import { type Fixture, agentIdentity, startFixture, until } from './http-fixture.ts';

const timeout = { timeout: 30_000 };

/** What stands for a QEMU: its serial port, which echoes in capitals. */
async function serialPort(t: TestContext): Promise<{ readonly directory: string; readonly sockets: Socket[] }> {
  const directory = mkdtempSync(join(tmpdir(), 'gwt-tty-'));
  const run = runDirectory(directory);
  mkdirSync(run.path, { recursive: true });
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined).setEncoding('utf8').on('data', (text: string) => socket.write(text.toUpperCase()));
  });
  server.listen(run.ttySocket);
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
    rmSync(directory, { recursive: true });
  });
  return { directory, sockets };
}

/** The agent of `host`, which has `vm` in that directory. */
async function agent(t: TestContext, { authority, url, plane }: Fixture, host: string, directories: Readonly<Record<string, string>>): Promise<void> {
  const over = new AbortController();
  const client: AgentClient = new AgentClient(url, await agentIdentity(authority, host), { onConsole: (order) => void consoles.open(order) });
  const consoles = new Consoles({ server: client, runDirectory: (vm) => directories[vm], log: pino({ level: 'silent' }) });
  const open = plane.open;
  const listening = (async () => {
    for await (const wanted of client.wanted(over.signal)) assert.ok(wanted);
  })();
  t.after(async () => {
    consoles.close();
    over.abort();
    await listening;
    client.close();
  });
  await until(t, () => plane.open > open);
}

function placed({ plane }: Fixture, name: string, host: string, state = 'running'): void {
  const get = plane.get.bind(plane);
  plane.put('Vm', name);
  // The stub keeps no status.
  plane.get = async (kind, asked) => {
    const found = await get(kind, asked);
    return asked === name ? Object.assign(found, { status: { state, since: 0, placement: { host, epoch: 1, start: 1 } } }) : found;
  };
}

function client(t: TestContext, { socketPath }: Fixture): HttpClient {
  const api = new HttpClient({ socketPath });
  t.after(() => api.close());
  return api;
}

async function heard(t: TestContext, stream: NodeJS.ReadableStream, text: string): Promise<void> {
  let all = '';
  const take = (bytes: Buffer): void => void (all += bytes.toString());
  stream.on('data', take);
  await until(t, () => all.includes(text));
  stream.off('data', take);
}

test('what is typed reaches the guest and what it writes comes back; a second is told to wait; it can be opened again', timeout, async (t) => {
  const fixture = await startFixture(t);
  const port = await serialPort(t);
  placed(fixture, 'web', 'h1');
  await agent(t, fixture, 'h1', { web: port.directory });
  const api = client(t, fixture);
  const one = await api.console('web');
  one.write('hello');
  await heard(t, one, 'HELLO');
  await assert.rejects(api.console('web'), { code: 'CONTROL_NO_CONSOLE', status: 409, message: /one at a time/ });
  one.destroy();
  await until(t, () => port.sockets[0]?.destroyed ?? false);
  const again = await api.console('web');
  again.write('more');
  await heard(t, again, 'MORE');
  // The guest ends.
  const ended = once(again, 'close');
  port.sockets[1]?.destroy();
  await ended;
});

test('who leaves, who types, and a console that ends by itself, at the command line', timeout, async (t) => {
  const fixture = await startFixture(t);
  const port = await serialPort(t);
  placed(fixture, 'web', 'h1');
  await agent(t, fixture, 'h1', { web: port.directory });
  const api = client(t, fixture);
  let out = '';
  let type: ((bytes: Uint8Array) => void) | undefined;
  const io = {
    out: { write: (text: string) => (out += text) }, err: { write: () => undefined }, env: {}, clock: { now: () => assert.fail(), monotonic: () => assert.fail(), sleep: () => assert.fail() },
    read: () => assert.fail(), onInterrupt: () => () => undefined,
    onKeys: (listener: (bytes: Uint8Array) => void) => {
      type = listener;
      return () => (type = undefined);
    },
  };
  const left = vmConsole(api, io, 'web');
  await until(t, () => type !== undefined);
  type?.(Buffer.from('é!\x03'));
  await until(t, () => out.includes('É!\x03'));
  type?.(Buffer.from('x\x1dy'));
  assert.equal(await left, 0);
  assert.equal(type, undefined);
  await until(t, () => port.sockets[0]?.destroyed ?? false);
  const ends = vmConsole(api, io, 'web');
  await until(t, () => type !== undefined && port.sockets.length === 2);
  const failed = assert.rejects(ends, { code: 'CLI_NO_CONSOLE' });
  port.sockets[1]?.destroy();
  await failed;
  assert.equal(type, undefined);
});

test('no VM, none that runs, no agent, none of that VM: each is told', timeout, async (t) => {
  const fixture = await startFixture(t);
  const api = client(t, fixture);
  await assert.rejects(api.console('nobody'), { code: 'CONTROL_NOT_FOUND', status: 404 });
  placed(fixture, 'off', 'h1', 'stopped');
  await assert.rejects(api.console('off'), { code: 'CONTROL_VM_NOT_RUNNING', status: 409 });
  placed(fixture, 'web', 'h1');
  await assert.rejects(api.console('web'), { code: 'CONTROL_HOST_SILENT', status: 503 });
  await agent(t, fixture, 'h1', { other: '/nowhere' });
  await assert.rejects(api.console('web'), { code: 'CONTROL_NO_CONSOLE', message: /does not run on this host/ });
  placed(fixture, 'other', 'h1');
  await assert.rejects(api.console('other'), { code: 'CONTROL_NO_CONSOLE', message: /cannot be opened.*ENOENT/ });
});

test('agents may not open consoles, nor answer for other hosts; a session is good once', timeout, async (t) => {
  const fixture = await startFixture(t);
  const { url, authority } = fixture;
  placed(fixture, 'web', 'h1');
  const [h1, h2] = [await agentIdentity(authority, 'h1'), await agentIdentity(authority, 'h2')];
  const asAgent = new HttpClient({ url, identity: h1 });
  t.after(() => asAgent.close());
  await assert.rejects(asAgent.console('web'), { code: 'API_FORBIDDEN' });

  const sessions: string[] = [];
  const over = new AbortController();
  const [own, other] = [new AgentClient(url, h1, { onConsole: ({ session }) => void sessions.push(session) }), new AgentClient(url, h2)];
  const wanted = own.wanted(over.signal);
  await wanted.next();
  const more = wanted.next();
  t.after(async () => {
    over.abort();
    await more;
    own.close();
    other.close();
  });
  const asked = client(t, fixture).console('web');
  await until(t, () => sessions.length === 1);
  const [session = ''] = sessions;
  await assert.rejects(other.console(session), { code: 'CONTROL_NOT_FOUND' });
  await assert.rejects(own.console('A'.repeat(43)), { code: 'CONTROL_NOT_FOUND' });
  const [wire, end] = await Promise.all([own.console(session), asked]);
  await assert.rejects(own.console(session), { code: 'CONTROL_NOT_FOUND' });
  wire.write('from the guest');
  await heard(t, end, 'from the guest');
  // The server ends, and with it the console.
  const closed = [once(wire, 'close'), once(end, 'close')];
  wire.resume();
  end.resume();
  await fixture.stop();
  await Promise.all(closed);
});
