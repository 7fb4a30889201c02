import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NftError, runNft } from '../../../src/host/nft.ts';
import { memoryHosts } from './memory-hosts.ts';

/** Stands in for nft, since it is given `-f -` too: `ls` complains that there is no file `-`, `false` reads nothing. */
const run = (program: string, commands = ''): Promise<void> => runNft(memoryHosts().a, commands, program);

const failed = (code: string, words: RegExp) => (error: unknown): boolean => {
  assert.ok(error instanceof NftError);
  assert.equal(error.code, code);
  assert.match(error.message, words);
  return true;
};

describe('nft', () => {
  test('that is not there is told from one that refuses', async () => {
    await assert.rejects(run('no-such-nft'), failed('HOST_NFT_MISSING', /^a has no nft: install/));
    await assert.rejects(run('ls'), failed('HOST_NFT_FAILED', /^The rules for a were refused: .*'-'/));
  });

  test('that says nothing is told by its exit code, also when it did not read its input', async () => {
    await assert.rejects(run('false', 'x'.repeat(1 << 20)), failed('HOST_NFT_FAILED', /ended with 1$/));
  });

  test('that is content resolves', () => run('true'));
});
