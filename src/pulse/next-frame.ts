import { type PacketSocket, type ReceivedFrame, SystemError } from '../native/native.ts';

/** What waits in a packet socket; undefined: nothing does, or its link went down (ENETDOWN, once). */
export function nextFrame(socket: PacketSocket): ReceivedFrame | undefined {
  try {
    return socket.receive();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return undefined;
  }
}
