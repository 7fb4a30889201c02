/** Reads the log of `strace -f -y -xx`: the completed calls in their order, with paths and data decoded. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

export interface Call {
  readonly name: string;
  /** Of the descriptor that is its first argument, or the last path among its arguments. */
  readonly path: string;
  /** Its strings, other than paths behind descriptors. */
  readonly strings: readonly Buffer[];
  /** As printed: hex strings replaced by "". */
  readonly words: string;
  readonly result: number;
}

const unhex = (text: string): Buffer => Buffer.from(text.replaceAll('\\x', ''), 'hex');

export async function* readStrace(log: string): AsyncGenerator<Call, void, undefined> {
  const unfinished = new Map<string, string>();
  for await (const line of createInterface({ input: createReadStream(log, { highWaterMark: 1 << 20 }), crlfDelay: Infinity })) {
    const space = line.indexOf(' ');
    const pid = line.slice(0, space);
    let call = line.slice(space).trimStart();
    if (call.endsWith('<unfinished ...>')) {
      unfinished.set(pid, call.slice(0, -'<unfinished ...>'.length));
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>/.exec(call);
    if (resumed) call = (unfinished.get(pid) ?? '') + call.slice(resumed[0].length);
    const name = /^\w+(?=\()/.exec(call)?.[0];
    const result = /= (-?\d+)[^=]*$/.exec(call)?.[1];
    if (name === undefined || result === undefined || result.startsWith('-')) continue; // exits, signals, failures
    const strings = [...call.matchAll(/"([^"]*)"(\.\.\.)?/g)].map(([, hex = '', cut]) => {
      if (cut !== undefined) throw new Error(`strace cut a string short: ${name}`);
      return unhex(hex);
    });
    const descriptor = /^\w+\(\d+<([^>]*)>/.exec(call)?.[1];
    const path = descriptor === undefined ? strings.at(-1)?.toString() ?? '' : unhex(descriptor).toString();
    yield { name, path, strings, words: call.replaceAll(/"[^"]*"/g, '""').replaceAll(/<[^>]*>/g, ''), result: Number(result) };
  }
}
