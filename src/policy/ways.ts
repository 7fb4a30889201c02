/** What was tried of the ways between two hosts before a move, and what speaks against the move in it. */

export interface Ways {
  readonly path: PathTried;
  /** One for each bridge that the VM's NICs need, as far as it could be tried. */
  readonly networks: readonly NetworkTried[];
}

/**
 * The way of the migration and its tunnels. `dead`: nothing comes through; `why` says what is known of it. `lossy`: packets of
 * `promised` bytes, which the route allows, get lost. `untried`: `why` says what kept from it.
 */
export type PathTried =
  | { readonly kind: 'whole' }
  | { readonly kind: 'dead'; readonly why: string }
  | { readonly kind: 'lossy'; readonly promised: number; readonly works: number }
  | { readonly kind: 'untried'; readonly why: string };

export interface NetworkTried {
  readonly bridge: string;
  readonly frame: FrameTried;
  /** Those that networks on this bridge declare. */
  readonly gateways: readonly GatewayTried[];
}

/** From the destination to the source, bytes of IP packet: what was sent, and the largest that came; 0 when none did. */
export type FrameTried = { readonly sent: number; readonly came: number } | { readonly failure: string };

/** The MACs that answered for it at each host. */
export type GatewayTried =
  | { readonly address: string; readonly source: readonly string[]; readonly destination: readonly string[] }
  | { readonly address: string; readonly failure: string };

interface Between {
  readonly source: string;
  readonly destination: string;
}

/** Nothing speaks against it: not worth another try soon. */
export const frameCame = (frame: FrameTried): boolean => !('failure' in frame) && frame.came >= frame.sent;

/** Some gateway is the same one at both hosts. */
export const gatewayShared = (gateway: GatewayTried): boolean => !('failure' in gateway) && gateway.source.some((mac) => gateway.destination.includes(mac));

export function wayRefusals({ path, networks }: Ways, between: Between): string[] {
  return [...pathRefusals(path, between), ...networks.flatMap((network) => [...frameRefusals(network, between), ...network.gateways.flatMap((gateway) => gatewayRefusals(network, gateway, between))])];
}

export function wayWarnings({ path, networks }: Ways, { source, destination }: Between): string[] {
  return [
    ...(path.kind === 'untried' ? [`What the path between ${source} and ${destination} carries was not tried: ${path.why}`] : []),
    ...networks.flatMap(({ bridge, gateways }) => gateways.flatMap((gateway) =>
      !('failure' in gateway) && gateway.source.length === 0 && gateway.destination.length === 0
        ? [`Gateway ${gateway.address} answers on bridge ${bridge} of neither ${source} nor ${destination}, so it was not compared: is it down?`]
        : [])),
  ];
}

function pathRefusals(path: PathTried, { source, destination }: Between): string[] {
  switch (path.kind) {
    case 'whole':
    case 'untried': return [];
    case 'dead': return [`Nothing comes through from ${source} to ${destination}: ${path.why}`];
    case 'lossy': return [
      `Packets of ${path.promised} bytes from ${source} to ${destination} get lost, and ${source}'s route allows them; ${path.works} bytes come `
        + `through: raise the MTU of what lies between them, or set that of ${source}'s device to what it carries`,
    ];
  }
}

function frameRefusals({ bridge, frame }: NetworkTried, { source, destination }: Between): string[] {
  if ('failure' in frame) return [`Whether frames pass between the bridges ${bridge} of ${destination} and ${source} could not be tried: ${frame.failure}`];
  const { sent, came } = frame;
  if (came >= sent) return [];
  if (came === 0) {
    return [
      `No frame that ${destination} sends out of its bridge ${bridge} arrives at that of ${source}: join both to the same network `
        + '(is the uplink a port of the bridge? is the VLAN the same?)',
    ];
  }
  return [
    `Frames of ${sent} bytes from bridge ${bridge} of ${destination} do not arrive at that of ${source}, small ones do: `
      + `raise the MTU of every port and switch of that network to ${sent}, or lower the network's`,
  ];
}

function gatewayRefusals({ bridge }: NetworkTried, gateway: GatewayTried, between: Between): string[] {
  if ('failure' in gateway) return [`Gateway ${gateway.address} could not be asked for on bridge ${bridge}: ${gateway.failure}`];
  const { source, destination, address } = gateway;
  if (source.length === 0 || gatewayShared(gateway)) return [];
  if (destination.length === 0) {
    return [
      `Gateway ${address} answers on bridge ${bridge} of ${between.source} (${source.join(', ')}) and not on that of ${between.destination}: `
        + 'join both to the same network',
    ];
  }
  return [
    `Gateway ${address} is ${source.join(', ')} on bridge ${bridge} of ${between.source} and ${destination.join(', ')} on that of `
      + `${between.destination}: they are different networks, or two machines claim the address; the guest would lose its router`,
  ];
}
