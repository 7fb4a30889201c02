/**
 * What the network sees of a move. Before the commit: nothing, so the fabric does not turn early. After it: switches and bridges
 * point to the new place, and the neighbours' caches are as they were.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PacketSocket } from '../../src/native/native.ts';
import { assertProven, assertUnharmed, atCommit, guestAddress, inNamespace, native, portOf, sharedSession, watched } from './move-fixture.ts';
import type { Host } from '../../src/host/host.ts';
import type { Nic } from '../../src/model/vm.ts';

const session = sharedSession();
const ETH_P_ALL = 3;
const OUTGOING = 4;

/** The times (CLOCK_REALTIME, ms) at which frames from the NIC pass an interface in one direction. */
class Sightings {
  readonly at: number[] = [];
  readonly #socket: PacketSocket;

  constructor(host: Host, device: string, nic: Nic, direction: 'in' | 'out') {
    const mac = nic.mac.bytes();
    this.#socket = native.packetSocket(host.netns, { ifindex: host.links.get(device).index, protocol: ETH_P_ALL, receiveBuffer: 64 << 20 });
    this.#socket.onReadable(() => {
      for (let seen; (seen = this.#socket.receive()); ) {
        if ((seen.packetType === OUTGOING) !== (direction === 'out')) continue;
        if (Buffer.compare(seen.frame.subarray(6, 12), mac) === 0) this.at.push(seen.timestamp);
      }
    });
  }

  end(): void {
    assert.equal(this.#socket.drops(), 0, 'frames the capture missed');
    this.#socket.close();
  }
}

interface Neighbour {
  readonly dst: string;
  readonly lladdr?: string;
  readonly state: readonly string[];
}

/** The client's ARP and ND entries of the guest. */
function clientCache(): Neighbour[] {
  const text = inNamespace(session().lab.clientNamespace, 'ip', '-json', 'neigh', 'show', 'dev', 'eth-a');
  // ip-neighbour(8), -json
  const all = JSON.parse(text) as Neighbour[];
  const guest = [4, 6] as const;
  return guest.flatMap((family) => all.filter(({ dst }) => dst === String(guestAddress(session().vm, family))));
}

test('no frame of the guest leaves the destination before the commit; the switch turns after it, and so does everything else', async (t) => {
  const { lab, vm, at: source, next: destination } = session();
  const nic = vm.nics[0];
  assert.ok(nic);
  const sightings = [
    new Sightings(destination.host, 'up-a', nic, 'out'),
    new Sightings(lab.switch, `a-${destination.name}`, nic, 'in'),
  ];
  /** Where the switch sends the guest's frames at the beginning of each phase. */
  const turned = new Map<string, string | undefined>();
  let committed = NaN;
  atCommit(t, () => {
    turned.set('commit', portOf(lab.switch, vm));
    committed = performance.timeOrigin + performance.now();
  });
  const streams = [{ to: guestAddress(vm, 4) }, { to: guestAddress(vm, 6) }];
  try {
    let before: Neighbour[] = [];
    const { seen, result: { receipt, running } } = await watched(session(), streams, async () => {
      before = clientCache();
      return session().move({ onProgress: ({ phase }) => void turned.set(phase, portOf(lab.switch, vm)) });
    });
    for (const one of seen) assertUnharmed(one);
    assertProven(receipt);

    for (const { at } of sightings) {
      assert.ok(at.length > 0, 'the capture sees the guest once it runs there');
      // Milliseconds before the commit; by clocks of the same machine.
      const early: number[] = at.map((time) => committed - time).filter((lead) => lead > 0);
      assert.deepEqual(early, []);
    }
    for (const phase of ['preparing', 'copying', 'permitting', 'redirecting', 'emptying', 'stopping', 'finishing', 'commit']) {
      assert.equal(turned.get(phase), `a-${source.name}`, `at the beginning of ${phase}`);
    }

    assert.equal(portOf(lab.switch, vm), `a-${destination.name}`);
    assert.equal(portOf(destination.host, vm), running.taps[0]?.tap.name);
    assert.equal(portOf(source.host, vm), 'up-a');
    assert.equal(before.length, 2);
    for (const { dst, lladdr, state } of [...before, ...clientCache()]) {
      assert.equal(lladdr, String(nic.mac), dst);
      assert.ok(state.every((s) => ['REACHABLE', 'STALE', 'DELAY', 'PROBE'].includes(s)), `${dst} ${state.join()}`);
    }
  } finally {
    for (const one of sightings) one.end();
  }
});

test('a move that is called off shows nothing at all at the destination', async () => {
  const { lab, vm, at: source, next: destination } = session();
  const nic = vm.nics[0];
  assert.ok(nic);
  const sightings = [
    new Sightings(destination.host, 'up-a', nic, 'out'),
    new Sightings(lab.switch, `a-${destination.name}`, nic, 'in'),
  ];
  const cancel = new AbortController();
  try {
    const { seen: [seen], result: { receipt } } = await watched(session(), [{ to: guestAddress(vm, 4) }], () =>
      session().move({ signal: cancel.signal, onProgress: ({ phase }) => phase === 'finishing' && cancel.abort() }));
    assert.ok(seen);
    assertUnharmed(seen);
    assert.equal(receipt.outcome.kind, 'rolled-back');
    assert.deepEqual(sightings.map(({ at }) => at.length), [0, 0]);
    assert.equal(portOf(lab.switch, vm), `a-${source.name}`);
    assert.equal(portOf(source.host, vm), session().running.taps[0]?.tap.name);
  } finally {
    for (const one of sightings) one.end();
  }
});

test('a guest that says nothing is announced: the switch and both bridges know its new place before its first word', async () => {
  const { lab, vm, at: source, next: destination } = session();
  const { receipt, running } = await session().move();
  assert.deepEqual(receipt.outcome, { kind: 'moved' });
  assert.deepEqual(
    [portOf(lab.switch, vm), portOf(destination.host, vm), portOf(source.host, vm)],
    [`a-${destination.name}`, running.taps[0]?.tap.name, 'up-a'],
  );
  const { seen: [seen] } = await watched(session(), [{ to: guestAddress(vm, 4) }], () => Promise.resolve());
  assert.ok(seen);
  assertUnharmed(seen);
});
