import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { seconds } from '../../../src/base/units.ts';
import { type Api, ApiError } from '../../../src/api/api.ts';
import { top } from '../../../src/cli/command-top.ts';
import { topTables, topViews } from '../../../src/cli/top-tables.ts';
import { type TopKey, type TopState, firstState, frame, keysIn, pageOf, press } from '../../../src/cli/top-view.ts';
import { visibleWidth } from '../../../src/cli/text.ts';
import { counters, nic, path, paths, watchedHosts } from './detection.ts';
import { golden } from './golden.ts';
import { NOW } from './resources.ts';
import { StubApi, StubIo, godwit } from './stub.ts';

const plain = { bars: false, unicode: false };
const data = { hosts: watchedHosts, paths };
const at = { at: NOW };

test('each view, without a terminal', async () => {
  const parts: string[] = [];
  for (const words of ['top', 'top --view paths', 'top --view nics']) {
    const { exit, stdout, stderr } = await godwit(words, new StubApi([...watchedHosts, ...paths]));
    assert.deepEqual([exit, stderr], [0, '']);
    parts.push(`$ godwit ${words}\n${stdout}`);
  }
  golden('top', parts.join('\n'));
  const wrong = await godwit('top --view host');
  assert.deepEqual([wrong.exit, wrong.stderr], [2, 'error: There is no view "host": did you mean hosts? [CLI_USAGE]\n']);
});

const keys: readonly TopKey[] = ['next', 'previous', 'sort', 'up', 'down', 'page-up', 'page-down', 'home'];

test('whatever is pressed, a frame fits its terminal and shows rows that there are', () => {
  const many = { hosts: watchedHosts, paths: Array.from({ length: 60 }, (_, n) => path(`h${n}`, 'host-b', 'main')) };
  fc.assert(fc.property(fc.array(fc.constantFrom(...keys), { maxLength: 30 }), fc.integer({ min: 20, max: 200 }), fc.integer({ min: 6, max: 50 }), fc.boolean(), (pressed, columns, rows, bars) => {
    const size = { columns, rows };
    const state = pressed.reduce((s: TopState, key) => press(s, key, pageOf(size)), firstState('paths'));
    const lines = frame(state, many, size, at, { bars, unicode: false });
    assert.equal(lines.length, rows);
    for (const line of lines) assert.ok(visibleWidth(line) <= columns, `${columns}: ${line}`);
    assert.notEqual(lines[4], '', 'the first row of the table');
  }));
});

test('keys: tabs in a circle, sorts in a circle, what is unknown is nothing', () => {
  assert.deepEqual(keysIn('q\t\u001b[A\u001b[Bs\u001b[5~\u001b[C\u001bOAx\u001b[99;5u\u0003'), ['quit', 'next', 'up', 'down', 'sort', 'page-up', 'next', 'up', 'quit']);
  for (const view of topViews) {
    let state = firstState(view);
    for (const _ of topTables[view].sorts) state = press(state, 'sort', 10);
    assert.deepEqual(state, firstState(view));
  }
  assert.deepEqual(topViews.reduce((s: TopState) => press(s, 'next', 10), firstState('hosts')), firstState('hosts'));
  assert.equal(press(firstState('hosts'), 'previous', 10).view, 'nics');
  assert.equal(press(press(firstState('hosts'), 'up', 10), 'page-down', 10).offset, 10);
});

test('each sort puts another first', () => {
  const first = (view: 'hosts' | 'paths' | 'nics', sort: number): string => {
    const lines = frame({ ...firstState(view), sorts: { hosts: sort, paths: sort, nics: sort } }, data, { columns: 120, rows: undefined }, at, plain);
    return (lines[4] ?? '').split(/\s+/).slice(0, 3).join(' ');
  };
  assert.deepEqual([0, 1, 2, 3].map((sort) => first('hosts', sort)), ['host-c silent dead', 'host-a ready fine', 'host-a ready fine', 'host-a ready fine']);
  assert.deepEqual([0, 1, 2, 3].map((sort) => first('paths', sort)), ['host-a host-b storage', 'host-a host-c main', 'host-a host-b main', 'host-a host-b main']);
  const busy = { hosts: watchedHosts.map((h) => (h.name === 'host-a' && h.status ? { ...h, status: { ...h.status, counters: { ...counters, nics: [nic('a', 0), nic('b', 0, { rxBytes: 9e6 }), nic('c', 0, { rxPackets: 99_999 }), nic('d', 0, { txErrors: 1 })] } } } : h)), paths };
  const names = [0, 1, 2, 3].map((sort) => frame({ ...firstState('nics'), sorts: { hosts: 0, paths: 0, nics: sort } }, busy, { columns: 120, rows: undefined }, at, plain)[4]?.[0]);
  assert.deepEqual(names, ['b', 'c', 'd', 'a']);
});

/** A terminal whose keys come from the test, and which tells when a frame was drawn. */
class Terminal extends StubIo {
  written = '';
  #keys: ((bytes: Uint8Array) => void) | undefined;
  readonly ends = new Set<() => void>();
  onFrame: (n: number) => void = () => undefined;
  #frames = 0;
  override readonly out = {
    isTTY: true, columns: 80, rows: 12,
    write: (text: string): string => {
      this.written += text;
      // A frame begins at the upper left corner.
      if (text.startsWith('\u001b[H')) setImmediate(this.onFrame, ++this.#frames);
      return text;
    },
  };

  /** A second is a turn of the event loop. */
  override readonly clock: StubIo['clock'] = {
    now: () => seconds(NOW / 1000), monotonic: () => seconds(0), sleep: () => new Promise((resolve) => void setImmediate(resolve)),
  };

  onKeys(listener: (bytes: Uint8Array) => void): () => void {
    this.#keys = listener;
    return () => (this.#keys = undefined);
  }

  onEnd(listener: () => void): () => void {
    this.ends.add(listener);
    return () => void this.ends.delete(listener);
  }

  press(text: string): void {
    assert.ok(this.#keys, 'nobody listens to the keyboard');
    this.#keys(Buffer.from(text));
  }

  get listens(): boolean {
    return this.#keys !== undefined || this.ends.size > 0 || this.listeners.size > 0;
  }
}

const [ENTER, LEAVE] = ['\u001b[?1049h\u001b[?25l', '\u001b[?25h\u001b[?1049l'];

function assertRestored(io: Terminal): void {
  assert.ok(io.written.startsWith(ENTER), 'the screen is entered before anything is drawn');
  assert.ok(io.written.endsWith(LEAVE), 'and left after all');
  assert.equal(io.written.split(LEAVE).length, 2, 'once');
  assert.equal(io.listens, false, 'nobody listens any more');
}

test('the terminal is as it was, whatever ends it', async () => {
  for (const end of [
    (io: Terminal) => io.press('\tq'), (io: Terminal) => io.press('\u0003'), (io: Terminal) => io.interrupt(), (io: Terminal) => io.ends.forEach((listener) => listener()),
  ]) {
    const io = new Terminal();
    io.onFrame = () => io.listens && end(io);
    assert.equal(await top(new StubApi([...watchedHosts, ...paths]), io, 'hosts'), 0);
    assertRestored(io);
  }
  const io = new Terminal();
  const broken = io.clock.now;
  let calls = 0;
  // An error in the midst of drawing: the second frame asks for the time.
  io.clock.now = () => { if (++calls > 1) throw new RangeError('broken clock'); return broken(); };
  const failing = top(new StubApi(watchedHosts), io, 'hosts');
  await assert.rejects(failing.then((code) => { throw new Error(`it ended with ${code}`); }), RangeError);
  assertRestored(io);
});

test('a server that goes away is told, with what was known before', async () => {
  const io = new Terminal();
  const stub = new StubApi([...watchedHosts, ...paths]);
  let gone = false;
  const api: Api = Object.assign(stub, {
    list: async (kind: 'Host' | 'Path') => {
      if (gone) throw new ApiError(0, 'API_UNREACHABLE', 'The server cannot be reached');
      return stub.resources.filter((r) => r.kind === kind);
    },
  });
  io.onFrame = () => {
    if (!gone) gone = true;
    else if (io.listens && io.written.includes('API_UNREACHABLE')) io.press('q');
  };
  assert.equal(await top(api, io, 'paths'), 0);
  const last = io.written.split('\u001b[H').at(-1) ?? '';
  assert.match(last, /The server cannot be reached \[API_UNREACHABLE\]/);
  assert.match(last, /host-a +host-b +storage/);
  assertRestored(io);
});

test('a server that is not there from the beginning is an error, and nothing is drawn', async () => {
  const io = new Terminal();
  const stub = new StubApi();
  stub.list = async () => { throw new ApiError(0, 'API_UNREACHABLE', 'x'); };
  await assert.rejects(top(stub, io, 'hosts'), { code: 'API_UNREACHABLE' });
  assert.equal(io.written, '');
});
