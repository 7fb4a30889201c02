import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { PathSearch } from '../../../src/host/path-mtu.ts';

const sizes = fc.uniqueArray(fc.integer({ min: 576, max: 9000 }), { minLength: 1, maxLength: 8 });

describe('path search', () => {
  test('the largest that came through counts, and no smaller one is sent any more', () => {
    const search = new PathSearch([1280, 1500, 1400, 1500]);
    assert.deepEqual(search.open(1500), [1500, 1400, 1280]);
    search.answered(1280, 1500);
    assert.deepEqual(search.open(1500), [1500, 1400]);
    search.answered(1400, 1500);
    search.answered(1280, 1500);
    assert.deepEqual(search.open(1500), [1500]);
    assert.deepEqual(search.result, { works: 1400, tried: [1500, 1400, 1280] });
  });

  test('what the kernel would cut up is not sent, and does not count should it come through in pieces', () => {
    const search = new PathSearch([1500, 1280]);
    assert.deepEqual(search.open(1400), [1280]);
    search.answered(1500, 1400);
    assert.deepEqual(search.result, { works: 0, tried: [1500, 1280] });
    search.answered(1280, 1400);
    assert.deepEqual(search.open(1400), []);
    assert.deepEqual(search.result.works, 1280);
  });

  test('an answer for a size that nobody asked for counts for nothing', () => {
    const search = new PathSearch([1500]);
    search.answered(1499, 1500);
    assert.equal(search.result.works, 0);
  });

  test('a path of any width, whatever gets lost at first, is found to be as wide as it is', () => {
    fc.assert(fc.property(sizes, fc.integer({ min: 0, max: 9100 }), fc.integer({ min: 576, max: 9100 }), fc.infiniteStream(fc.boolean()),
      (asked, width, limit, lost) => {
        const search = new PathSearch(asked);
        const send = (arrives: (size: number) => boolean): void => {
          for (const size of search.open(limit)) if (arrives(size)) search.answered(size, limit);
        };
        for (let i = 0; i < 3; i++) send((size) => size <= width && lost.next().value !== true);
        send((size) => size <= width);
        assert.equal(search.result.works, Math.max(0, ...asked.filter((size) => size <= width && size <= limit)));
      }));
  });
});
