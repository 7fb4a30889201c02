/** What an agent does about a pulse that died: takes back what it held, and tells the others, so that they need not wait for silence. */
import { GodwitError, formatError } from '../base/error.ts';
import { ms } from '../base/units.ts';
import type { Host } from '../host/host.ts';
import type { RouterPlan } from '../model/virtual-router.ts';
import { SystemError } from '../native/native.ts';
import { Adverts } from './adverts.ts';
import { KernelGround } from './ground-kernel.ts';
import { readPlan } from './plan.ts';
import { removeAddresses, removeDevices } from './seat-kernel.ts';

/**
 * Silences this host first, then says priority 0 for the routers that the dead pulse was Active in, then clears up what is slow to go.
 * No pulse runs. What could not be said is in `log`: those backups take over by silence.
 */
export function takeBack(host: Host, active: readonly RouterPlan[], log: (line: string) => void = () => undefined): void {
  removeAddresses(host);
  for (const plan of active) {
    try {
      if (!farewell(host, plan)) log(`${plan.name}: nobody was told that it left: its device, its address or its peers are not there`);
    } catch (error) {
      if (!(error instanceof GodwitError)) throw error;
      log(`${plan.name}: nobody was told that it left: ${formatError(error)}`);
    }
  }
  removeDevices(host);
}

/** An advert of priority 0 in the name of this host. False where there was nothing to send it from or to. Throws SystemError. */
export function farewell(host: Host, plan: RouterPlan): boolean {
  const { source: given, peers, virtualMac, router: { settings: { vrid, version, addresses } } } = readPlan(plan);
  const ground = new KernelGround(host);
  try {
    const device = ground.device(plan.device);
    const source = device && (given ?? ground.sources(device, plan.family)[0]);
    if (!device || !source) return false;
    const facts = { vrid, version, checksum: plan.checksum, addresses, source, peers, sourceMac: virtualMac ?? device.mac };
    const frames = new Adverts(facts, (peer) => ground.nextHop(device, peer)).frames(0, ms(plan.interval));
    // Protocol 0: it only sends.
    const socket = host.native.packetSocket(host.netns, { ifindex: device.index, protocol: 0 });
    try {
      for (const frame of frames) socket.send(frame);
    } finally {
      socket.close();
    }
    return frames.length > 0;
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  } finally {
    ground.close();
  }
}
