/** BFD echoes, of all sessions: a port for each link and family with a session that sends some or may be sent some. */
import { GodwitError, formatError } from '../base/error.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { EchoPort, type EchoListeners } from './echo-port.ts';
import type { Device, PulseGround } from './ground.ts';
import type { SessionDriver } from './session-driver.ts';

const keyOf = ({ index }: Device, family: 4 | 6): string => `${index} ${family}`;
const peerKey = ({ index }: Pick<Device, 'index'>, peer: IpAddress): string => `${index} ${peer}`;

export class EchoPorts {
  readonly #ground: PulseGround;
  readonly #listeners: EchoListeners;
  readonly #open = new Map<string, EchoPort>();
  readonly #refused = new Map<string, string>();
  /** Whose echoes are looped. */
  #peers: ReadonlySet<string> = new Set();
  /** Of links that are gone or without such a session: to be closed. */
  readonly #dead: EchoPort[] = [];

  constructor(ground: PulseGround, listeners: Omit<EchoListeners, 'loops'>) {
    this.#ground = ground;
    this.#listeners = { ...listeners, loops: (device, peer) => this.loops(device, peer) };
  }

  /** From now on for exactly these sessions. */
  want(drivers: readonly SessionDriver[]): void {
    const wanted = new Map<string, readonly [Device, 4 | 6]>();
    const peers = new Set<string>();
    for (const { device, path: { peer }, settings } of drivers) {
      if (!device || (settings.echo === undefined && settings.requiredMinEchoRx === 0)) continue;
      wanted.set(keyOf(device, peer.family), [device, peer.family]);
      if (settings.requiredMinEchoRx > 0) peers.add(peerKey(device, peer));
    }
    this.#peers = peers;
    this.#refused.clear();
    for (const [key, port] of this.#open) {
      if (wanted.has(key) && wanted.get(key)?.[0].mac.equals(port.device.mac) === true) continue;
      this.#open.delete(key);
      this.#dead.push(port);
    }
    for (const [key, [device, family]] of wanted) if (!this.#open.has(key)) this.#begin(key, device, family);
  }

  /** Its device went: one that comes back with its index needs another. */
  lost(index: number): void {
    for (const [key, port] of this.#open) {
      if (port.device.index !== index) continue;
      this.#open.delete(key);
      this.#dead.push(port);
    }
  }

  /** Whether the echoes of this neighbour are to come back. */
  loops(device: Pick<Device, 'index'>, peer: IpAddress): boolean {
    return this.#peers.has(peerKey(device, peer));
  }

  /** What kept it back, as an errno's name. */
  send(device: Device, local: IpAddress, peer: IpAddress, payload: Uint8Array): string | undefined {
    const port = this.#open.get(keyOf(device, peer.family));
    return port ? port.send(local, peer, payload) : 'ENODEV';
  }

  /** Why there are no echoes on a session's link. */
  refusal({ device, path: { peer } }: SessionDriver): string | undefined {
    return device && this.#refused.get(keyOf(device, peer.family));
  }

  drain(): void {
    for (const port of this.#open.values()) port.drain();
  }

  everySecond(): void {
    for (const port of this.#open.values()) port.everySecond();
    // One at a time: each takes some 10 ms.
    this.#dead.shift()?.close();
  }

  /** Some 10 ms for each. */
  close(): void {
    for (const port of [...this.#open.values(), ...this.#dead.splice(0)]) port.close();
    this.#open.clear();
  }

  #begin(key: string, device: Device, family: 4 | 6): void {
    try {
      this.#open.set(key, new EchoPort(this.#ground, device, family, this.#listeners));
    } catch (error) {
      if (!(error instanceof GodwitError)) throw error;
      this.#refused.set(key, `Echoes cannot be received: ${formatError(error)}`);
    }
  }
}
