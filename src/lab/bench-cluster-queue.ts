/** Many moves asked for at once: all end, in the order of asking where they need the same, never more at a time than is allowed. */
import { mib } from '../base/units.ts';
import type { Accelerator } from '../model/vm.ts';
import type { MigrationResource } from '../model/migration.ts';
import type { Part } from './bench-cluster.ts';
import type { LabCluster } from './cluster.ts';
import { guestsUp } from './cluster-session.ts';
import { labVm } from './guest-image.ts';
import { vmDeclaration } from './lab-declarations.ts';
import { largest } from './statistics.ts';

const MOVES = 16;
/** Moves at a time of each host. With three hosts and one move per pair none could have more than two anyway: the last takes one. */
const LIMITS = [2, 2, 1] as const;
const PER_PAIR = 1;
/** Enough for the lab's guest, so that 16 fit. */
const MEMORY = mib(160);
const BOOT = 180_000;

export async function queue(cluster: LabCluster, accelerator: Accelerator, say: (line: string) => void): Promise<Part> {
  const { api, lab } = cluster;
  const hosts = lab.hosts.map(({ name }) => name);
  const host = (n: number): string => hosts[n % hosts.length] ?? '';
  const vms = Array.from({ length: MOVES }, (_, n) => {
    const vm = labVm({ name: `web-${n + 1}`, networks: ['a'], number: 10 + n, accelerator });
    return { ...vm, memory: MEMORY };
  });
  await api.apply((await api.list('Host')).map(({ name, spec }) => ({ kind: 'Host', name, spec: { ...spec, moves: LIMITS[hosts.indexOf(name)] } })));
  say(`queue: starting ${MOVES} VMs on ${hosts.length} hosts`);
  await api.apply(vms.map((vm, n) => vmDeclaration(vm, { host: host(n) })));
  await guestsUp(cluster, vms, BOOT);

  const leave = new AbortController();
  const migrations = new Map<string, MigrationResource>();
  const most = hosts.map(() => 0);
  let mostBetween = 0;
  const count = (): void => {
    const running = [...migrations.values()].filter(({ status }) => status?.startedAt !== undefined && !status.end);
    for (const [n, name] of hosts.entries()) most[n] = Math.max(most[n] ?? 0, running.filter((m) => endsOf(m).includes(name)).length);
    mostBetween = Math.max(mostBetween, ...running.map((m) => running.filter((other) => pair(other) === pair(m)).length));
  };
  const watched = (async () => {
    let seen = 0;
    for await (const event of api.watch('Migration', leave.signal)) {
      if (event.kind !== 'put') continue;
      // What one transaction changed counts as a whole.
      if (event.revision !== seen) count();
      seen = event.revision;
      migrations.set(event.resource.name, event.resource);
      if (event.resource.status?.end) {
        const ended = [...migrations.values()].filter(({ status }) => status?.end).length;
        say(`queue: ${event.resource.name} ${event.resource.status.end.kind}, ${ended}/${MOVES}`);
        if (ended === MOVES) return;
      }
    }
  })();
  try {
    // To the next host and to the one before in turn: every pair is wanted both ways.
    await Promise.all(vms.map((vm, n) => api.migrate({ vm: vm.name, to: host(n % 2 === 0 ? n + 1 : n + hosts.length - 1) })));
    await watched;
  } finally {
    leave.abort();
  }

  // In the order in which the server has taken them.
  const asked = (await api.list('Migration')).map(({ name }) => migrations.get(name)).filter((m) => m !== undefined);
  const moved = asked.filter(({ status }) => status?.end?.kind === 'moved').length;
  const overtakes = (later: MigrationResource, m: MigrationResource): boolean => pair(later) === pair(m) && time(later, 'startedAt') < time(m, 'startedAt');
  const overtaken = asked.filter((m, n) => asked.slice(n + 1).some((later) => overtakes(later, m)));
  const begun = Math.min(...asked.map((m) => time(m, 'createdAt')));
  const whole = largest(asked.map((m) => time(m, 'endedAt'))) - begun;
  const wait = largest(asked.map((m) => time(m, 'startedAt') - begun));
  const longest = largest(asked.map((m) => time(m, 'endedAt') - time(m, 'startedAt')));
  say(`queue: all over after ${whole.toFixed(0)} ms; longest wait ${wait.toFixed(0)} ms, longest move ${longest.toFixed(0)} ms`);
  return {
    figures: { queueMoves: MOVES, queueWhole: whole, queueLongestWait: wait, queueLongestMove: longest, queueMostPerHost: largest(most), queueMostPerPair: mostBetween },
    targets: [
      { name: `${MOVES} moves asked for at once over ${hosts.length} hosts: moved`, want: `${MOVES}`, got: `${moved}`, ok: moved === MOVES },
      {
        name: `${MOVES} moves at once: overtaken by a later one of the same two hosts`,
        want: 'none', got: overtaken.map(({ name }) => name).join(', ') || 'none', ok: overtaken.length === 0,
      },
      {
        name: `${MOVES} moves at once: at a time on each host, and between two`, want: `<= ${LIMITS.join(', ')}, and ${PER_PAIR}`,
        got: `${most.join(', ')}, and ${mostBetween}`, ok: most.every((n, i) => n <= (LIMITS[i] ?? 0)) && mostBetween <= PER_PAIR,
      },
    ],
  };
}

const endsOf = ({ spec, status }: MigrationResource): readonly string[] => [status?.from ?? '', spec.to];
const pair = (migration: MigrationResource): string => endsOf(migration).toSorted().join(' ');
const time = ({ status }: MigrationResource, which: 'createdAt' | 'startedAt' | 'endedAt'): number => status?.[which] ?? NaN;
