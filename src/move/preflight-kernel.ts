/** What the kernel can try of the ways between hosts (preflight.ts). */
import type { Host } from '../host/host.ts';
import { FrameProbe, sendFrameProbe } from '../host/frame-probe.ts';
import { findGateway } from '../host/gateway.ts';
import { probePathMtu } from '../host/path-mtu.ts';
import { MacAddress } from '../wire/mac-address.ts';
import { parseIpAddress } from '../wire/ip-address.ts';
import { PreflightRefused } from './errors.ts';
import { routeMtu } from './plan-facts.ts';
import type { HostProbes } from './preflight.ts';

export function kernelProbes(host: Host): HostProbes {
  return {
    pathMtu: async (to, port, sizes) => ({ ...(await probePathMtu(host, to, port, sizes)), promised: routeMtu(host, to) }),
    listen: (bridge, nonce) => {
      const probe = FrameProbe.listen(host, bridge, nonce);
      return { mac: probe.mac.toString(), wait: (size, within) => probe.wait(size, within), close: () => probe.close() };
    },
    sendFrames: async ({ bridge, nonce, sizes, to }) => {
      mustBeBridge(host, bridge);
      for (const size of sizes) sendFrameProbe(host, bridge, size, nonce, MacAddress.parse(to));
    },
    gateway: async (bridge, address) => {
      mustBeBridge(host, bridge);
      return (await findGateway(host, bridge, parseIpAddress(address))).map(String);
    },
  };
}

/** Another agent asks for these: out of a bridge only. */
function mustBeBridge({ links, name }: Host, bridge: string): void {
  if (links.list().some((link) => link.name === bridge && link.kind === 'bridge')) return;
  throw new PreflightRefused(`${name} has no bridge ${bridge}: make it there, on the same network`);
}
