/** Godwit and Debian's keepalived share virtual routers of every kind, in both roles. */
import { describe, it } from 'node:test';
import { Keepalived } from '../../src/lab/keepalived.ts';
import { PulsePeer } from '../../src/lab/pulse-peer.ts';
import { bothFamilies, interop } from './vrrp-interop.ts';

describe('VRRP with keepalived', () => {
  it('agrees on who is Active: after a split, on leaving, on coming back', () => interop(
    [
      ...bothFamilies,
      { name: 'version 3, equal priorities, higher address of Godwit', plan: {}, priorities: [150, 150], highSource: true },
      { name: 'no virtual MAC, Godwit stronger', plan: { virtualMac: false }, priorities: [200, 100] },
      { name: 'no virtual MAC, keepalived stronger', plan: { virtualMac: false }, priorities: [100, 200] },
    ],
    { r1: (...at) => PulsePeer.start(...at), r2: (...at) => Keepalived.start(...at) },
  ));

  // In a lab of their own: a host with IPv6 virtual MACs of keepalived answers ARP for its own address with these, too, and there no
  // unicast advert arrives.
  it('agrees by unicast, too', () => interop(
    [
      { name: 'unicast, Godwit stronger', plan: { virtualMac: false }, unicast: true, priorities: [200, 100] },
      { name: 'unicast, keepalived stronger', plan: { virtualMac: false }, unicast: true, priorities: [100, 200] },
      { name: 'unicast, equal priorities, higher address of keepalived', plan: { virtualMac: false }, unicast: true, priorities: [150, 150] },
      { name: 'unicast IPv4 with virtual MAC, keepalived stronger', plan: {}, unicast: true, priorities: [100, 200] },
    ],
    { r1: (...at) => PulsePeer.start(...at), r2: (...at) => Keepalived.start(...at) },
  ));
});
