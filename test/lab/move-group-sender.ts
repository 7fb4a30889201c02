/**
 * Run in the client's namespace: numbered datagrams to the group addresses given, `PER_SECOND` to each, until stdin ends; then
 * asks the guest what it got. Its kernel makes frames with a broadcast or multicast MAC of them. Speaks src/lab/guest/protocol.h.
 *
 *   node move-group-sender.ts GUEST INTERFACE GROUP...      prints `ready`, and in the end a GroupCount per group
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';

export interface GroupCount {
  readonly group: string;
  readonly sent: number;
  readonly received: number;
  readonly duplicated: number;
  readonly missing: readonly (readonly number[])[];
}

const PER_SECOND = 500;
const [PORT_NUMBERED, PORT_CONTROL, MAGIC] = [7000, 7001, 0x67647774];
/** For the last of them to arrive. */
const TAIL = 300;

type Answer = Partial<Omit<GroupCount, 'group'>> & { readonly stream?: number };

class Stream {
  readonly group: string;
  sent = 0;
  readonly #control;
  readonly #answers;
  readonly #socket;
  #stream = 0;

  constructor(guest: string, group: string) {
    this.group = group;
    this.#control = createConnection(PORT_CONTROL, guest);
    this.#answers = createInterface({ input: this.#control })[Symbol.asyncIterator]();
    this.#socket = createSocket(group.includes(':') ? 'udp6' : 'udp4');
  }

  async open(device: string): Promise<void> {
    this.#stream = (await this.#ask('open')).stream ?? 0;
    this.#socket.bind(0);
    await once(this.#socket, 'listening');
    if (this.group.includes(':')) this.#socket.setMulticastInterface(`::%${device}`);
    else this.#socket.setBroadcast(true);
  }

  send(): void {
    const datagram = Buffer.alloc(24);
    datagram.writeUInt32BE(MAGIC, 0);
    datagram.writeUInt32BE(this.#stream, 4);
    datagram.writeBigUInt64BE(BigInt(this.sent++), 8);
    this.#socket.send(datagram, PORT_NUMBERED, this.group);
  }

  async end(): Promise<GroupCount> {
    const { received = 0, duplicated = 0, missing = [] } = await this.#ask(`report ${this.sent} total`);
    this.#control.destroy();
    this.#socket.close();
    return { group: this.group, sent: this.sent, received, duplicated, missing };
  }

  async #ask(line: string): Promise<Answer> {
    this.#control.write(`${line}\n`);
    const { value } = await this.#answers.next();
    // protocol.h: one JSON object a line
    return JSON.parse(value ?? '{}') as Answer;
  }
}

if (import.meta.main) {
  const [guest = '', device = '', ...groups] = process.argv.slice(2);
  const streams = groups.map((group) => new Stream(guest, group));
  for (const stream of streams) await stream.open(device);
  process.stdin.resume();
  process.stdout.write('ready\n');
  const start = performance.now();
  for (let n = 0; !process.stdin.readableEnded; n++) {
    const early = start + (n * 1000) / PER_SECOND - performance.now();
    if (early > 0) await pause(early);
    for (const stream of streams) stream.send();
  }
  await pause(TAIL);
  for (const stream of streams) process.stdout.write(`${JSON.stringify(await stream.end())}\n`);
}
