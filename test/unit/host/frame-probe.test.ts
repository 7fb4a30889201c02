import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ms } from '../../../src/base/units.ts';
import { FrameProbe, frameProbe, sendFrameProbe } from '../../../src/host/frame-probe.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';
import { MAC_A, MAC_B, drain, memoryHosts, watch } from './memory-hosts.ts';

const SOON = ms(20);

// Waits that do not end when they should last a minute.
describe('frame probe', { timeout: 10_000 }, () => {
  test('a full frame is heard at the other bridge, as soon as it is there', async () => {
    const { a, b, network } = memoryHosts();
    const probe = FrameProbe.listen(b, 'br0', 7);
    assert.deepEqual(probe.mac, MAC_B);
    const heard = probe.wait(1500, ms(60_000));
    sendFrameProbe(a, 'br0', 1280, 7, probe.mac);
    sendFrameProbe(a, 'br0', 1500, 7, probe.mac);
    assert.equal(await heard, 1500);
    probe.close();
    assert.equal(network.link('a', 'br0').sockets.size + network.link('b', 'br0').sockets.size, 0);
  });

  test('what was heard before the wait, or smaller than waited for, is told all the same', async () => {
    const { a, b } = memoryHosts();
    const probe = FrameProbe.listen(b, 'br0', 7);
    sendFrameProbe(a, 'br0', 1400, 7);
    assert.equal(await probe.wait(1500, SOON), 1400);
    assert.equal(await probe.wait(1400, ms(60_000)), 1400);
    sendFrameProbe(a, 'br0', 1500, 7);
    assert.equal(await probe.wait(1500, ms(60_000)), 1500);
    probe.close();
  });

  test('neither another nonce, nor a frame that lost its end, nor noise is heard', async () => {
    const { a, b } = memoryHosts();
    const probe = FrameProbe.listen(b, 'br0', 7);
    sendFrameProbe(a, 'br0', 1500, 8);
    const cut = watch(a);
    cut.send(frameProbe(MAC_A, MAC_B, 1500, 7).subarray(0, 1000));
    cut.send(frameProbe(MAC_A, MAC_B, 1500, 7).fill(0xff, 14));
    cut.close();
    assert.equal(await probe.wait(60, SOON), 0);
    probe.close();
  });

  test('the frame is as long as said, and the bridge\'s own', () => {
    const { a, b } = memoryHosts();
    const seen = watch(b);
    sendFrameProbe(a, 'br0', 1500, 7);
    assert.deepEqual(drain(seen).map(({ frame }) => [frame.length, MacAddress.of(frame.subarray(6, 12))]), [[1514, MAC_A]]);
    seen.close();
  });

  test('more than the bridge carries is refused; closing or a bridge going down ends a wait', async () => {
    const { a, b, network } = memoryHosts(1400);
    assert.throws(() => sendFrameProbe(a, 'br0', 1500, 7), { code: 'NATIVE_SYSTEM', errnoName: 'EMSGSIZE' });
    assert.equal(network.link('a', 'br0').sockets.size, 0);
    assert.throws(() => FrameProbe.listen(b, 'br9', 7), { code: 'HOST_KERNEL_REFUSED' });
    const [closed, down] = [FrameProbe.listen(b, 'br0', 7), FrameProbe.listen(b, 'br0', 8)];
    const waits = [closed.wait(1400, ms(60_000)), down.wait(1400, ms(60_000))];
    closed.close();
    network.link('b', 'br0').up = false;
    assert.deepEqual(await Promise.all(waits), [0, 0]);
    assert.equal(network.link('b', 'br0').sockets.size, 0);
  });
});
