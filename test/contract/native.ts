/**
 * What every implementation of `Native` has to do. Run for the network in memory by test/unit/native/memory.test.ts and
 * for the kernel by test/lab/native.test.ts.
 */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { Bench } from './native-bench.ts';
import type { NativeFixture } from './native-bench.ts';
import { fdPairContract, netlinkContract, netnsContract } from './native-descriptors.ts';
import { filterContract } from './native-filter.ts';
import { listenerContract, packetSocketContract } from './native-packet.ts';
import { tapContract } from './native-tap.ts';
import { deadlineContract } from './native-time.ts';
import { udpContract } from './native-udp.ts';
import { packetFilterContract } from './packet-filter.ts';

export type { NativeFixture } from './native-bench.ts';

export function nativeContract(name: string, makeFixture: () => NativeFixture): void {
  describe(`native: ${name}`, { timeout: 60_000 }, () => {
    let made: Bench | undefined;
    before(() => {
      made = new Bench(makeFixture());
    });
    after(() => made?.end());
    const bench = (): Bench => {
      assert.ok(made !== undefined);
      return made;
    };

    packetSocketContract(bench);
    listenerContract(bench);
    netlinkContract(bench);
    tapContract(bench);
    fdPairContract(bench);
    netnsContract(bench);
    filterContract(bench);
    packetFilterContract(bench);
    deadlineContract(bench);
    udpContract(bench); // last: it says why
  });
}
