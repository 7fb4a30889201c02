/**
 * nftables of a host's namespace, by the `nft` program: what it is given is one transaction, all of it or nothing. The only
 * process that this room starts: it takes some 6 ms, and belongs to an agent's start, never to a switchover.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { GodwitError } from '../base/error.ts';
import type { Native, Netns } from '../native/native.ts';

/**
 * The rules are not in force; what was before still is. `HOST_NFT_MISSING`: there is no nft. `HOST_NFT_FAILED`: it, or the
 * kernel, refused, or it did not end; its own words are in the text.
 */
export class NftError extends GodwitError {
  declare readonly code: 'HOST_NFT_MISSING' | 'HOST_NFT_FAILED';

  constructor(code: NftError['code'], message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}

/** ms. It waits for the kernel alone, which works for a moment. */
const PATIENCE = 5000;
/** Characters of its complaints that are kept. */
const WORDS = 2000;

interface Place {
  readonly name: string;
  readonly native: Native;
  readonly netns: Netns;
}

/** Carries out `commands` (nft(8), "INPUT FILE FORMATS") in one transaction. Rejects with NftError. */
export async function runNft(place: Place, commands: string, program = 'nft'): Promise<void> {
  await run(place, program, ['-f', '-'], commands);
}

/**
 * What a command that lists something prints as JSON (libnftables-json(5)). Rejects with NftError. As words: with -j, nft opens its
 * input by name, which a socket has not.
 */
export async function askNft(place: Place, command: readonly string[], program = 'nft'): Promise<string> {
  return run(place, program, ['-j', ...command], '');
}

async function run({ name, native, netns }: Place, program: string, words: readonly string[], input: string): Promise<string> {
  // A child belongs to the namespace in which its parent's thread was when it forked, which is within spawn().
  const child = native.inNetns(netns, () => ({ process: start(program, words) })).process;
  const { said, complaints, code, failure } = await finish(child, input);
  if (code === 0) return said;
  if (failure !== undefined && 'code' in failure && failure.code === 'ENOENT') {
    throw new NftError('HOST_NFT_MISSING', `${name} has no nft: install the package nftables`, { cause: failure });
  }
  const why = complaints || (code === null ? `nft did not end within ${PATIENCE} ms` : `nft ended with ${code}`);
  throw new NftError('HOST_NFT_FAILED', `The rules for ${name} were refused: ${why}`, failure && { cause: failure });
}

function start(program: string, words: readonly string[]): ChildProcess {
  return spawn(program, words, {
    stdio: ['pipe', 'pipe', 'pipe'],
    // Distributions have it where only root's login shell looks.
    env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' },
    timeout: PATIENCE,
    killSignal: 'SIGKILL',
  });
}

interface Ended {
  /** On its standard output. */
  readonly said: string;
  readonly complaints: string;
  /** Null when it was killed or never ran. */
  readonly code: number | null;
  readonly failure: Error | undefined;
}

function finish(child: ChildProcess, input: string): Promise<Ended> {
  return new Promise((resolve) => {
    let complaints = '';
    let said = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaints = (complaints + text).slice(0, WORDS);
    });
    child.once('error', (failure) => resolve({ said, complaints, code: null, failure }));
    child.once('close', (code) => resolve({ said, complaints: complaints.trim(), code, failure: undefined }));
    // EPIPE of a child that ended early: how it ended says more.
    child.stdin?.on('error', () => undefined).end(input);
  });
}
