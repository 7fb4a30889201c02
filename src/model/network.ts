/** A network of VMs: the same Ethernet segment on every host, reached by a bridge of the same name. */
import { Type, type Static } from 'typebox';
import { closed, declaration, type Resource } from './resource.ts';

export const NetworkSpec = Type.Object(
  {
    bridge: Type.String({ pattern: '^[!-.0-9;-~]{1,15}$', description: 'name of the Linux bridge on every host' }),
    mtu: Type.Optional(Type.Integer({ minimum: 576, maximum: 65535, default: 1500, description: 'bytes of IP packet' })),
    gateway: Type.Optional(Type.String({ description: 'address of the router; a move is refused when the two hosts see different ones' })),
  },
  closed,
);
export type NetworkSpec = Static<typeof NetworkSpec>;
export const NetworkDeclaration = declaration('Network', NetworkSpec);
export type NetworkResource = Resource<'Network', NetworkSpec, never>;
