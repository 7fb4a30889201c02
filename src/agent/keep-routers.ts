/** A host's part in virtual routers and its BFD sessions, on the real thing: its pulse, its trackers, its hooks, its keys. */
import manifest from '../../package.json' with { type: 'json' };
import type { Log } from '../base/log.ts';
import type { Disk } from '../host/disk.ts';
import type { Host } from '../host/host.ts';
import { systemClock } from '../native/system-clock.ts';
import type { Routers } from './agent-process.ts';
import { Notifier } from './notifier.ts';
import { kernelPulses } from './pulses.ts';
import { RouterKeeper } from './router-keeper.ts';
import { scriptsOf } from './script.ts';
import { keysOf } from './session-keys.ts';
import { TrackRunner, procProcesses } from './track-runner.ts';

interface RouterParts {
  readonly host: Host;
  readonly disk: Disk;
  readonly runDir: string;
  readonly scripts: string;
  readonly keys: string;
  readonly log: Log;
  readonly changed: () => void;
}

export function keepRouters({ host, disk, runDir, scripts, keys, log, changed }: RouterParts): Routers {
  const run = scriptsOf(scripts);
  const notifier = new Notifier(run, log);
  const keeper = new RouterKeeper({
    version: manifest.version, pulses: kernelPulses(host, runDir, log), disk, clock: systemClock, log, changed, key: keysOf(keys),
    tracks: (news) => new TrackRunner({ clock: systemClock, log, run, processes: procProcesses, changed: news }),
    notify: (script, transition) => notifier.notify(script, transition),
  });
  return {
    want: (plans) => keeper.want(plans),
    wantSessions: (plans, detector) => keeper.wantSessions(plans, detector),
    statuses: () => keeper.statuses(),
    sessions: () => keeper.sessions(),
    opinions: () => keeper.opinions(),
    transitions: () => keeper.transitions(),
    acknowledged: (last) => keeper.acknowledged(last),
    close: async () => void (await Promise.all([keeper.close(), notifier.close()])),
  };
}
