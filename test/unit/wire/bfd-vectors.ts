/** BFD packets as other programs sent them, and what every BFD test of this folder needs. */
import { createHash } from 'node:crypto';
import { ms } from '../../../src/base/units.ts';
import type { BfdAuthentication, BfdAuthKind, Sha1 } from '../../../src/wire/bfd-auth.ts';
import type { BfdControl, BfdDatagram, BfdExpected } from '../../../src/wire/bfd.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';

export const sha1: Sha1 = (bytes) => new Uint8Array(createHash('sha1').update(bytes).digest());

export const control = (change: Partial<BfdControl> = {}): BfdControl => ({
  diagnostic: 'none', state: 'up', poll: false, final: false, controlPlaneIndependent: false, demand: false, detectMult: 3,
  myDiscriminator: 0x0a0b0c0d, yourDiscriminator: 0x01020304, desiredMinTx: ms(50), requiredMinRx: ms(60), requiredMinEchoRx: ms(70), ...change,
});

export const expected: BfdExpected = {
  path: { hops: 'single', peer: parseIpAddress('192.0.2.2'), interface: 'e0' }, authentication: undefined, lastSequence: undefined,
};

export const datagram = (payload: Uint8Array, change: Partial<BfdDatagram> = {}): BfdDatagram => ({
  source: parseIpAddress('192.0.2.2'), destination: parseIpAddress('192.0.2.1'), interface: 'e0', port: 3784, ttl: 255, payload, ...change,
});

export const tailwind = (kind: BfdAuthKind): BfdAuthentication => ({ kind, keys: [{ id: 7, secret: new TextEncoder().encode('tailwind') }] });

/** FRR 8.4.4's bfdd, two of them; what they say of themselves beside each. */
export const frr: readonly (readonly [hex: string, says: BfdControl])[] = [
  ['20400318 d1da8bf2 00000000 000f4240 000f4240 0000c350', control({
    state: 'down', myDiscriminator: 0xd1da8bf2, yourDiscriminator: 0, desiredMinTx: ms(1000), requiredMinRx: ms(1000), requiredMinEchoRx: ms(50),
  })],
  ['20800318 1e60e399 d1da8bf2 000f4240 000f4240 0000ea60', control({
    state: 'init', myDiscriminator: 0x1e60e399, yourDiscriminator: 0xd1da8bf2, desiredMinTx: ms(1000), requiredMinRx: ms(1000), requiredMinEchoRx: ms(60),
  })],
  ['20e00318 d1da8bf2 1e60e399 0000c350 0000c350 0000c350', control({
    state: 'up', poll: true, myDiscriminator: 0xd1da8bf2, yourDiscriminator: 0x1e60e399, desiredMinTx: ms(50), requiredMinRx: ms(50), requiredMinEchoRx: ms(50),
  })],
  ['20d00318 1e60e399 d1da8bf2 0000ea60 0000ea60 0000ea60', control({
    state: 'up', final: true, myDiscriminator: 0x1e60e399, yourDiscriminator: 0xd1da8bf2, desiredMinTx: ms(60), requiredMinRx: ms(60), requiredMinEchoRx: ms(60),
  })],
  // `shutdown`: it does not say diagnostic 7.
  ['20000318 1e60e399 d1da8bf2 0000ea60 0000ea60 0000ea60', control({
    state: 'admin-down', myDiscriminator: 0x1e60e399, yourDiscriminator: 0xd1da8bf2, desiredMinTx: ms(60), requiredMinRx: ms(60), requiredMinEchoRx: ms(60),
  })],
  ['23400318 d1da8bf2 00000000 0000c350 0000c350 0000c350', control({
    diagnostic: 'neighbor-down', state: 'down', myDiscriminator: 0xd1da8bf2, yourDiscriminator: 0, desiredMinTx: ms(50), requiredMinRx: ms(50), requiredMinEchoRx: ms(50),
  })],
];

const up = { detectMult: 3, requiredMinRx: ms(50), desiredMinTx: ms(50), requiredMinEchoRx: ms(0) } as const;
const slow = { ...up, desiredMinTx: ms(1000) } as const;

/** BIRD 2.0.12, with the key `tailwind`, id 7. */
export const bird: readonly (readonly [kind: BfdAuthKind, hex: string, sequence: number, says: BfdControl])[] = [
  ['simple', '20840323 5d3099ec 7a88c043 000f4240 0000c350 00000000 010b077461696c77696e64', 0,
    control({ ...slow, state: 'init', myDiscriminator: 0x5d3099ec, yourDiscriminator: 0x7a88c043 })],
  ['simple', '20e40323 7a88c043 5d3099ec 0000c350 0000c350 00000000 010b077461696c77696e64', 0,
    control({ ...up, poll: true, myDiscriminator: 0x7a88c043, yourDiscriminator: 0x5d3099ec })],
  ['sha1', '20440334 77ee7253 00000000 000f4240 0000c350 00000000 041c0700 a14bfe54 3b440b30a4bc2bc13951c3ab65fb312c67679cab', 0xa14bfe54,
    control({ ...slow, state: 'down', myDiscriminator: 0x77ee7253, yourDiscriminator: 0 })],
  ['sha1', '20d40334 179ca630 77ee7253 0000c350 0000c350 00000000 041c0700 5a9da319 9fe32cf82d2c34a8b2f2b87bbc39903c6175f00e', 0x5a9da319,
    control({ ...up, final: true, myDiscriminator: 0x179ca630, yourDiscriminator: 0x77ee7253 })],
  ['meticulous-sha1', '20840334 463df9d1 94f83713 000f4240 0000c350 00000000 051c0700 f1858a28 d4f98a53c409d9239cc3bd6743d9aa735f811573', 0xf1858a28,
    control({ ...slow, state: 'init', myDiscriminator: 0x463df9d1, yourDiscriminator: 0x94f83713 })],
  ['meticulous-sha1', '20d40334 463df9d1 94f83713 0000c350 0000c350 00000000 051c0700 f1858a29 1915c0780c63a65c2dabea7c3538854e2f91e8e6', 0xf1858a29,
    control({ ...up, final: true, myDiscriminator: 0x463df9d1, yourDiscriminator: 0x94f83713 })],
];

/** BIRD with keyed MD5, which Godwit knows by name. */
export const birdMd5 = '20c40330 b82a23ab c519cefd 0000c350 0000c350 00000000 02180700 d8a919a9 54f38f39d4766cee94fef8f2880fd9e6';
