/** Godwit and FRR's vrrpd share virtual routers of every kind that vrrpd has (multicast, virtual MAC), in both roles. */
import { describe, it } from 'node:test';
import { FrrVrrpd } from '../../src/lab/frr-vrrp.ts';
import { PulsePeer } from '../../src/lab/pulse-peer.ts';
import { bothFamilies, interop } from './vrrp-interop.ts';

describe('VRRP with FRR', () => {
  it('agrees on who is Active: after a split, on leaving, on coming back', () => interop(
    bothFamilies,
    { r1: (...at) => PulsePeer.start(...at), r2: (...at) => FrrVrrpd.start(...at) },
  ));
});
