import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { godwit } from './stub.ts';

const root = join(import.meta.dirname, '../../..');

/** Lines of blocks of code that begin with one: the command without its comment, and the whole line, where comments name more options. */
function commandsOf(text: string): (readonly [command: string, line: string])[] {
  const blocks = [...text.matchAll(/^```\w*\n([^]*?)^```/gm)].map(([, block = '']) => block);
  return blocks.flatMap((block) => block.split('\n')).flatMap((line) => {
    const command = /^(?:\$ )?godwit ([^#>|]+)/.exec(line)?.[1]?.trim();
    return command === undefined ? [] : [[command, line] as const];
  });
}

/** Of the command that these words begin with; undefined: there is none. */
async function helpOf([first = '', second]: readonly string[]): Promise<string | undefined> {
  const ask = async (words: string): Promise<string | undefined> => {
    const { stdout } = await godwit(`${words} --help`);
    return stdout.startsWith(`Usage: godwit ${words} `) ? stdout : undefined;
  };
  const outer = await ask(first);
  if (!outer?.includes('[command]') || second === undefined) return outer;
  return await ask(`${first} ${second}`);
}

test('every command in the documents is one, with the options that it is shown with', async () => {
  let seen = 0;
  for (const name of ['README.md', ...globSync('docs/*.md', { cwd: root })]) {
    const text = readFileSync(join(root, name), 'utf8');
    const inline = [...text.matchAll(/`godwit ([a-z][^`]*)`/g)].map(([, words = '']) => words);
    for (const [command, line] of [...commandsOf(text), ...inline.map((words) => [words, words] as const)]) {
      const words = command.split(/\s+/).filter((word) => /^[a-z]/.test(word));
      if (words[0] === 'help') continue;
      const options = line.match(/--[a-z-]+/g) ?? [];
      const help = await helpOf(words);
      assert.ok(help !== undefined, `${name}: there is no godwit ${words.join(' ')}`);
      for (const option of options) assert.ok(`${help} --help --socket --server --version`.includes(option), `${name}: godwit ${command} has no ${option}`);
      seen++;
    }
  }
  assert.ok(seen > 30, `only ${seen} were found`);
});
