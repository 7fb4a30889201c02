/** What a plan finds out by trying: each way between the hosts is broken, the plan names it, and is content once it has been mended. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import type { Vm } from '../../src/model/vm.ts';
import { CLIENT, labAddresses } from '../../src/lab/topology.ts';
import { LONG, runVm, sharedCluster } from './cluster-fixture.ts';

const timeout = { timeout: 2 * LONG };
const GATEWAY = String(labAddresses('a', CLIENT).v4);
let vm: Vm;
const cluster = sharedCluster(async (open) => {
  await open.api.apply([{ kind: 'Network', name: 'a', spec: { bridge: 'br-a', mtu: 1500, gateway: GATEWAY } }]);
  vm = await runVm(open, 'pre', 1, 'h1');
});

async function plan() {
  const { name } = await cluster().api.migrate({ vm: vm.name, to: 'h2', dryRun: true });
  await cluster().until('the plan is made', async () => (await cluster().api.get('Migration', name)).status?.end !== undefined);
  return (await cluster().api.get('Migration', name)).status?.end;
}

function ip(at: 'switch' | 'h1' | 'h2', ...words: string[]): void {
  const { lab } = cluster();
  const namespace = at === 'switch' ? lab.switchNamespace : (lab.hosts.find(({ name }) => name === at)?.namespace ?? assert.fail(at));
  execFileSync('ip', ['-n', namespace, ...words], { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** The reasons that are given while it is. What came out well is remembered, so each test begins with a new agent at the source. */
async function whileBroken(set: (broken: boolean) => void, ...reasons: RegExp[]): Promise<void> {
  set(true);
  try {
    const end = await plan();
    assert.ok(end?.kind === 'refused', JSON.stringify(end));
    assert.equal(end.reasons.length, reasons.length, end.reasons.join('\n'));
    for (const [i, reason] of reasons.entries()) assert.match(end.reasons[i] ?? '', reason);
  } finally {
    set(false);
  }
}

test('what is broken between the hosts is found before anything is moved', timeout, async () => {
  await whileBroken((broken) => ip('h2', 'link', 'set', 'mig', 'mtu', broken ? '1400' : '1500'),
    /^Packets of 1500 bytes from h1 to h2 get lost, and h1's route allows them; 1280 bytes come through/);
});

test('a network that is narrower than its NICs', timeout, async () => {
  await restarted();
  await whileBroken((broken) => ip('switch', 'link', 'set', 'a-h1', 'mtu', broken ? '1000' : '1500'),
    /^Frames of 1500 bytes from bridge br-a of h2 do not arrive at that of h1, small ones do/);
});

test('a bridge without its uplink: no frame, no gateway', timeout, async () => {
  await restarted();
  await whileBroken((broken) => ip('h2', 'link', 'set', 'up-a', ...(broken ? ['nomaster'] : ['master', 'br-a'])),
    /^No frame that h2 sends out of its bridge br-a arrives at that of h1/, new RegExp(`^Gateway ${GATEWAY} answers on bridge br-a of h1 \\(.*\\) and not on that of h2`));
});

test('two machines that are the gateway, one for each host', timeout, async () => {
  await restarted();
  await whileBroken((broken) => {
    ip('h2', 'link', 'set', 'up-a', ...(broken ? ['nomaster'] : ['master', 'br-a']));
    ip('h2', 'addr', broken ? 'add' : 'del', `${GATEWAY}/24`, 'dev', 'br-a');
  }, /^No frame that h2/, new RegExp(`^Gateway ${GATEWAY} is .* on bridge br-a of h1 and .* on that of h2: they are different networks`));
});

test('all is mended', timeout, async () => {
  const end = await plan();
  assert.ok(end?.kind === 'possible', JSON.stringify(end));
  assert.deepEqual(end.warnings.filter((warning) => /Gateway|not tried/.test(warning)), []);
});

/** The agent of the source remembers nothing that it tried. */
async function restarted(): Promise<void> {
  await cluster().end('agent h1', 'SIGTERM');
  cluster().startAgent('h1');
  await cluster().until('the agent is back', async () => (await cluster().api.get('Host', 'h1')).status?.state === 'ready');
  await cluster().until('it has its VM', async () => (await cluster().api.get('Vm', vm.name)).status?.state === 'running');
}
