/** One descriptor of a tap of the network in memory. */
import { errno, systemError } from './errno.ts';
import { MemoryDescriptor } from './memory-descriptor.ts';
import type { DescriptorTable } from './memory-descriptor.ts';
import type { MemoryTapDevice } from './memory-link.ts';
import { NativeMisuseError } from './native.ts';
import type { ReceivedFrame, Tap } from './native.ts';

/** Of the header's bytes those that say something: struct virtio_net_hdr; a longer one goes on with zeros. */
const MEANING_BYTES = 10;

export class MemoryTap extends MemoryDescriptor implements Tap {
  readonly name: string;
  readonly device: MemoryTapDevice;

  constructor(table: DescriptorTable, device: MemoryTapDevice) {
    super(table, device.file, `tap ${device.name}`);
    this.name = device.name;
    this.device = device;
    device.readers.add(this);
  }

  override close(): void {
    this.device.readers.delete(this);
    super.close();
  }

  vnetHeaderSize(): number {
    this.#check('ioctl TUNGETVNETHDRSZ');
    return this.device.vnetHeaderSize;
  }

  readable(): boolean {
    this.checkOpen('poll');
    return this.device.queue.length > 0;
  }

  read(): ReceivedFrame | undefined {
    this.#check('read');
    const next = this.device.queue.shift();
    return next && { vnetHeader: this.#resized(next.vnetHeader), frame: next.frame, packetType: 0, timestamp: 0 };
  }

  write(frame: Uint8Array, vnetHeader?: Uint8Array): void {
    this.#check('write');
    const size = this.device.vnetHeaderSize;
    if (vnetHeader !== undefined && vnetHeader.length !== size) {
      throw new NativeMisuseError(`write ${this.what}: the vnet header has ${vnetHeader.length} bytes, not ${size}`);
    }
    if (!this.device.up) throw systemError(`write ${this.what}`, errno.EIO);
    if (frame.length < 14) throw systemError(`write ${this.what}`, errno.EINVAL);
    const meaning = new Uint8Array(MEANING_BYTES);
    if (vnetHeader !== undefined) meaning.set(vnetHeader.subarray(0, MEANING_BYTES));
    this.device.receive({ frame, vnetHeader: meaning });
  }

  protected hasInput(): boolean {
    return this.device.queue.length > 0 || this.device.deleted;
  }

  #check(call: string): void {
    this.checkOpen(call);
    this.device.checkAlive(call);
  }

  #resized(header: Uint8Array): Uint8Array {
    const resized = new Uint8Array(this.device.vnetHeaderSize);
    resized.set(header.subarray(0, resized.length));
    return resized;
  }
}
