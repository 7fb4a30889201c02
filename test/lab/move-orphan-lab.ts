/** Run as a program of its own, to be killed: opens a lab with a guest, says where they are, and then does nothing. */
import { openSession } from './move-fixture.ts';

export interface OrphanLab {
  readonly client: string;
  readonly guestRun: string;
  readonly directory: string;
  readonly namespaces: readonly string[];
}

if (import.meta.main) {
  const { lab, running } = await openSession({});
  const orphan: OrphanLab = {
    client: lab.clientNamespace, guestRun: running.qemu.run.path, directory: lab.directory,
    namespaces: [...lab.hosts.map(({ namespace }) => namespace), lab.clientNamespace, lab.switchNamespace],
  };
  process.stdout.write(`${JSON.stringify(orphan)}\n`);
  process.stdin.resume();
}
