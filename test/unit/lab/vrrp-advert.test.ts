/** The lab's own eye for adverts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { downInterval, readAdvert } from '../../../src/lab/vrrp-advert.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
/** By hand: RFC 9568 §5.2, RFC 3768 §5.3; checksums are not looked at. */
const version3 = hex('01005e000012 00005e000133 0800  45c00020 0000 4000 ff70 0000 0a5a0001 e0000012  3133c801 000a 0000 0a5a00fe 00000000000000000000');
const version2 = hex('01005e000012 00005e000133 0800  45c00028 0000 4000 ff70 0000 0a5a0001 e0000012  21336401 0003 0000 0a5a00fe 0000000000000000');
const ipv6 = hex('333300000012 00005e000233 86dd  6c000000 0018 70 ff fe800000000000000000000000000001 ff020000000000000000000000000012  31336401 0064 0000 fe8000000000000000000000000000fe');

describe('adverts as the lab sees them', () => {
  it('reads version 3, version 2 and IPv6', () => {
    assert.deepEqual(readAdvert(version3), {
      family: 4, version: 3, vrid: 51, priority: 200, interval: 100, sourceMac: '00005e000133', destinationMac: '01005e000012', source: '0a5a0001', ttl: 255,
    });
    assert.deepEqual({ ...readAdvert(version2) }, {
      family: 4, version: 2, vrid: 51, priority: 100, interval: 3000, sourceMac: '00005e000133', destinationMac: '01005e000012', source: '0a5a0001', ttl: 255,
    });
    assert.deepEqual(readAdvert(ipv6), {
      family: 6, version: 3, vrid: 51, priority: 100, interval: 1000, sourceMac: '00005e000233', destinationMac: '333300000012', source: 'fe800000000000000000000000000001', ttl: 255,
    });
  });

  it('passes over everything else, and what was cut off', () => {
    const udp = version3.slice();
    udp[23] = 17;
    for (const frame of [udp, version3.slice(0, 41), ipv6.slice(0, 60), new Uint8Array()]) assert.equal(readAdvert(frame), undefined);
  });

  it('waits as the RFCs say', () => {
    assert.equal(downInterval(3, 100, 156), 300 + (100 * 100) / 256);
    assert.equal(downInterval(3, 1000, 100), 3000 + (156 * 1000) / 256);
    // RFC 3768 §6.1: the skew of version 2 does not depend on the interval.
    assert.equal(downInterval(2, 2000, 128), 6000 + 500);
  });
});
