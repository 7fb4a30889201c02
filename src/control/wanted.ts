/** All that is wanted of one host: a function of what is in the store. */
import type { Wanted, WantedMove, WantedVm } from '../api/agent-protocol.ts';
import { announcePolicy, movePolicy } from '../model/cluster-policy.ts';
import { hostDefaults } from '../model/host.ts';
import { MAIN_PATH } from '../model/path.ts';
import { routerPlans } from '../policy/router-plan.ts';
import type { DetectionPlan } from './detection-plans.ts';
import type { View } from './draft.ts';
import { hostOf, policyOf } from './lookup.ts';
import { bandwidthOfMove } from './move-bandwidth.ts';
import { loweredBy } from './path-use.ts';
import type { MigrationRecord, MoveRecord, VmRecord } from './records.ts';
import { isWantedRunning } from './vm-state.ts';
import { wantedNetworks } from './wanted-networks.ts';

export function wantedOf(view: View, host: string, { sessions, watch }: DetectionPlan): Wanted {
  const instance = view.get('hosts', host)?.status?.agent.instance;
  return {
    ...(instance === undefined ? {} : { instance }),
    vms: view.rows('vms').flatMap(({ name, record: vm }) => (vm.status.placement?.host === host ? [wantedVm(view, name, vm)] : [])),
    moves: view.rows('moves').flatMap(({ name, record: move }) => {
      const migration = view.get('migrations', name);
      if (!migration) return [];
      const role = (['source', 'destination'] as const).find((r) => hostOf(migration, r) === host && !move.told[r]);
      return role ? [wantedMove(view, name, migration, move, role)] : [];
    }),
    routers: routerPlans(new Map(view.rows('routers').map(({ name, record }) => [name, record.spec])), host, (other) => view.get('hosts', other)?.spec.address, loweredBy(view, host)),
    networks: wantedNetworks(view, host),
    sessions,
    ...(watch ? { watch } : {}),
  };
}

function wantedVm(view: View, name: string, vm: VmRecord): WantedVm {
  // Only a VM with a placement is asked for.
  const placement = vm.status.placement ?? { host: '', epoch: 0, start: 0 };
  const networks = Object.fromEntries((vm.spec.nics ?? []).flatMap(({ network }) => {
    const known = view.get('networks', network);
    return known ? [[network, known.spec]] : [];
  }));
  return {
    name, spec: vm.spec, networks, placement,
    // One whose next start has no host yet is not to be started where it was.
    running: isWantedRunning(vm) && !vm.startWanted,
    ...(vm.observed && vm.observed.state !== 'starting' && !vm.startWanted ? { heard: true } : {}),
    ...(vm.announce === undefined ? {} : { announce: vm.announce }),
    ...(vm.force ? { force: true } : {}),
    ...(vm.deleting ? { removed: true } : {}),
  };
}

function wantedMove(view: View, name: string, migration: MigrationRecord, move: MoveRecord, role: 'source' | 'destination'): WantedMove {
  const { spec, status } = migration;
  const peer = hostOf(migration, role === 'source' ? 'destination' : 'source');
  const peerSpec = view.get('hosts', peer)?.spec;
  const { movesPerVm: _, ...policy } = movePolicy(policyOf(view));
  const { way } = move;
  const [own, other] = role === 'source' ? [way?.source, way?.destination] : [way?.destination, way?.source];
  return {
    migration: name, move: status.move, role, vm: spec.vm, epoch: move.epoch,
    peer: { host: peer, address: other ?? peerSpec?.address ?? '', port: peerSpec?.peerPort ?? hostDefaults.peerPort },
    ...(way === undefined || own === undefined || way.path === MAIN_PATH ? {} : { local: own }),
    token: move.token, maxBandwidth: bandwidthOfMove(view, name, migration),
    policy, announce: announcePolicy(policyOf(view)), dryRun: spec.dryRun ?? false, cancel: status.cancel ?? false,
    ...(status.decision === undefined ? {} : { decision: status.decision }),
    ...(status.end === undefined ? {} : { end: status.end }),
  };
}
