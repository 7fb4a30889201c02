/** A reader behind a connection that breaks anywhere ends with what the server has, and is told nothing twice. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { WatchEvent } from '../../../src/api/api.ts';
import { WatchView } from '../../../src/api/watch-view.ts';

type Event = WatchEvent<'Network'>;
const put = (name: string, revision: number): Event =>
  ({ kind: 'put', resource: { kind: 'Network', name, spec: { bridge: 'br0' }, revision }, revision });

/** A server: each transaction puts or deletes some names, all under one revision. */
class World {
  readonly log: Event[] = [];
  readonly state = new Map<string, number>();
  revision = 0;

  change(names: readonly string[]): void {
    this.revision++;
    for (const name of names) {
      if (this.state.delete(name)) this.log.push({ kind: 'delete', name, revision: this.revision });
      else {
        this.state.set(name, this.revision);
        this.log.push(put(name, this.revision));
      }
    }
  }

  /** The stream of one connection, with the id of each event as http-routes.ts gives it. */
  stream(after: string | undefined, kept: boolean): { readonly event: Event; readonly id?: string }[] {
    const from = after === undefined || !kept ? undefined : Number(after) - 1;
    const synced = (revision: number): { event: Event; id: string } => ({ event: { kind: 'synced', revision }, id: String(revision) });
    if (from !== undefined) {
      return [synced(from), ...this.log.filter((e) => e.revision > from).map((event) => ({ event, id: String(event.revision) }))];
    }
    return [...[...this.state].map(([name, revision]) => ({ event: put(name, revision) })), synced(this.revision)];
  }
}

const name = fc.constantFrom('a', 'b', 'c', 'd');
const step = fc.oneof(
  fc.record({ change: fc.uniqueArray(name, { minLength: 1, maxLength: 3 }) }),
  // A new connection that breaks after so many events; the history is kept or is not.
  fc.record({ connect: fc.nat(12), kept: fc.boolean() }),
);

test('whatever happens on the way', () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const world = new World();
    const view = new WatchView<'Network'>();
    const reader = new Map<string, number>();
    let after: string | undefined;
    let synced = 0;
    const read = (count: number, kept: boolean): void => {
      view.connected(after);
      for (const { event, id } of world.stream(after, kept).slice(0, count)) {
        after = id ?? after;
        for (const told of view.take(event)) {
          if (told.kind === 'synced') synced++;
          else if (told.kind === 'delete') assert.ok(reader.delete(told.name), `${told.name} was not there`);
          else {
            assert.notEqual(reader.get(told.resource.name), told.resource.revision, 'told twice');
            reader.set(told.resource.name, told.resource.revision);
          }
        }
      }
    };
    for (const s of steps) {
      if ('change' in s) world.change(s.change);
      else read(s.connect, s.kept);
    }
    read(Infinity, false);
    assert.deepEqual(reader, world.state);
    read(Infinity, true);
    assert.deepEqual(reader, world.state);
    assert.equal(synced, 1);
  }), { numRuns: 2000 });
});
