/** One connection between two agents, as lines. A seam: TLS between hosts (peer-tls.ts), in memory for tests (peer-memory.ts). */

export interface PeerConnection {
  /** The name in the other agent's certificate. */
  readonly peer: string;
  /** Buffered and in order; nothing is heard of it when the connection breaks. */
  send(line: string): void;
  /** One receiver: lines that came before it is set wait for it. */
  receive(onLine: (line: string) => void, onClose: (why: string) => void): void;
  /** Idempotent. */
  close(): void;
}

export interface PeerAddress {
  readonly host: string;
  readonly address: string;
  readonly port: number;
}

export interface PeerDialer {
  /** Fails with PeerLost. */
  dial(to: PeerAddress): Promise<PeerConnection>;
}
