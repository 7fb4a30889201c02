/** What an agent does about a pulse that died: takes back what it held, and tells the others, so that they need not wait for silence. */
import { setImmediate as breathe } from 'node:timers/promises';
import { GodwitError, formatError } from '../base/error.ts';
import { ms } from '../base/units.ts';
import type { Host } from '../host/host.ts';
import { NftError, runNft } from '../host/nft.ts';
import type { RouterPlan } from '../model/virtual-router.ts';
import { type PacketSocket, SystemError } from '../native/native.ts';
import { Adverts } from './adverts.ts';
import { FormerSettings } from './former-settings.ts';
import { KernelGround } from './ground-kernel.ts';
import { removeAddresses, removeDevicesSlowly } from './leftovers.ts';
import { readPlan } from './plan.ts';
import { refusalRules } from './refusal.ts';

export interface TakeBackOptions {
  /** Where the dead pulse noted what it had changed of others' (`formerSettings`); without, that stays as it is. */
  readonly settings?: string;
  readonly log?: (line: string) => void;
}

/**
 * Silences this host first, then says priority 0 for the routers that the dead pulse was Active in, then clears up what is slow to go.
 * No pulse runs. What could not be said or removed is in `log`: those backups take over by silence.
 */
export async function takeBack(host: Host, active: readonly RouterPlan[], { settings, log = () => undefined }: TakeBackOptions = {}): Promise<void> {
  removeAddresses(host);
  const farewells = new Farewells(host);
  try {
    for (const plan of active) {
      try {
        if (!farewells.say(plan)) log(`${plan.name}: nobody was told that it left: its device, its address or its peers are not there`);
      } catch (error) {
        if (!(error instanceof GodwitError)) throw error;
        log(`${plan.name}: nobody was told that it left: ${formatError(error)}`);
      }
      // The caller has other things to do as well.
      await breathe();
    }
  } finally {
    farewells.close();
  }
  const rest: readonly (() => unknown)[] = [() => removeDevicesSlowly(host), () => removeRefusal(host), () => new FormerSettings(host, settings).restore()];
  for (const remove of rest) {
    try {
      await remove();
    } catch (error) {
      if (!(error instanceof GodwitError)) throw error;
      log(`Something of a virtual router is left on this host: ${formatError(error)}`);
    }
  }
}

/** Where there is no nft, there are no rules of ours. */
async function removeRefusal(host: Host): Promise<void> {
  try {
    await runNft(host, refusalRules([]));
  } catch (error) {
    if (!(error instanceof NftError && error.code === 'HOST_NFT_MISSING')) throw error;
  }
}

/** Adverts of priority 0 in the name of this host. */
class Farewells {
  readonly #host: Host;
  readonly #ground: KernelGround;
  /** By device: closing one takes the kernel some 10 ms. */
  readonly #sockets = new Map<number, PacketSocket>();

  constructor(host: Host) {
    this.#host = host;
    this.#ground = new KernelGround(host);
  }

  /** False where there was nothing to send it from or to. Throws PlanImpossible. */
  say(plan: RouterPlan): boolean {
    const { source: given, peers, router: { settings: { vrid, version, addresses } } } = readPlan(plan);
    const ground = this.#ground;
    try {
      const device = ground.device(plan.device);
      const source = device && (given ?? ground.sources(device, plan.family)[0]);
      if (!device || !source) return false;
      // Not from the virtual MAC: switches would look for the successor here (see the effect `send` in protocol/vrrp-state.ts).
      const facts = { vrid, version, checksum: plan.checksum, addresses, source, peers, sourceMac: device.mac };
      const frames = new Adverts(facts, (peer) => ground.nextHop(device, peer)).frames(0, ms(plan.interval));
      const socket = this.#socket(device.index);
      for (const frame of frames) socket.send(frame);
      return frames.length > 0;
    } catch (error) {
      if (error instanceof SystemError) return false;
      throw error;
    }
  }

  close(): void {
    for (const socket of this.#sockets.values()) socket.close();
    this.#ground.close();
  }

  #socket(ifindex: number): PacketSocket {
    // Protocol 0: it only sends.
    const socket = this.#sockets.get(ifindex) ?? this.#host.native.packetSocket(this.#host.netns, { ifindex, protocol: 0 });
    this.#sockets.set(ifindex, socket);
    return socket;
  }
}
