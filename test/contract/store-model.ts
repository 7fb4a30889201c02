/** Contract of `Store`: arbitrary sequences of operations, compared with a model that is too simple to be wrong. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../src/base/units.ts';
import type { ChangeBatch, Compare, Entry, Operation, Outcome, Store, Transaction } from '../../src/store/store.ts';
import { type OpenStore, settled, take } from './store-bench.ts';

/** A lease is named by how many were granted before it. */
type Step =
  | { readonly kind: 'txns'; readonly together: readonly { readonly compare: readonly Compare[]; readonly operations: readonly (Operation & { readonly leaseNumber?: number })[] }[] }
  | { readonly kind: 'grant'; readonly ttl: number }
  | { readonly kind: 'revoke' | 'keepAlive'; readonly leaseNumber: number }
  | { readonly kind: 'advance'; readonly duration: number };

const key = fc.constantFrom('/a', '/b', '/b/c', '/d');
const value = fc.constantFrom('1', '2', '3');
const leaseNumber = fc.nat(2);
const compare: fc.Arbitrary<Compare> = fc.oneof(fc.record({ key, modRevision: fc.nat(6) }), fc.record({ key, value }));
const operation = fc.oneof(
  fc.record({ put: key, value }),
  fc.record({ put: key, value, leaseNumber }),
  fc.record({ delete: key }),
);
const transaction = fc.record({
  compare: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 2, arbitrary: fc.array(compare, { maxLength: 2 }) }),
  operations: fc.uniqueArray(operation, { maxLength: 3, selector: (one) => ('put' in one ? one.put : one.delete) }),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('txns' as const), together: fc.array(transaction, { minLength: 1, maxLength: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('grant' as const), ttl: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('revoke' as const, 'keepAlive' as const), leaseNumber }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('advance' as const), duration: fc.nat(20) }) },
);

class Model {
  revision = 0;
  now = 0;
  entries: Record<string, Entry> = {};
  readonly batches: ChangeBatch[] = [];
  readonly leases: { readonly id: string; readonly ttl: number; deadline: number }[] = [];

  lives(id: string): boolean {
    return this.leases.some((lease) => lease.id === id && lease.deadline > this.now);
  }

  txn({ compare = [], operations }: Transaction): Outcome | 'STORE_LEASE_GONE' {
    for (const failed of compare) {
      const entry = this.entries[failed.key];
      const holds = 'value' in failed ? entry !== undefined && entry.value === failed.value : failed.modRevision === (entry ? entry.modRevision : 0);
      if (!holds) return { ok: false, failed, revision: this.revision };
    }
    if (operations.some((one) => 'put' in one && one.lease !== undefined && !this.lives(one.lease))) return 'STORE_LEASE_GONE';
    const real = operations.filter((one) => 'put' in one || this.entries[one.delete]);
    if (real.length > 0) this.#write(real);
    return { ok: true, revision: this.revision };
  }

  #write(operations: readonly Operation[]): void {
    const revision = ++this.revision;
    const next = { ...this.entries };
    this.batches.push({
      revision,
      changes: operations.map((one) => {
        if ('delete' in one) {
          delete next[one.delete];
          return { kind: 'delete', key: one.delete, revision };
        }
        const { put, value, ...lease } = one;
        const entry = { key: put, value, modRevision: revision, createRevision: this.entries[put]?.createRevision ?? revision, ...lease };
        next[put] = entry;
        return { kind: 'put', entry };
      }),
    });
    this.entries = next;
  }

  end(id: string): void {
    const held = Object.values(this.entries).filter((entry) => entry.lease === id).map((entry) => entry.key).toSorted();
    if (held.length > 0) this.#write(held.map((one) => ({ delete: one })));
    for (const lease of this.leases) if (lease.id === id) lease.deadline = -1;
  }

  listing(prefix: string): readonly Entry[] {
    return Object.values(this.entries).filter((entry) => entry.key.startsWith(prefix)).toSorted((a, b) => (a.key < b.key ? -1 : 1));
  }
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : error);

async function run(store: Store, advance: (duration: number) => void, model: Model, steps: readonly Step[]): Promise<void> {
  const idOf = (n: number): string => model.leases[n]?.id ?? 'none';
  for (const one of steps) {
    switch (one.kind) {
      case 'txns': {
        const transactions = one.together.map(({ compare, operations }): Transaction => ({
          compare,
          operations: operations.map(({ leaseNumber, ...rest }) => ('put' in rest && leaseNumber !== undefined ? { ...rest, lease: idOf(leaseNumber) } : rest)),
        }));
        const answers = await Promise.all(transactions.map((transaction) => store.txn(transaction).catch(codeOf)));
        assert.deepEqual(answers, transactions.map((transaction) => model.txn(transaction)));
        break;
      }
      case 'grant':
        model.leases.push({ id: await store.grant(ms(one.ttl)), ttl: one.ttl, deadline: model.now + one.ttl });
        break;
      case 'revoke':
      case 'keepAlive': {
        const lease = model.leases[one.leaseNumber];
        const lives = lease !== undefined && model.lives(lease.id);
        const answer = await store[one.kind](idOf(one.leaseNumber)).catch(codeOf);
        assert.equal(answer, lives ? undefined : 'STORE_LEASE_GONE');
        if (lives && one.kind === 'revoke') model.end(lease.id);
        else if (lives) lease.deadline = model.now + lease.ttl;
        break;
      }
      case 'advance': {
        // One lease after the other, so that it is known which ends first.
        const until = model.now + one.duration;
        for (;;) {
          const [next] = model.leases.filter(({ deadline }) => deadline > 0 && deadline <= until).toSorted((a, b) => a.deadline - b.deadline);
          const due = next?.deadline ?? until;
          advance(due - model.now);
          model.now = due;
          if (!next) break;
          for (const { id } of model.leases.filter(({ deadline }) => deadline === due)) model.end(id);
          await settled(store);
        }
        break;
      }
    }
    for (const prefix of ['', '/b']) assert.deepEqual(await store.list(prefix), { entries: model.listing(prefix), revision: model.revision });
    for (const name of ['/a', '/b/c']) assert.deepEqual(await store.get(name), model.entries[name]);
  }
}

export function modelContract(open: OpenStore): void {
  it('does what the model does, and each watch tells exactly that', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.integer({ min: 1, max: 10 }), async (steps, from) => {
        const { store, advance, end } = await open();
        const stop = new AbortController();
        try {
          const model = new Model();
          const live: ChangeBatch[] = [];
          const following = (async () => {
            for await (const batch of store.watch('', 1, stop.signal)) live.push(batch);
          })();
          await run(store, (duration) => advance(ms(duration)), model, steps);
          const late = model.batches.filter(({ revision }) => revision >= from)
            .map(({ revision, changes }) => ({ revision, changes: changes.filter((change) => ('entry' in change ? change.entry.key : change.key).startsWith('/b')) }))
            .filter(({ changes }) => changes.length > 0);
          if (late.length > 0) assert.deepEqual(await take(store.watch('/b', from, stop.signal), late.length), late);
          await settled(store);
          stop.abort();
          await following;
          assert.deepEqual(live, model.batches);
        } finally {
          stop.abort();
          await end();
        }
      }),
      { numRuns: 150 },
    );
  });
}
