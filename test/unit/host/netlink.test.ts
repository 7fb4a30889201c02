import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KernelRefused, Netlink } from '../../../src/host/netlink.ts';
import {
  NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_MULTI, concat, decodeMessages, encodeAttributes, encodeMessage, readNumber, text, u32,
} from '../../../src/host/netlink-message.ts';
import { MemoryNetwork } from '../../../src/native/memory.ts';

const REQUEST = { what: 'try it', type: 18, header: u32(7) };
const OBJECT = 16;
const ERROR = 2;
const DONE = 3;

/** A netlink whose kernel answers the nth request, of sequence number `sequence`, with `answer(sequence, n)`. */
function netlinkWith(
  answer: (sequence: number, n: number) => Uint8Array[],
): { netlink: Netlink; requests: Uint8Array[]; network: MemoryNetwork } {
  const network = new MemoryNetwork();
  network.addNetns('h');
  const requests: Uint8Array[] = [];
  network.respond = (request) => {
    requests.push(request);
    return answer(decodeMessages(request)[0]?.sequence ?? assert.fail(), requests.length);
  };
  const native = network.native('h');
  return { netlink: new Netlink(native, native.openNetns()), requests, network };
}

const object = (sequence: number, id: number, flags = NLM_F_MULTI): Uint8Array => encodeMessage(OBJECT, flags, sequence, u32(id));
const done = (sequence: number, flags = NLM_F_MULTI): Uint8Array => encodeMessage(DONE, flags, sequence, u32(0));
/** With NETLINK_CAP_ACK: the code, the header of the request, the words. */
function refusal(sequence: number, errno: number, words: string): Uint8Array {
  const body = concat(u32(-errno >>> 0), u32(99), new Uint8Array(12), encodeAttributes([[1, text(words)]]));
  return encodeMessage(ERROR, words ? 0x300 : 0x100, sequence, body);
}
const ok = (sequence: number): Uint8Array => refusal(sequence, 0, '');

const ids = (messages: readonly { body: Uint8Array }[]): number[] => messages.map(({ body }) => readNumber(body.subarray(0, 4)));

describe('Netlink', () => {
  test('a list over several datagrams is put together in order', () => {
    const { netlink, requests } = netlinkWith((s) => [concat(object(s, 1), object(s, 2)), object(s, 3), done(s)]);
    assert.deepEqual(ids(netlink.dump(REQUEST)), [1, 2, 3]);
    const [sent] = decodeMessages(requests[0] ?? assert.fail());
    assert.deepEqual([sent?.type, sent?.flags, sent?.body], [18, 1 | NLM_F_DUMP, u32(7)]);
  });

  for (const [where, first] of [
    ['one object', (s: number) => [object(s, 1), object(s, 2, NLM_F_MULTI | NLM_F_DUMP_INTR), done(s)]],
    ['only its end', (s: number) => [object(s, 1), done(s, NLM_F_MULTI | NLM_F_DUMP_INTR)]],
  ] as const) {
    test(`a list that ${where} says to be out of date is begun again`, () => {
      const { netlink, requests } = netlinkWith((s, n) => (n === 1 ? first(s) : [object(s, 5), done(s)]));
      assert.deepEqual(ids(netlink.dump(REQUEST)), [5]);
      assert.equal(requests.length, 2);
    });
  }

  test('a list that never holds still ends in an error', () => {
    const { netlink, requests } = netlinkWith((s) => [done(s, NLM_F_DUMP_INTR)]);
    assert.throws(() => netlink.dump(REQUEST), { code: 'HOST_KERNEL_REFUSED', errno: 4 });
    assert.equal(requests.length, 8);
  });

  test('a refusal carries the kernel\'s number and words', () => {
    const { netlink } = netlinkWith((s) => [refusal(s, 17, 'VNI taken')]);
    assert.throws(() => netlink.change(REQUEST), (error) => {
      assert.ok(error instanceof KernelRefused);
      assert.deepEqual([error.code, error.errno, error.words], ['HOST_KERNEL_REFUSED', 17, 'VNI taken']);
      assert.equal(error.message, 'The kernel refused to try it: VNI taken (errno 17, EEXIST)');
      return true;
    });
  });

  test('a refusal without words is told in those of its number', () => {
    const { netlink } = netlinkWith((s) => [refusal(s, 93, '')]);
    assert.throws(() => netlink.change(REQUEST), { errno: 93, words: '', message: /protocol not supported \(errno 93, EPROTONOSUPPORT\)/ });
  });

  test('a list can be refused in the middle, and the next request is none the worse', () => {
    const refusedOnce = (s: number): Uint8Array[] => [object(s, 1), refusal(s, 1, 'not yours'), object(s, 2)];
    const { netlink } = netlinkWith((s, n) => (n === 1 ? refusedOnce(s) : [object(s, 9), done(s)]));
    assert.throws(() => netlink.dump(REQUEST), { errno: 1 });
    assert.deepEqual(ids(netlink.dump(REQUEST)), [9]);
  });

  test('answers to other requests are passed over', () => {
    const { netlink } = netlinkWith((s) => [concat(object(s - 1, 1), refusal(s + 1, 1, ''), object(s, 2)), done(s - 1), done(s)]);
    assert.deepEqual(ids(netlink.dump(REQUEST)), [2]);
  });

  test('each request has a number of its own', () => {
    const { netlink, requests } = netlinkWith((s) => [ok(s)]);
    for (let i = 0; i < 3; i++) netlink.change(REQUEST);
    assert.equal(new Set(requests.map((r) => decodeMessages(r)[0]?.sequence)).size, 3);
  });

  test('get gives the object; none is ENOENT; silence is EIO', () => {
    const { netlink } = netlinkWith((s, n) => [[object(s, 4), ok(s)], [ok(s)], []][n - 1] ?? []);
    assert.deepEqual(ids([netlink.get(REQUEST)]), [4]);
    assert.throws(() => netlink.get(REQUEST), { errno: 2 });
    assert.throws(() => netlink.get(REQUEST), { errno: 5 });
  });

  test('close gives the socket back', () => {
    const { netlink, network } = netlinkWith(() => []);
    assert.equal(network.descriptors.size, 1);
    netlink.close();
    assert.equal(network.descriptors.size, 0);
  });
});
