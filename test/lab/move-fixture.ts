/** What the lab tests of whole moves share: a lab with a guest per file, streams watched through a move, what must hold after it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { type TestContext, after, before } from 'node:test';
import { Journal } from '../../src/move/journal.ts';
import type { LedgerEntry, Receipt } from '../../src/model/move.ts';
import { losses, lossless } from '../../src/model/move.ts';
import type { Disk, Vm } from '../../src/model/vm.ts';
import { kernelNative } from '../../src/native/kernel.ts';
import type { Native } from '../../src/native/native.ts';
import { labAccelerator, labVm } from '../../src/lab/guest-image.ts';
import { Prober, type ProbeResult, type ProberOptions } from '../../src/lab/prober.ts';
import { Session, type SessionLab } from '../../src/lab/session.ts';
import { type LabHost, type Network, sweep } from '../../src/lab/topology.ts';
import type { Host } from '../../src/host/host.ts';
import type { IpAddress } from '../../src/wire/ip-address.ts';

export const native: Native = kernelNative();
/** How long group frames may come both ways: a promise of the product, ms. */
export const MAX_GROUP_OVERLAP = 20;

export interface MoveLab {
  readonly hosts?: number;
  readonly networks?: readonly Network[];
  readonly disks?: readonly Disk[];
}

export async function openSession({ hosts = 2, networks = ['a'], disks = [] }: MoveLab): Promise<Session> {
  sweep();
  const vm = labVm({ name: 'web-1', networks, number: 10, accelerator: await labAccelerator(), disks });
  return Session.open(native, { hosts, networks }, vm);
}

/** One lab for all tests of a `describe` or a file, made `ready` for them; the getter throws before the first of them. */
export function sharedSession(lab: MoveLab = {}, ready?: (session: Session) => Promise<unknown>): () => Session {
  let session: Session | undefined;
  before(async () => {
    session = await openSession(lab);
    await ready?.(session);
  });
  after(() => session?.close());
  return () => {
    assert.ok(session, 'the lab is open');
    return session;
  };
}

/** The guest's address on its NIC `nic`. */
export function guestAddress(vm: Vm, family: 4 | 6, nic = 0): IpAddress {
  const address = vm.nics[nic]?.addresses.find((a) => a.family === family);
  assert.ok(address, `NIC ${nic} has an IPv${family} address`);
  return address;
}

/** Full-size frames, TCP bulk both ways (checksum offload, GSO), and a guest that writes memory. */
export const heavy = (vm: Vm, family: 4 | 6): ProberOptions =>
  ({ to: guestAddress(vm, family), size: family === 4 ? 1472 : 1452, bulk: 20, dirty: 25 });

export interface Watched<T> {
  readonly seen: readonly ProbeResult[];
  readonly result: T;
}

/** Streams flow before, through and after `during`: an interim report's wait for stragglers is the time after it. */
export async function watched<T>(session: { readonly lab: SessionLab }, streams: readonly ProberOptions[], during: (probers: readonly Prober[]) => Promise<T>): Promise<Watched<T>> {
  const probers: Prober[] = [];
  try {
    for (const options of streams) probers.push(await Prober.start(session.lab.client, options));
    const result = await during(probers);
    await Promise.all(probers.map((prober) => prober.report()));
    return { seen: await Promise.all(probers.map((prober) => prober.stop())), result };
  } finally {
    for (const prober of probers) prober.kill();
  }
}

/** Each number came once and in order, each connection lives, nothing in the guest has changed by itself. */
export function assertUnharmed({ toGuest, toClient, sessions, bulk, guest, probe }: ProbeResult): void {
  for (const { sent } of [toGuest, toClient]) assert.ok(sent > 250, `${sent} numbers sent: too few to say anything`);
  const stream = ({ received, lost, duplicated, reordered, missing }: ProbeResult['toGuest']): object => ({ received, lost, duplicated, reordered, missing });
  const whole = (sent: number): object => ({ received: sent, lost: 0, duplicated: 0, reordered: 0, missing: [] });
  assert.deepEqual(
    {
      toGuest: stream(toGuest), toClient: stream(toClient), alive: sessions.alive, errors: [...sessions.errors, ...bulk.errors],
      bulk: bulk.alive, memoryErrors: guest.memoryErrors, diskErrors: guest.diskErrors, sendErrors: probe.sendErrors, socketDrops: probe.socketDrops,
    },
    {
      toGuest: whole(toGuest.sent), toClient: whole(toClient.sent), alive: sessions.opened, errors: [],
      bulk: bulk.alive === null ? null : true, memoryErrors: 0, diskErrors: 0, sendErrors: 0, socketDrops: 0,
    },
  );
}

/** The receipt proves that every NIC's frames all arrived, that there were some, and that group frames overlapped no longer than promised. */
export function assertProven(receipt: Receipt, nics = 1): void {
  assert.deepEqual({ outcome: receipt.outcome, drops: losses(receipt) }, { outcome: { kind: 'moved' }, drops: [] });
  assert.equal(receipt.nics.length, nics);
  for (const { nic, redirected, delivered, untaken } of receipt.nics) {
    assert.ok(redirected > 0, `NIC ${nic}: nothing went through its tunnel`);
    assert.deepEqual({ nic, delivered, untaken }, { nic, delivered: redirected, untaken: false });
  }
  assert.equal(lossless(receipt), true);
  assertOverlap(receipt);
}

export function assertOverlap({ times: { groupOverlap } }: Receipt): void {
  assert.ok(groupOverlap !== undefined && groupOverlap <= MAX_GROUP_OVERLAP, `group frames came both ways for ${groupOverlap} ms`);
}

/** Went back, and the guest got what was held, all of it. */
export function assertBack(receipt: Receipt): void {
  assert.equal(receipt.outcome.kind, 'rolled-back', JSON.stringify(receipt.outcome));
  assert.deepEqual(receipt.notes.filter((note) => note.includes('behind younger ones')), []);
  for (const { nic, redirected, delivered } of receipt.nics) assert.deepEqual({ nic, delivered }, { nic, delivered: redirected });
}

/** `look` is called at the destination of every move of this test, between the record of the commit and the opening of the ports. */
export function atCommit(t: TestContext, look: () => void): void {
  const { decide } = Journal.prototype;
  t.mock.method(Journal.prototype, 'decide', function (this: Journal, ...[move, vm, decision]: Parameters<Journal['decide']>) {
    decide.call(this, move, vm, decision);
    if (decision === 'committed') look();
  });
}

/** When the guest ran at the destination, ms since the epoch. */
export function resumedAt({ outcome, startedAt, times }: Receipt): number {
  assert.equal(outcome.kind, 'moved');
  return startedAt + times.total;
}

/** What a queue dropped during the move. */
export const dropped = ({ droppedBefore, droppedAfter }: LedgerEntry): number => droppedAfter - droppedBefore;

export function hostNamed(session: Session, name: string): LabHost {
  const host = session.lab.hosts.find((h) => h.name === name);
  assert.ok(host, name);
  return host;
}

/** The name of the port behind which the host's bridges believe the NIC to be; undefined when they do not know it. */
export function portOf(host: Host, vm: Vm, nic = 0): string | undefined {
  const mac = vm.nics[nic]?.mac.bytes();
  assert.ok(mac);
  const entries = host.bridges.forwarding().filter((entry) => Buffer.compare(entry.mac, mac) === 0);
  assert.ok(entries.length <= 1, `${entries.length} entries for one MAC`);
  const [entry] = entries;
  return entry && host.links.list().find(({ index }) => index === entry.port)?.name;
}

export function inNamespace(namespace: string, program: string, ...words: string[]): string {
  return execFileSync('ip', ['netns', 'exec', namespace, program, ...words], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
