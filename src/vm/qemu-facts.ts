/** What the QEMU installed on a host can do, asked of a QEMU without a machine that ends at once. */
import { spawn } from 'node:child_process';
import { migrationAbilities, type MigrationAbilities } from './migration-abilities.ts';
import { QmpClient } from './qmp.ts';
import type { QmpTransport } from './qmp-transport.ts';
import { QemuStartFailed } from './vm-errors.ts';

/** Fails with QemuStartFailed, QmpClosed or QmpTimeout. */
export async function queryInstalledQemu(program = 'qemu-system-x86_64'): Promise<MigrationAbilities> {
  const child = spawn(program, ['-machine', 'none', '-nodefaults', '-display', 'none', '-no-user-config', '-qmp', 'stdio'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const missing = new Promise<never>((_resolve, reject) => {
    child.on('error', (cause) => reject(new QemuStartFailed('(none)', `could not be started: is ${program} installed?`, '', { cause })));
  });
  const transport: QmpTransport = {
    open(data, end) {
      child.stdout.on('data', data);
      child.once('close', () => end(undefined));
      child.stdin.on('error', () => child.kill());
    },
    write: (bytes) => void child.stdin.write(bytes),
    close: () => void child.kill('SIGKILL'),
  };
  const asked = (async () => {
    const qmp = await QmpClient.open(transport);
    try {
      const capabilities = await qmp.execute('query-migrate-capabilities');
      const parameters = await qmp.execute('query-migrate-parameters');
      return migrationAbilities(qmp.version, new Set(capabilities.map((c) => c.capability)), new Set(Object.keys(parameters)));
    } finally {
      qmp.close();
    }
  })();
  return Promise.race([asked, missing]);
}
