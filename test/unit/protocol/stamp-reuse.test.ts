import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import { StampSender } from '../../../src/protocol/stamp-sender.ts';
import { clockError, unixNanoseconds } from '../../../src/wire/stamp-time.ts';
import type { StampTlv } from '../../../src/wire/stamp-tlv.ts';

test('a sender that writes into its last probe sends the same bytes as one that makes each anew', () => {
  const tlvs: readonly (readonly StampTlv[])[] = [[], [{ type: 'class-of-service', wanted: 46, received: 0, ecn: 0, refused: false }]];
  const clocks = [clockError(false, ms(1)), clockError(true, ms(7))];
  const probe = fc.record({ tlvs: fc.constantFrom(...tlvs), clock: fc.constantFrom(...clocks), size: fc.constantFrom(0, 100, 1472), after: fc.nat(5000) });
  fc.assert(fc.property(fc.array(probe, { maxLength: 20 }), fc.constantFrom('ntp' as const, 'ptp' as const), (probes, format) => {
    const settings = { ssid: 9, format, stateful: true, timeout: ms(1000), window: 64 };
    const [anew, reusing] = [new StampSender(settings), new StampSender({ ...settings, reuse: true })];
    let now = 0;
    for (const { tlvs, clock, size, after } of probes) {
      now += after;
      const wall = unixNanoseconds(1_700_000_000_123_456_789n + BigInt(now) * 1_000_000n);
      assert.deepEqual(reusing.send(ms(now), wall, clock, tlvs, size), anew.send(ms(now), wall, clock, tlvs, size));
    }
  }));
});
