/**
 * A program that native-leak.test.ts runs: `node native-worker.ts NETNS`. Workers that end in every way there is while they
 * have everything open; each time all descriptors of the process must be gone that were not there before.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { kernelNative } from '../../src/native/kernel.ts';

/** How the worker ends: by terminate while it listens or while it is in its listener, or by itself. */
const ENDS = ['terminate', 'terminate while it is called', 'return', 'exit in the listener', 'throw in the listener'] as const;
type End = (typeof ENDS)[number];

interface Task {
  readonly netns: string;
  readonly end: End;
}

function isTask(data: unknown): data is Task {
  return typeof data === 'object' && data !== null && 'netns' in data && 'end' in data;
}

function work({ netns: name, end }: Task): void {
  const native = kernelNative();
  const netns = native.openNetns(name);
  native.createTap(netns, { name: 'worker' });
  const netlink = native.netlinkSocket(netns, { protocol: 0 });
  native.joinGroup(netns, 1, Uint8Array.of(224, 0, 0, 18));
  const udp = native.udpSocket(netns, { family: 6 });
  if (end !== 'return') udp.onReadable(() => {});
  const deadline = native.deadline();
  deadline.arm(0);
  if (end !== 'return') deadline.onExpired(() => deadline.arm(native.monotonic() + 0.5));
  const [one, other] = native.fdPair();
  one.send(Uint8Array.of(1), [netns.fd]);
  if (end !== 'return') netlink.onReadable(() => {});
  if (end === 'terminate') other.receive(); // leaves the received descriptor open
  const listener = (): void => {
    if (end === 'exit in the listener') process.exit(0);
    if (end === 'throw in the listener') throw new Error('on purpose');
  };
  if (end !== 'return') other.onReadable(listener);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port between threads, not a window
  parentPort?.postMessage('open');
}

const fds = (): number => readdirSync('/proc/self/fd').length;

async function run(netns: string, end: End): Promise<void> {
  const task: Task = { netns, end };
  const worker = new Worker(new URL(import.meta.url), { workerData: task });
  // Not once(): that would fail for the error which one way of ending is about.
  const exited = new Promise((resolve) => worker.once('exit', resolve));
  const failed = new Promise((resolve) => worker.once('error', resolve));
  await new Promise((resolve) => worker.once('message', resolve));
  if (end === 'terminate' || end === 'terminate while it is called') await worker.terminate();
  await exited;
  if (end === 'throw in the listener') assert.match(String(await failed), /on purpose/);
}

if (isMainThread) {
  const netns = process.argv[2] ?? '';
  await run(netns, 'return'); // what the first worker opens for the whole process stays
  const before = fds();
  for (let i = 0; i < 5; i++) {
    for (const end of ENDS) {
      await run(netns, end);
      assert.equal(fds(), before, `descriptors left by a worker that ended by ${end}`);
    }
  }
  process.stdout.write('all workers clean\n');
} else {
  assert.ok(isTask(workerData));
  work(workerData);
}
