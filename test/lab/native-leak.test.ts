/** The addon under load: it keeps no descriptor and no memory, under the address sanitizer and in workers that die. */
import assert from 'node:assert/strict';
import { execFileSync, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

const ROOT = join(import.meta.dirname, '../..');
const NETNS = `gw${process.pid}-leak`;
const MiB = 1024 * 1024;

function ip(...words: string[]): string {
  return execFileSync('ip', words, { encoding: 'utf8' });
}

/** The environment of a child that is not taken for a file of this test run. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const { NODE_TEST_CONTEXT: _, ...rest } = process.env;
  return rest;
}

function sanitized(): NodeJS.ProcessEnv {
  const libasan = execFileSync('gcc', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim();
  return {
    ...plainEnvironment(),
    LD_PRELOAD: libasan,
    ASAN_OPTIONS: 'detect_leaks=0', // Node's own would be reported
    GODWIT_RAWIO: join(ROOT, '.cache/native/rawio-asan.node'),
  };
}

interface Load {
  readonly before: number;
  readonly quarters: readonly { readonly fds: number; readonly rss: number }[];
}

function isLoad(message: unknown): message is Load {
  return typeof message === 'object' && message !== null && 'before' in message && 'quarters' in message;
}

/** Runs native-load.ts in the namespace. */
async function load(rounds: number, env: NodeJS.ProcessEnv): Promise<{ load: Load; stderr: string }> {
  const child = fork(join(import.meta.dirname, 'native-load.ts'), [NETNS, `${rounds}`], {
    env, execArgv: ['--expose-gc'], stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  });
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => { stderr += text; });
  let result: Load | undefined;
  child.on('message', (message) => {
    if (isLoad(message)) {
      result = message;
      return;
    }
    ip('-n', NETNS, 'link', 'set', 'load', 'up');
    child.send(ip('-n', NETNS, '-oneline', 'link', 'show', 'load').split(':')[0] ?? '');
  });
  const [code] = await once(child, 'close');
  assert.equal(code, 0, stderr);
  assert.ok(result !== undefined, stderr);
  return { load: result, stderr };
}

async function run(file: string, words: string[], env: NodeJS.ProcessEnv): Promise<string> {
  const child = spawn(process.execPath, [join(import.meta.dirname, file), ...words], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => { output += text; });
  const [code] = await once(child, 'close');
  // What a child that was aborted could not remove; the namespaces of native.test.ts begin with its pid.
  for (const line of ip('netns').split('\n')) if (line.startsWith(`gw${child.pid}-`)) ip('netns', 'del', line.split(' ')[0] ?? '');
  assert.equal(code, 0, output);
  return output;
}

describe('rawio', { timeout: 240_000 }, () => {
  before(() => {
    ip('netns', 'add', NETNS);
    ip('-n', NETNS, 'link', 'set', 'lo', 'up');
    execFileSync('ip', ['netns', 'exec', NETNS, 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1']);
    execFileSync('sh', [join(ROOT, 'tools/build-native.sh'), '--asan']);
  });
  after(() => ip('netns', 'del', NETNS));

  it('keeps no descriptor and no memory', async () => {
    const { load: { before: opened, quarters } } = await load(1500, plainEnvironment());
    assert.deepEqual(quarters.map(({ fds }) => fds), [opened, opened, opened, opened]);
    const [, second, , last] = quarters;
    assert.ok(second !== undefined && last !== undefined);
    // 3000 rounds lie between them, of 50 watches each: one watch leaked per listener would be some 30 MiB.
    const growth = (last.rss - second.rss) / MiB;
    assert.ok(growth < 8, `resident memory grew by ${growth.toFixed(1)} MiB`);
  });

  it('has nothing for the address sanitizer to say about the contract', async () => {
    const output = await run('native.test.ts', [], sanitized());
    assert.match(output, /kernelNative/);
    assert.doesNotMatch(output, /AddressSanitizer/);
  });

  it('has nothing for it to say under load', async () => {
    const { stderr } = await load(50, sanitized());
    assert.doesNotMatch(stderr, /AddressSanitizer/);
  });

  it('closes what a worker left open, however that ended', async () => {
    assert.match(await run('native-worker.ts', [NETNS], plainEnvironment()), /all workers clean/);
  });

  it('has nothing for the address sanitizer to say about workers', async () => {
    const output = await run('native-worker.ts', [NETNS], sanitized());
    assert.match(output, /all workers clean/);
    assert.doesNotMatch(output, /AddressSanitizer/);
  });
});
