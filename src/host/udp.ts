/** UDP sockets of a host's namespace. */
import { createSocket, type Socket } from 'node:dgram';
import { GodwitError } from '../base/error.ts';
import type { Native, Netns } from '../native/native.ts';
import type { IpAddress } from '../wire/ip-address.ts';

/**
 * A socket bound in the namespace; `port` 0 lets the kernel choose. Of node:dgram, so it keeps the process alive until it is closed,
 * and an `error` that nobody listens to is an uncaught exception. Rejects with GodwitError HOST_UDP_UNBOUND.
 */
export async function bindUdp({ native, netns }: { native: Native; netns: Netns }, address: IpAddress, port: number): Promise<Socket> {
  // bind() makes the socket when the address has been looked up: at once with this, so still inside the namespace.
  const lookup = (host: string, _: unknown, done: (error: null, address: string, family: number) => void): void => {
    done(null, host, address.family);
  };
  const socket = createSocket({ type: address.family === 4 ? 'udp4' : 'udp6', lookup });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject).once('listening', resolve);
      native.inNetns(netns, () => void socket.bind({ address: address.toString(), port, exclusive: true }));
    });
    return socket.removeAllListeners('error');
  } catch (error) {
    closeUdp(socket);
    const text = `UDP port ${port} of ${address} cannot be had: is the address this host's, and is the port free?`;
    throw new GodwitError('HOST_UDP_UNBOUND', text, { cause: error });
  }
}

/** Also for a socket that never was bound, or is closed. */
export function closeUdp(socket: Socket): void {
  socket.removeAllListeners('error').on('error', () => undefined);
  try {
    socket.close();
  } catch {
    // ERR_SOCKET_DGRAM_NOT_RUNNING
  }
}
