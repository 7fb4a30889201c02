/** The parser: examples of the HTML standard (§9.2.6), any cut of any text, and no more memory than allowed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SSE_COMMENT, SseParser, formatSse } from '../../../src/api/sse.ts';

const parse = (...chunks: string[]) => {
  const parser = new SseParser();
  return chunks.flatMap((chunk) => parser.push(chunk));
};

test('the standard\'s examples', () => {
  assert.deepEqual(parse('data: YHOO\ndata: +2\ndata: 10\n\n'), [{ event: 'message', data: 'YHOO\n+2\n10', id: undefined }]);
  assert.deepEqual(
    parse(': test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n'),
    [{ event: 'message', data: 'first event', id: '1' }, { event: 'message', data: 'second event', id: '' }, { event: 'message', data: ' third event', id: '' }],
  );
  assert.deepEqual(parse('data\n\ndata\ndata\n\ndata:').map((e) => e.data), ['', '\n']);
  assert.deepEqual(parse('data:test\n\ndata: test\n\n').map((e) => e.data), ['test', 'test']);
});

test('the lines end in LF, CR LF or CR, and a comment or an unknown field is nothing', () => {
  for (const end of ['\n', '\r\n', '\r']) {
    assert.deepEqual(parse(['event: a', 'retry: 7', 'data: 1', '', ': x', '', 'event: lost', '', 'data: 2', '', ''].join(end) + (end === '\r' ? ':' : '')), [
      { event: 'a', data: '1', id: undefined }, { event: 'message', data: '2', id: undefined },
    ], JSON.stringify(end));
  }
});

test('CR LF cut in two is one end of line', () => {
  assert.deepEqual(parse('data: 1\r', '\ndata: 2\r', '\n\r', '\n').map((e) => e.data), ['1\n2']);
});

const line = fc.string({ unit: fc.constantFrom('a', ':', ' ', 'é', '{', '"', '漢') });

test('whatever the chunks, the same events; what was formatted comes back', () => {
  const event = fc.record({ event: line.map((l) => `e${l}`), data: line, id: fc.option(line.map((l) => `i${l}`), { nil: undefined }) });
  fc.assert(fc.property(fc.array(event, { maxLength: 5 }), fc.array(fc.nat(200)), (events, cuts) => {
    const text = events.map((e) => SSE_COMMENT + formatSse(e.event, e.data, e.id)).join('');
    const at = [...new Set([0, ...cuts.filter((c) => c < text.length), text.length])].sort((a, b) => a - b);
    const got = parse(...at.slice(1).map((end, i) => text.slice(at[i], end)));
    let id: string | undefined;
    assert.deepEqual(got, events.map((e) => ({ event: e.event, data: e.data, id: (id = e.id ?? id) })));
  }));
});

test('any text at all: never an exception, and cut anywhere the same', () => {
  const text = fc.string({ unit: fc.constantFrom('d', 'a', 't', ':', ' ', '\n', '\r', '\0', 'data:', 'id:', 'event:'), maxLength: 60 });
  fc.assert(fc.property(text, fc.nat(60), (t, cut) => {
    assert.deepEqual(parse(t.slice(0, cut), t.slice(cut), '\n\n'), parse(t, '\n\n'));
  }), { numRuns: 2000 });
});

test('an event that does not end is given up', () => {
  for (const chunk of ['x'.repeat(30), 'data: 1234567890\n']) {
    const parser = new SseParser(100);
    assert.throws(() => {
      for (let i = 0; i < 100; i++) parser.push(chunk);
    }, { code: 'API_PROTOCOL' });
  }
  const fine = new SseParser(100);
  for (let i = 0; i < 100; i++) assert.equal(fine.push('data: 1234567890\n\n').length, 1);
});
