/** The server's program, as a process of its own. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { runInit } from '../../../src/control/main.ts';

/** How it ended, of itself. */
async function ended(t: TestContext, stateDir: string, runDir: string, port: number): Promise<readonly [number | null, string]> {
  const program = join(import.meta.dirname, '../../../src/main.ts');
  const words = ['server', '--listen', `127.0.0.1:${port}`, '--state-dir', stateDir, '--run-dir', runDir];
  const server = spawn(process.execPath, [program, ...words], { stdio: ['ignore', 'ignore', 'pipe'], signal: t.signal, killSignal: 'SIGKILL' });
  const [[code], said] = await Promise.all([once(server, 'exit'), text(server.stderr)]);
  return [code, said.split('\n').findLast((line) => line.startsWith('error: ')) ?? said];
}

test('a server that cannot listen says why and ends', { timeout: 60_000 }, async (t) => {
  const stateDir = mkdtempSync(join(tmpdir(), 'gwt-main-'));
  t.after(() => rmSync(stateDir, { recursive: true }));
  await runInit({ stateDir, listen: [{ host: '127.0.0.1', port: 7443 }] });
  const runDir = join(stateDir, 'run');

  const taken = createServer().listen(0, '127.0.0.1');
  t.after(() => taken.close());
  await once(taken, 'listening');
  // Of a TCP server that listens.
  const { port } = taken.address() as AddressInfo;
  const refused = await ended(t, stateDir, runDir, port);
  assert.equal(refused[0], 1);
  assert.match(refused[1], /^error: .*\[CONTROL_LISTEN\]: .*\[EADDRINUSE\]$/);

  const former = createServer().listen(join(runDir, 'godwit.sock'));
  t.after(() => former.close());
  await once(former, 'listening');
  const second = await ended(t, stateDir, runDir, port);
  assert.equal(second[0], 1);
  assert.match(second[1], /^error: .*\[CONTROL_ALREADY_RUNS\]$/);
});
