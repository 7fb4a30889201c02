import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { commandLine, identifyProcess, isAlive } from '../../../src/vm/process.ts';

test('a process is known by more than its number', async () => {
  const child = spawn('sleep', ['1000']);
  try {
    assert.ok(child.pid !== undefined);
    const identity = identifyProcess(child.pid);
    assert.ok(identity !== undefined && identity.startTime > 0);
    assert.deepEqual(commandLine(child.pid), ['sleep', '1000']);
    assert.equal(isAlive(identity), true);
    assert.equal(isAlive({ ...identity, startTime: identity.startTime - 1 }), false);
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    assert.equal(isAlive(identity), false);
    assert.equal(identifyProcess(child.pid), undefined);
    assert.equal(commandLine(child.pid), undefined);
  } finally {
    child.kill('SIGKILL');
  }
});

test('a process that only waits to be reaped is none', async () => {
  // The child ends when its input does, and that is when the shell, which might ask for it, has become a program that never does.
  const parent = spawn('sh', ['-c', 'cat <&3 >&3 & echo $!; exec 3<&-; exec sleep 1000'], { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] });
  const deadline = performance.now() + 10_000;
  const until = async (reached: () => boolean): Promise<void> => {
    while (!reached()) {
      assert.ok(performance.now() < deadline);
      await setImmediate();
    }
  };
  try {
    assert.ok(parent.stdout);
    const [said] = await once(parent.stdout, 'data');
    const pid = Number(said);
    await until(() => readFileSync(`/proc/${parent.pid}/comm`, 'utf8') === 'sleep\n');
    assert.notEqual(identifyProcess(pid), undefined);
    parent.stdio[3]?.destroy();
    await until(() => readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z '));
    assert.equal(identifyProcess(pid), undefined);
  } finally {
    parent.kill('SIGKILL');
  }
});
