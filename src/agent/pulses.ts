/** The pulse of this host, for its agent. */
import type { Log } from '../base/log.ts';
import type { Host } from '../host/host.ts';
import { takeBack } from '../pulse/farewell.ts';
import { type RunningPulse, findPulse, startPulse } from '../pulse/pulse-spawn.ts';
import { formerSettings } from '../pulse/socket-path.ts';
import type { PulseLink, Pulses } from './pulse-link.ts';

/** Its socket, lock and log are in `runDir`. */
export function kernelPulses(host: Host, runDir: string, log: Log): Pulses {
  return {
    attach: async () => linkTo(await startPulse({ runDir })),
    find: async () => {
      const running = await findPulse(runDir);
      return running && linkTo(running);
    },
    takeBack: (active) => takeBack(host, active, { settings: formerSettings(runDir), log: (line) => log.warn({}, line) }),
  };
}

const linkTo = ({ client, started, exited, kill }: RunningPulse): PulseLink => ({
  started,
  send: (command) => client.send(command),
  onMessage: (listener) => client.onMessage(listener),
  closed: client.closed,
  exited,
  kill,
  close: () => client.close(),
});
