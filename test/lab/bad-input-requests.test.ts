/** What an administrator may ask for by mistake, on a real cluster: each is refused in words that help, and nothing is half done. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { LONG, ended, sharedCluster } from './cluster-fixture.ts';
import { changesNothing, godwit, refused, runTiny, runsOn, stillWorks, tiny } from './bad-input-fixture.ts';

describe('bad requests', { timeout: 300_000 }, () => {
  const shared = sharedCluster(async (cluster) => {
    await runTiny(cluster, 'web-1', 'h1');
    // Memory by the gigabyte, of which a guest without an operating system touches next to nothing: it takes time to be copied.
    await runTiny(cluster, 'big-1', 'h1', { memory: '2GiB' });
  });

  test('hosts, VMs and migrations that are not there, and the host where it is already', async () => {
    const cluster = shared();
    await changesNothing(cluster, async () => {
      refused(await godwit(cluster, ['migrate', 'web-1', '--to', 'h9', '--wait']), { exit: 4, code: 'CONTROL_NOT_FOUND', says: /no Host h9.*godwit get hosts/ });
      refused(await godwit(cluster, ['migrate', 'wbe-1', '--to', 'h2', '--wait']), { exit: 4, code: 'CONTROL_NOT_FOUND', says: /no Vm wbe-1.*did you mean web-1\?.*godwit get vms/ });
      refused(await godwit(cluster, ['migrate', 'web-1', '--to', 'h1', '--wait']), { exit: 1, code: 'CONTROL_SAME_HOST', says: /runs on h1 already: name another host/ });
      refused(await godwit(cluster, ['migrate', 'web-1', '--to', '../etc']), { exit: 2, code: 'API_INVALID', says: /to: is no name: lower-case letters/ });
      refused(await godwit(cluster, ['cancel', 'web-1-77']), { exit: 4, code: 'CONTROL_NOT_FOUND', says: /no Migration web-1-77/ });
      refused(await godwit(cluster, ['vm', 'stop', 'nobody']), { exit: 4, code: 'CONTROL_NOT_FOUND', says: /no Vm nobody/ });
      refused(await godwit(cluster, ['delete', 'host', 'h1']), { exit: 1, code: 'CONTROL_IN_USE', says: /h1 cannot be deleted: .*(web-1|big-1)/ });
    });
  });

  test('a typo in YAML: file, line, column and what was meant; the good documents beside it are not applied either', async () => {
    const cluster = shared();
    await changesNothing(cluster, async () => {
      const stdin = 'kind: Network\nname: dmz\nspec: {bridge: br-a}\n---\nkind: Vm\nname: web-2\nspec:\n  cpus: 1\n  memroy: 64MiB\n  host: h7\n';
      const said = await godwit(cluster, ['apply', '-f', '-'], { stdin });
      refused(said, { exit: 2, code: 'CLI_BAD_DOCUMENT', says: /^<stdin>:9:3: spec\.memroy: unknown key "memroy"; did you mean memory\?$/m });
      const unknown = await godwit(cluster, ['apply', '-f', '-'], { stdin: stdin.replace('memroy', 'memory') });
      refused(unknown, { exit: 2, code: 'CONTROL_INVALID', says: /^<stdin>:10:9: spec\.host: there is no host h7.*(did you mean|name one of).*h1/m });
    });
  });

  test('a host without the network, and one without room', async () => {
    const cluster = shared();
    const [h1] = cluster.lab.hosts;
    assert.ok(h1);
    h1.host.links.create('br-x', 'bridge', [], {});
    // More than is free, less than there is: the first host takes the word of who named it.
    const total = Number(/^MemTotal:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) * 1024;
    const memory = `${Math.floor(total / 2 ** 20) - 64}MiB`;
    await cluster.until('h1 tells of its bridge', async () => 'br-x' in ((await cluster.api.get('Host', 'h1')).status?.bridges ?? {}));
    await cluster.api.apply([
      { kind: 'Network', name: 'x', spec: { bridge: 'br-x' } },
      tiny('lone-1', 'h1', { nics: [{ network: 'x', mac: '52:54:00:00:99:01' }] }),
      tiny('huge-1', 'h1', { memory }),
    ]);
    await runsOn(cluster, 'lone-1', 'h1');
    const lone = await godwit(cluster, ['migrate', 'lone-1', '--to', 'h2', '--wait']);
    refused(lone, { exit: 1, code: 'CLI_MOVE_REFUSED', says: /lone-1 cannot move to h2.*nothing was changed.*runs on h1.*bridge br-x, which h2 does not have: make it there/ });
    await runsOn(cluster, 'lone-1', 'h1');
    const dry = await godwit(cluster, ['migrate', 'lone-1', '--to', 'h2', '--dry-run']);
    refused(dry, { exit: 1, code: 'CLI_MOVE_REFUSED', says: /br-x/ });
    await runsOn(cluster, 'huge-1', 'h1');
    const huge = await godwit(cluster, ['migrate', 'huge-1', '--to', 'h2', '--wait']);
    refused(huge, { exit: 1, code: 'CLI_MOVE_REFUSED', says: /huge-1 needs .* of memory and h2 has .* free: free some there, or name another host/ });
    await runsOn(cluster, 'huge-1', 'h1');
    // Without a host named, nobody takes it.
    await cluster.api.apply([{ kind: 'Vm', name: 'huge-2', spec: { cpus: 1, memory, accelerator: 'tcg' } }]);
    await cluster.until('huge-2 waits', async () => /No host can take it: .*MiB free of the \d+ needed/.test((await cluster.api.get('Vm', 'huge-2')).status?.reason ?? ''));
    refused(await godwit(cluster, ['migrate', 'huge-2', '--to', 'h2']), { exit: 1, code: 'CONTROL_VM_NOT_RUNNING', says: /huge-2 does not run \(stopped: No host can take it.*MiB free/ });
    for (const name of ['lone-1', 'huge-1', 'huge-2']) await cluster.api.remove('Vm', name);
  });

  test('a VM that is being moved already', async () => {
    const cluster = shared();
    const { spec } = await cluster.api.get('Host', 'h1');
    await cluster.api.apply([{ kind: 'Host', name: 'h1', spec: { ...spec, maxBandwidth: '1Mbit/s' } }]);
    const first = await cluster.api.migrate({ vm: 'big-1', to: 'h2' });
    for (const words of [['migrate', 'big-1', '--to', 'h2'], ['migrate', 'big-1', '--to', 'h2', '--dry-run'], ['delete', 'vm', 'big-1']]) {
      refused(await godwit(cluster, words), { exit: 1, code: 'CONTROL_VM_MOVING', says: new RegExp(`${first.name}.*godwit cancel ${first.name}`) });
    }
    const cancelled = await godwit(cluster, ['cancel', first.name]);
    assert.equal(cancelled.exit, 0, cancelled.err);
    assert.deepEqual((await ended(cluster, first.name)).status?.end, { kind: 'cancelled' });
    refused(await godwit(cluster, ['cancel', first.name]), { exit: 1, code: 'CONTROL_MIGRATION_ENDED', says: /has ended \(cancelled\)/ });
    await cluster.api.apply([{ kind: 'Host', name: 'h1', spec }]);
    await runsOn(cluster, 'big-1', 'h1');
  });

  test('a dead agent: told so, before a move begins and in the middle of one; when it is back, all goes on', async () => {
    const cluster = shared();
    await cluster.end('agent h2');
    // Not yet known to be silent: the move begins, and goes back.
    const said = await godwit(cluster, ['migrate', 'web-1', '--to', 'h2', '--wait']);
    assert.equal(said.exit, 1, said.err);
    assert.match(said.err, /web-1 runs on h1\. Why: .*\[CLI_MOVE_FAILED\]/, said.err);
    assert.match(said.err, /The agent of h2 cannot be spoken with: no connection at 10\.79\.0\.2, port 7444; does it run there \(`systemctl status godwit-agent`\)/, said.err);
    await cluster.until('h2 is silent', async () => (await cluster.api.get('Host', 'h2')).status?.state === 'silent');
    await changesNothing(cluster, async () => {
      refused(await godwit(cluster, ['migrate', 'web-1', '--to', 'h2', '--wait']), { exit: 1, code: 'CONTROL_HOST_SILENT', says: /h2 .*godwit-agent/ });
    });
    await runsOn(cluster, 'web-1', 'h1');
    cluster.startAgent('h2');
    await cluster.until('h2 is back', async () => (await cluster.api.get('Host', 'h2')).status?.state === 'ready', LONG);
    await stillWorks(cluster, 'web-1');
  });

  test('join tokens: no token, one used, one expired, a name that is taken; and the server as it is not', async () => {
    const cluster = shared();
    const [h1] = cluster.lab.hosts;
    assert.ok(h1 && cluster.lab.server);
    const url = `https://${cluster.lab.server.address}:7443`;
    const join = (token: string, name: string, to = url) => godwit(
      cluster, ['agent', 'join', to, '--token', token, '--name', name, '--address', '10.79.0.1', '--state-dir', `${cluster.stateDir('h1')}-${name}`], { at: h1 },
    );
    const token = async (ttl: number): Promise<string> => (await cluster.api.createToken(ttl)).token;
    const good = await token(60_000);
    await changesNothing(cluster, async () => {
      refused(await join('gwt1.abc', 'h7'), { exit: 2, code: 'TRUST_TOKEN_MALFORMED', says: /godwit token create/ });
      refused(await join(good, 'h1'), { exit: 1, code: 'CONTROL_HOST_EXISTS', says: /host h1 already: join under another name/ });
      refused(await join(good, 'H_7'), { exit: 2, code: 'CLI_USAGE', says: /lower-case letters/ });
      const brief = await cluster.api.createToken(1000);
      while (Date.now() <= brief.expiresAt) await pause(20);
      refused(await join(brief.token, 'h7'), { exit: 1, code: 'CONTROL_TOKEN_INVALID', says: /godwit token create/ });
      refused(await join(good.replace(/[^.]*$/, 'A'.repeat(43)), 'h7'), { exit: 1, code: 'TRUST_CA_MISMATCH', says: /Nothing was told to it: check the address and the token/ });
      refused(await join(good, 'h7', 'https://10.79.0.250:1'), { exit: 3, code: 'API_UNREACHABLE', says: /cannot be reached.*firewall/ });
    });
    // Not spent by any of these.
    const joined = await join(good, 'h8');
    assert.equal(joined.exit, 0, joined.err);
    refused(await join(good, 'h9'), { exit: 1, code: 'CONTROL_TOKEN_INVALID', says: /lets one host in, once.*godwit token create/ });
    refused(await join(await token(60_000), 'h8'), { exit: 1, code: 'AGENT_ALREADY_JOINED', says: /move that directory away/ });
    await cluster.api.remove('Host', 'h8');
    await stillWorks(cluster, 'web-1');
  });
});
