/** `godwit announce`: what a neighbour hears of a real guest's addresses when the server asks for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { announcementFrames } from '../../src/wire/announce.ts';
import { decodeEthernet } from '../../src/wire/ethernet.ts';
import { LONG, runVm, sharedCluster } from './cluster-fixture.ts';
import { native } from './move-fixture.ts';

const ETH_P_ALL = 3;
const cluster = sharedCluster();

test('an announced VM is heard in every form by its neighbours, once for each order', { timeout: 2 * LONG }, async () => {
  const vm = await runVm(cluster(), 'web', 10, 'h1');
  const [nic] = vm.nics;
  assert.ok(nic);
  const expected = announcementFrames(nic).map((frame) => Buffer.from(frame).toString('hex'));
  const { client } = cluster().lab;
  const socket = native.packetSocket(client.netns, { ifindex: client.links.get('eth-a').index, protocol: ETH_P_ALL });
  try {
    const heard: string[] = [];
    const listen = (): readonly string[] => {
      for (let frame; (frame = socket.receive()); ) {
        // The guest's own traffic is none of these: they are compared whole, but for the padding of short frames.
        const hex = Buffer.from(frame.frame).toString('hex');
        const found = decodeEthernet(frame.frame).source.equals(nic.mac) ? expected.find((e) => hex.startsWith(e)) : undefined;
        if (found !== undefined) heard.push(found);
      }
      return heard;
    };
    for (const order of [1, 2]) {
      await cluster().api.announce('web');
      await cluster().until('all of it is heard', async () => listen().length >= order * expected.length, LONG);
    }
    assert.deepEqual(heard, [...expected, ...expected]);
  } finally {
    socket.close();
  }
});
