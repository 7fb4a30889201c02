/**
 * Transcripts: text files of blocks, each a few commands, `----`, and the log they give, up to an empty line. `#` begins a comment.
 * What the commands are is each machine's own business. REWRITE=1 writes the log that a machine really gives: read the diff, line
 * by line, before it is kept.
 */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { GodwitError } from '../../../src/base/error.ts';

/** Carries one command out and gives the lines it logged. */
export type Command = (line: string) => readonly string[];

/** One test per `.txt` in the folder; every one with commands of its own. */
export function testTranscripts(folder: string, fresh: () => Command): void {
  for (const name of readdirSync(folder).filter((n) => n.endsWith('.txt')).sort()) {
    test(`transcript ${name}`, () => {
      const path = join(folder, name);
      const shown = readFileSync(path, 'utf8');
      const given = rerun(shown, fresh());
      if (process.env['REWRITE'] === '1') writeFileSync(path, given);
      else assert.equal(given, shown);
    });
  }
}

/** Runs a transcript; returns it with the log that the machine really gives. */
function rerun(transcript: string, command: Command): string {
  const out: string[] = [];
  let log: string[] = [];
  let expected = false;
  for (const line of transcript.trimEnd().split('\n')) {
    if (expected && line === '----') throw new GodwitError('TEST_TRANSCRIPT', 'Commands follow a log without an empty line between them');
    if (expected && line !== '') continue;
    expected = line === '----';
    if (line !== '' && !line.startsWith('#') && !expected) log.push(...command(line));
    out.push(line);
    if (!expected) continue;
    out.push(...log);
    log = [];
  }
  if (log.length > 0) throw new GodwitError('TEST_TRANSCRIPT', 'The last commands of a transcript need their `----` as well');
  return `${out.join('\n')}\n`;
}

/** A command in its words, and those of the form `key=value` (or `key="some words"`) by their keys. */
export function parseCommand(line: string): { readonly verb: string; readonly words: readonly string[]; readonly args: ReadonlyMap<string, string> } {
  const [verb = '', ...words] = line.match(/[\w-]+="[^"]*"|\S+/g) ?? [];
  const args = new Map(words.flatMap((word): [string, string][] => {
    const [key = '', ...value] = word.split('=');
    return value.length > 0 ? [[key, value.join('=').replaceAll('"', '')]] : [];
  }));
  return { verb, words, args };
}

/** @throws GodwitError `TEST_TRANSCRIPT` */
export function number(text: string | undefined): number {
  const value = Number(text);
  if (text === undefined || Number.isNaN(value)) throw new GodwitError('TEST_TRANSCRIPT', `${text}: a number is needed here`);
  return value;
}
