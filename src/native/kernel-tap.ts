/** Tap devices: Documentation/networking/tuntap.rst, linux/if_tun.h. */
import { constants } from 'node:fs';
import { check, Descriptor } from './kernel-descriptor.ts';
import { prepared } from './kernel-sockets.ts';
import { checkTapName, NativeMisuseError } from './native.ts';
import type { ReceivedFrame, Tap, TapOptions } from './native.ts';
import type { Rawio } from './rawio.ts';

const TUNSETIFF = 0x400454ca;
const TUNGETIFF = 0x800454d2;
const TUNGETVNETHDRSZ = 0x800454d7;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
/** Refuses (EBUSY) a device that exists. */
const IFF_TUN_EXCL = 0x8000;
const POLLIN = 1;

/** struct ifreq: char name[16], then a union whose first member is the u16 of flags. */
const IFREQ_BYTES = 40;
const IFREQ_FLAGS = 16;

const EMPTY = new Uint8Array(0);

class KernelTap extends Descriptor implements Tap {
  readonly name: string;
  readonly #hasVnetHeader: boolean;

  constructor(rawio: Rawio, fd: number, name: string, hasVnetHeader: boolean) {
    super(rawio, fd, `tap ${name}`);
    this.name = name;
    this.#hasVnetHeader = hasVnetHeader;
  }

  vnetHeaderSize(): number {
    if (!this.#hasVnetHeader) return 0;
    const size = new Int32Array(1);
    check(`ioctl TUNGETVNETHDRSZ ${this.what}`, this.rawio.ioctl(this.fd, TUNGETVNETHDRSZ, new Uint8Array(size.buffer)));
    return size[0] ?? 0;
  }

  readable(): boolean {
    return (check(`poll ${this.what}`, this.rawio.poll(this.fd, POLLIN)) & POLLIN) !== 0;
  }

  read(): ReceivedFrame | undefined {
    const size = this.vnetHeaderSize();
    const bytes = this.readBytes();
    return bytes && { vnetHeader: bytes.subarray(0, size), frame: bytes.subarray(size), packetType: 0, timestamp: 0 };
  }

  write(frame: Uint8Array, vnetHeader?: Uint8Array): void {
    const size = this.vnetHeaderSize();
    if (vnetHeader !== undefined && vnetHeader.length !== size) {
      throw new NativeMisuseError(`write ${this.what}: the vnet header has ${vnetHeader.length} bytes, not ${size}`);
    }
    const header = vnetHeader ?? (size === 0 ? EMPTY : new Uint8Array(size));
    check(`write ${this.what}`, this.rawio.write(this.fd, header, frame));
  }
}

/** To be called inside the namespace. */
export function createTap(rawio: Rawio, options: TapOptions): Tap {
  checkTapName(options.name);
  const { O_RDWR, O_NONBLOCK } = constants;
  const opened = new Descriptor(rawio, check('open /dev/net/tun', rawio.open('/dev/net/tun', O_RDWR | O_NONBLOCK)), '/dev/net/tun');
  prepared(opened, ({ fd }) => {
    const request = new DataView(new ArrayBuffer(IFREQ_BYTES));
    for (let i = 0; i < options.name.length; i++) request.setUint8(i, options.name.charCodeAt(i));
    const flags = IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL | (options.vnetHeader === true ? IFF_VNET_HDR : 0);
    request.setUint16(IFREQ_FLAGS, flags, true);
    check(`ioctl TUNSETIFF ${options.name}`, rawio.ioctl(fd, TUNSETIFF, new Uint8Array(request.buffer)));
  });
  return new KernelTap(rawio, opened.fd, options.name, options.vnetHeader === true);
}

export function takeTap(rawio: Rawio, pid: number, fd: number): Tap {
  const pidfd = check(`pidfd_open ${pid}`, rawio.pidfdOpen(pid));
  let taken: number;
  try {
    taken = check(`pidfd_getfd ${fd} of process ${pid}`, rawio.pidfdGetfd(pidfd, fd));
  } finally {
    rawio.close(pidfd);
  }
  const copy = new Descriptor(rawio, taken, `descriptor ${fd} of process ${pid}`);
  const request = new DataView(new ArrayBuffer(IFREQ_BYTES));
  prepared(copy, () => {
    check(`ioctl TUNGETIFF descriptor ${fd} of process ${pid}`, rawio.ioctl(taken, TUNGETIFF, new Uint8Array(request.buffer)));
    if ((request.getUint16(IFREQ_FLAGS, true) & IFF_TAP) === 0) {
      throw new NativeMisuseError(`descriptor ${fd} of process ${pid} is a tun device, not a tap`);
    }
  });
  let name = '';
  for (let i = 0; i < 16 && request.getUint8(i) !== 0; i++) name += String.fromCharCode(request.getUint8(i));
  return new KernelTap(rawio, taken, name, (request.getUint16(IFREQ_FLAGS, true) & IFF_VNET_HDR) !== 0);
}
