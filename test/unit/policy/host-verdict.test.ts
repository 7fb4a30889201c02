/** What the server makes of each host, from what they say of each other. */
import { strict as assert } from 'node:assert';
import test from 'node:test';
import { ms } from '../../../src/base/units.ts';
import type { VerdictReport } from '../../../src/model/event.ts';
import { type Voice, hostVerdicts } from '../../../src/policy/host-verdict.ts';
import type { PathOpinion, PeerOpinion } from '../../../src/protocol/failure-detector.ts';

type Says = 'heard' | 'silent' | 'unknown' | 'deaf-there';
const path = (name: string, says: Says): PathOpinion => ({
  path: name, state: says === 'deaf-there' ? 'heard' : says, silence: ms(0), timeout: ms(300), phi: 0, probes: 10, arrivals: 9,
  ...(says === 'deaf-there' ? { heardThere: false } : {}),
});

/** A cluster in which all is well but what is said. */
class Mesh {
  readonly hosts: readonly string[];
  readonly paths: readonly string[];
  readonly #says = new Map<string, Says>();
  readonly ages = new Map<string, number>();
  readonly heardAgo = new Map<string, number>();
  readonly unwell = new Set<string>();
  readonly sick = new Map<string, string>();

  constructor(hosts: readonly string[], paths: readonly string[] = ['main', 'storage']) {
    this.hosts = hosts;
    this.paths = paths;
  }

  says(observer: string, peer: string, name: string, what: Says): this {
    this.#says.set(`${observer} ${peer} ${name}`, what);
    return this;
  }

  /** Neither hears the other. */
  cut(a: string, b: string, name: string): this {
    return this.says(a, b, name, 'silent').says(b, a, name, 'silent');
  }

  /** Its cable on that path. */
  cable(host: string, name: string): this {
    for (const other of this.hosts) if (other !== host) this.cut(host, other, name);
    return this;
  }

  voices(): Voice[] {
    return this.hosts.map((host) => {
      const others = this.hosts.filter((other) => other !== host);
      const of = (peer: string): PathOpinion[] => this.paths.map((name) => path(name, this.#says.get(`${host} ${peer} ${name}`) ?? 'heard'));
      const hears = (peer: string): boolean => of(peer).some(({ state }) => state === 'heard');
      const opinions = others.map((peer): PeerOpinion => ({
        peer, paths: of(peer), ...(others.length > 1 ? { hearsOthers: others.some((other) => other !== peer && hears(other)) } : {}),
        health: { score: 0, worstLateness: ms(3), ...(this.unwell.has(host) ? { sleptAgo: ms(400) } : {}), unwell: this.unwell.has(host) },
      }));
      const sick = new Map(others.map((peer) => [peer, new Map(this.paths.flatMap((name) => {
        const why = this.sick.get(`${host} ${peer} ${name}`);
        return why === undefined ? [] : [[name, why] as const];
      }))] as const));
      return { host, age: ms(this.ages.get(host) ?? 200), opinions, sick };
    });
  }

  verdicts(): ReadonlyMap<string, VerdictReport> {
    return hostVerdicts(this.hosts, this.voices(), (host) => ms(this.heardAgo.get(host) ?? 500), { observers: 2, maxAge: ms(3000), lives: ms(2000) });
  }

  kinds(): Record<string, string> {
    return Object.fromEntries([...this.verdicts()].map(([host, { verdict }]) => [host, verdict]));
  }
}

const three = ['a', 'b', 'c'];

test('all is well', () => {
  assert.deepEqual(new Mesh(three).kinds(), { a: 'fine', b: 'fine', c: 'fine' });
  const { a } = Object.fromEntries(new Mesh(three).verdicts());
  assert.deepEqual({ ...a, because: '' }, {
    host: 'a', verdict: 'fine', because: '', paths: [], observers: 2, voters: 2, abstained: {}, disagreed: [], probes: 40, arrivals: 36, worstLateness: 3,
  });
});

test('dead: all observers miss it on all paths, and its agent is silent too', () => {
  const mesh = new Mesh(three).cable('c', 'main').cable('c', 'storage');
  mesh.ages.set('c', 2500);
  mesh.heardAgo.set('c', 2500);
  assert.deepEqual(mesh.kinds(), { a: 'fine', b: 'fine', c: 'dead' });
  const c = mesh.verdicts().get('c');
  assert.match(c?.because ?? '', /^none of 2 observers hears it on any path$/);
  assert.deepEqual([c?.observers, c?.voters, c?.probes], [2, 2, 40]);
});

test('a host whose agent reports is not dead, whatever the others say', () => {
  const mesh = new Mesh(three);
  // The others miss it; what it says itself of them is not known yet.
  for (const other of ['a', 'b']) for (const name of ['main', 'storage']) mesh.says(other, 'c', name, 'silent').says('c', other, name, 'unknown');
  const c = mesh.verdicts().get('c');
  assert.equal(c?.verdict, 'path-down');
  assert.match(c?.because ?? '', /but it lives: its agent reported to the server 500 ms ago/);
});

test('self: a host that misses all others, while those hear each other and it still reports', () => {
  const mesh = new Mesh(three).cable('c', 'main').cable('c', 'storage');
  assert.deepEqual(mesh.kinds(), { a: 'fine', b: 'fine', c: 'self' });
  assert.match(mesh.verdicts().get('c')?.because ?? '', /c hears none of its 2 peers \(a, b\), and they hear each other.*its agent reported/);
  const more = new Mesh(['a', 'b', 'c', 'd']).cable('c', 'main').cable('c', 'storage').cut('a', 'b', 'main').cut('a', 'b', 'storage');
  assert.equal(more.kinds()['c'], 'path-down', 'others do not hear each other either');
  assert.equal(new Mesh(['a', 'c']).cable('c', 'main').cable('c', 'storage').kinds()['c'], 'path-down', 'of two nobody can say whose it is');
});

test('self: one that was asleep, and misses whom others hear', () => {
  const mesh = new Mesh(three).says('c', 'a', 'main', 'silent').says('c', 'a', 'storage', 'silent');
  mesh.unwell.add('c');
  assert.deepEqual(mesh.kinds(), { a: 'fine', b: 'fine', c: 'self' });
  assert.match(mesh.verdicts().get('c')?.because ?? '', /c was asleep 400 ms ago/);
});

test('a cut cable is that of the host that has it, not of all the others', () => {
  assert.deepEqual(new Mesh(['a', 'b', 'c', 'd']).cable('c', 'storage').kinds(), { a: 'fine', b: 'fine', c: 'path-down', d: 'fine' });
  assert.deepEqual(new Mesh(['a', 'b', 'c', 'd']).cable('c', 'storage').verdicts().get('c')?.paths, ['storage']);
  assert.deepEqual(new Mesh(['a', 'b', 'c', 'd']).cut('c', 'd', 'storage').kinds(), { a: 'fine', b: 'fine', c: 'path-down', d: 'path-down' }, 'one pair alone: either may be it');
});

test('one-way: others hear it, and say that it does not hear them', () => {
  const mesh = new Mesh(['a', 'b', 'c', 'd'], ['main']);
  for (const other of ['a', 'b', 'd']) mesh.says('c', other, 'main', 'silent').says(other, 'c', 'main', 'deaf-there');
  assert.deepEqual(mesh.kinds(), { a: 'fine', b: 'fine', c: 'one-way', d: 'fine' });
});

test('gray: it is heard, with more loss than policy allows; a host with a sick link does not make the others gray', () => {
  const mesh = new Mesh(['a', 'b', 'c', 'd']);
  for (const other of ['a', 'b', 'd']) {
    mesh.sick.set(`${other} c main`, 'loss 3 %');
    mesh.sick.set(`c ${other} main`, 'loss 3 %');
  }
  assert.deepEqual(mesh.kinds(), { a: 'fine', b: 'fine', c: 'gray', d: 'fine' });
  assert.equal(mesh.verdicts().get('c')?.because, 'main: loss 3 %, by a and 2 more');
});

test('a cluster in two halves: nobody is dead whom a voter hears; whose half the server does not hear is, where two miss it', () => {
  const mesh = new Mesh(['a', 'b', 'c', 'd']);
  for (const one of ['a', 'b']) for (const other of ['c', 'd']) for (const name of mesh.paths) mesh.cut(one, other, name);
  assert.deepEqual(mesh.kinds(), { a: 'path-down', b: 'path-down', c: 'path-down', d: 'path-down' });
  for (const gone of ['c', 'd']) {
    mesh.ages.set(gone, 9000);
    mesh.heardAgo.set(gone, 9000);
  }
  assert.deepEqual(mesh.kinds(), { a: 'fine', b: 'fine', c: 'dead', d: 'dead' });
  // Of three hosts the one that is cut off with the server has a single voter against each of the others.
  const lone = new Mesh(['a', 'b', 'c']);
  for (const other of ['b', 'c']) for (const name of lone.paths) lone.cut('a', other, name);
  for (const gone of ['b', 'c']) {
    lone.ages.set(gone, 9000);
    lone.heardAgo.set(gone, 9000);
  }
  assert.ok(!Object.values(lone.kinds()).includes('dead'), JSON.stringify(lone.kinds()));
});

test('who is silent, asleep or cut off itself has no vote, and is named', () => {
  const mesh = new Mesh(['a', 'b', 'c', 'd', 'e']);
  for (const other of ['a', 'b', 'c', 'd']) for (const name of ['main', 'storage']) mesh.cut(other, 'e', name);
  mesh.heardAgo.set('e', 9000);
  mesh.ages.set('e', 9000);
  mesh.ages.set('a', 4000);
  mesh.unwell.add('b');
  const e = mesh.verdicts().get('e');
  assert.equal(e?.verdict, 'dead');
  assert.deepEqual([e?.voters, Object.keys(e?.abstained ?? {})], [2, ['a', 'b']]);
  mesh.ages.set('c', 4000);
  assert.equal(mesh.verdicts().get('e')?.verdict, 'path-down', 'one voter is not enough for dead');
});

test('who disagrees is named; of whom nobody speaks there is no verdict', () => {
  const mesh = new Mesh(['a', 'b', 'c', 'd'], ['main']).says('a', 'd', 'main', 'silent').says('b', 'd', 'main', 'silent');
  mesh.heardAgo.set('d', 9000);
  mesh.ages.set('d', 9000);
  const d = mesh.verdicts().get('d');
  assert.deepEqual([d?.verdict, d?.disagreed], ['path-down', ['c']]);
  assert.equal(hostVerdicts(['a', 'b'], [], () => ms(0), { observers: 2, maxAge: ms(3000), lives: ms(2000) }).size, 0);
});
