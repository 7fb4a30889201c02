/** A worker that sends numbered frames at a steady rate from a namespace, whatever its parent is busy with. */
import { isMainThread, workerData } from 'node:worker_threads';
import { kernelNative } from '../../src/native/kernel.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';
import { NO_VNET_HEADER, frame } from './host-fixture.ts';

export interface SenderData {
  readonly namespace: string;
  readonly ifindex: number;
  readonly count: number;
  readonly perSecond: number;
  readonly destination: string;
}

if (!isMainThread) {
  // The parent gives a SenderData; worker_threads has no type for it.
  const { namespace, ifindex, count, perSecond, destination } = workerData as SenderData;
  const native = kernelNative();
  const netns = native.openNetns(namespace);
  const socket = native.packetSocket(netns, { ifindex, protocol: 0, vnetHeader: true });
  const mac = MacAddress.parse(destination);
  const idle = new Int32Array(new SharedArrayBuffer(4));
  const start = performance.now();
  for (let i = 0; i < count; i++) {
    const early = start + (i * 1000) / perSecond - performance.now();
    if (early > 0) Atomics.wait(idle, 0, 0, early);
    socket.send(frame(mac, i), NO_VNET_HEADER);
  }
  socket.close();
  netns.close();
}
