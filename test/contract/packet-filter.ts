/** The programs of host/packet-filter.ts, on whatever runs them: the same frames pass as the words of the RFCs let pass. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { arpFilter, ipProtocolFilter, neighbourAdvertisementFilter, neighbourTalkFilter } from '../../src/host/packet-filter.ts';
import type { FilterInstruction, PacketSocket } from '../../src/native/native.ts';
import { BROADCAST, ETH_P_ALL, STRANGER, drain } from './native-bench.ts';
import type { Bench } from './native-bench.ts';

/** A frame as it was meant, so that what should pass can be told without reading bytes. */
interface Meant {
  readonly to: Uint8Array;
  readonly type: number;
  readonly tagged: boolean;
  readonly protocol: number;
  /** Words of IPv4 options. */
  readonly options: number;
  readonly fragment: number;
  readonly icmp: number;
  readonly source: number;
  readonly destination: number;
  /** Bytes after the Ethernet header that are there at all. */
  readonly length: number;
}

const VRRP_GROUP = Uint8Array.of(1, 0, 0x5e, 0, 0, 18);
const meant: fc.Arbitrary<Meant> = fc.record({
  to: fc.constantFrom(BROADCAST, STRANGER, VRRP_GROUP),
  type: fc.constantFrom(0x0800, 0x0800, 0x86dd, 0x86dd, 0x0806, 0x8035, 0x88b5),
  tagged: fc.oneof({ weight: 6, arbitrary: fc.constant(false) }, fc.constant(true)),
  protocol: fc.constantFrom(112, 17, 58, 58, 1, 2, 51),
  options: fc.nat(10),
  fragment: fc.constantFrom(0, 0, 0, 1, 0x2000, 0x4000, 0x1fff),
  icmp: fc.oneof(fc.constant(136), fc.integer({ min: 131, max: 138 }), fc.nat(255)),
  source: fc.constantFrom(67, 68, 53, 546, 547, 546 + 256, 40_000),
  destination: fc.constantFrom(67, 68, 53, 546, 547, 67 + 256, 40_000),
  length: fc.oneof({ weight: 6, arbitrary: fc.constant(100) }, fc.nat(60)),
});

function bytesOf(frame: Meant): Uint8Array {
  const packet = new Uint8Array(100);
  const view = new DataView(packet.buffer);
  if (frame.type === 0x0800) {
    packet[0] = 0x45 + frame.options;
    view.setUint16(6, frame.fragment);
    packet[9] = frame.protocol;
    view.setUint16(4 * (5 + frame.options), frame.source);
    view.setUint16(4 * (5 + frame.options) + 2, frame.destination);
  } else if (frame.type === 0x86dd) {
    packet[0] = 0x60;
    packet[6] = frame.protocol;
    view.setUint16(40, frame.source);
    view.setUint16(42, frame.destination);
    if (frame.protocol === 58) packet[40] = frame.icmp;
  }
  const tag = frame.tagged ? [0x81, 0x00, 0x00, 0x07] : [];
  const from = STRANGER.map((b) => b ^ 1);
  return Uint8Array.of(...frame.to, ...from, ...tag, frame.type >> 8, frame.type & 255, ...packet.subarray(0, frame.length));
}

const has = (frame: Meant, bytes: number): boolean => frame.length >= bytes;
const ports = (frame: Meant, ...known: number[]): boolean => known.includes(frame.source) || known.includes(frame.destination);

const isVrrp = (family: 4 | 6) => (f: Meant): boolean =>
  f.to !== STRANGER && f.type === (family === 4 ? 0x0800 : 0x86dd) && f.protocol === 112 && has(f, family === 4 ? 10 : 7);
const isAdvertisement = (f: Meant): boolean => f.type === 0x86dd && f.protocol === 58 && f.icmp === 136 && has(f, 41);

function isNeighbourTalk(f: Meant): boolean {
  if (f.type === 0x0806 || f.type === 0x8035) return true;
  if (f.type === 0x86dd && f.protocol === 58) return f.icmp >= 133 && f.icmp <= 136 && has(f, 41);
  const known = f.type === 0x86dd ? [546, 547] : [67, 68];
  const header = f.type === 0x86dd ? 40 : 4 * (5 + f.options);
  // The program reads the second port only where the first is not one of them.
  const enough = has(f, header + (known.includes(f.source) ? 2 : 4));
  return (f.type === 0x86dd || (f.type === 0x0800 && (f.fragment & 0x1fff) === 0)) && f.protocol === 17 && ports(f, ...known) && enough;
}

const filters: readonly (readonly [string, FilterInstruction[], (f: Meant) => boolean])[] = [
  ['VRRP over IPv4', ipProtocolFilter({ family: 4, protocol: 112 }), isVrrp(4)],
  ['VRRP over IPv6', ipProtocolFilter({ family: 6, protocol: 112 }), isVrrp(6)],
  ['what neighbours say', neighbourTalkFilter(), isNeighbourTalk],
  ['ARP', arpFilter(), (f) => f.type === 0x0806],
  ['neighbour advertisements', neighbourAdvertisementFilter(), isAdvertisement],
];

export function packetFilterContract(bench: () => Bench): void {
  describe('packet filters', () => {
    for (const [name, filter, passes] of filters) {
      it(`${name}: these frames and no others, and none of a VLAN`, (t) => {
        const tap = bench().makeTap(t);
        const socket: PacketSocket = bench().onTap(t, tap, { protocol: ETH_P_ALL, filter, receiveBuffer: 1 << 20 });
        let passed = 0;
        fc.assert(fc.property(fc.array(meant, { minLength: 1, maxLength: 20 }), (frames) => {
          for (const frame of frames) tap.write(bytesOf(frame));
          const expected = frames.filter((f) => !f.tagged && passes(f)).map((f) => Buffer.from(bytesOf(f)).toString('hex'));
          passed += expected.length;
          assert.deepEqual(drain(socket).map(({ frame }) => Buffer.from(frame).toString('hex')), expected);
        }), { numRuns: 300 });
        assert.ok(passed > 0);
      });
    }

    it('what the host itself sends is no advert of another', (t) => {
      const filter = ipProtocolFilter({ family: 4, protocol: 112 });
      const hears = bench().onWest(t, { protocol: ETH_P_ALL, filter });
      const control = bench().onWest(t, { protocol: ETH_P_ALL });
      const advert = bytesOf({
        to: VRRP_GROUP, type: 0x0800, tagged: false, protocol: 112, options: 0, fragment: 0, icmp: 0, source: 0, destination: 0, length: 60,
      });
      bench().onWest(t, { protocol: 0 }).send(advert);
      assert.deepEqual(drain(control).map(({ packetType }) => packetType), [4]);
      assert.deepEqual(drain(hears), []);
    });
  });
}
