/** Waiting for what a host's own kernel tells. */
import type { Host } from '../../src/host/host.ts';

/** Looked at anew with each change in the host's network; rejects after 5 s, with what `wrong` says then. */
export function networkIs(host: Host, wrong: () => string | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      monitor.close();
    };
    const look = (): void => {
      if (wrong() !== undefined) return;
      end();
      resolve();
    };
    const monitor = host.monitor(look);
    const timer = setTimeout(() => {
      end();
      reject(new Error(`Within 5 s: ${wrong() ?? 'it was right without a word of the kernel'}`));
    }, 5000);
    look();
  });
}
