/**
 * Puts frames into a tap's queue from the host's side, past its qdisc and its egress filters: a redirect in force does
 * not send them away again.
 */
import type { Host } from '../host/host.ts';
import type { VmTap } from '../host/vm-tap.ts';
import { type PacketSocket, type ReceivedFrame } from '../native/native.ts';
import { EtherType, encodeEthernet } from '../wire/ethernet.ts';
import { MacAddress } from '../wire/mac-address.ts';
import type { Nic } from '../model/vm.ts';
import { setTimeout as pause } from 'node:timers/promises';

/** What PACKET_VNET_HDR takes: struct virtio_net_hdr without num_buffers. */
const VNET_HEADER = 10;
/** A QEMU with nothing else to do reads at once, ms. */
const PRIME_TIMEOUT = 300;

export class Injector {
  readonly #socket: PacketSocket;
  readonly #tap: VmTap;

  constructor(host: Host, tap: VmTap) {
    this.#socket = host.native.packetSocket(host.netns, { ifindex: tap.index, protocol: 0, vnetHeader: true, bypassQdisc: true });
    this.#tap = tap;
  }

  /** Throws SystemError ENOBUFS when the tap's queue is full. */
  put(frame: ReceivedFrame): void {
    this.#socket.send(frame.frame, frame.vnetHeader.length >= VNET_HEADER ? frame.vnetHeader.subarray(0, VNET_HEADER) : new Uint8Array(VNET_HEADER));
  }

  /** A frame for the guest that no stack listens to. */
  putNobodys(nic: Nic): void {
    const frame = encodeEthernet({ destination: nic.mac, source: MacAddress.of(Uint8Array.of(0x02, 0, 0, 0, 0, 0)), etherType: EtherType.localExperimental1, payload: new Uint8Array(46) });
    this.#socket.send(frame, new Uint8Array(VNET_HEADER));
  }

  /**
   * A QEMU whose guest stands still reads one frame from its tap all the same, keeps it inside, and reads no more until
   * `cont`. What it holds cannot be had back. So it is given a frame that nobody misses: after it the tap keeps all others, in
   * order. The guest receives and ignores it when it runs. False: QEMU holds a frame already and left this one in the tap.
   */
  async prime(nic: Nic): Promise<boolean> {
    this.putNobodys(nic);
    const deadline = performance.now() + PRIME_TIMEOUT;
    while (this.#tap.tap.readable()) {
      if (performance.now() > deadline) return false;
      await pause(1);
    }
    return true;
  }

  close(): void {
    this.#socket.close();
  }
}

