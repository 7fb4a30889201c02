/**
 * The commands of the transcripts in vrrp/: a segment (`vrrp-segment.ts`) in virtual time, one way delay 0.25 ms.
 *
 *   host NAME ADDRESS
 *   router HOST ROUTER [prio=100] [interval=1s] [version=3] [preempt=yes] [delay=0s] [addresses=192.0.2.254,…] [group=G]
 *                      [announce=1] [announce-interval=100ms] [refresh=10s] [track=KEY:WEIGHT,KEY,…] [identity=…]
 *   no-router HOST ROUTER      the plan, like `router`; both only count from `start` or `reload` on
 *   start HOST                 a new process: configured, link up, address there;  `bare`: configured only
 *   reload HOST | stop HOST | kill HOST | pause HOST | freeze HOST | wake HOST
 *   link HOST ROUTER up|down | source HOST ROUTER ADDRESS|none | refuse HOST ROUTER REASON|none | track HOST KEY up|down
 *   advert ROUTER from=ADDRESS prio=N [interval=1s] [ago=0ms] [addresses=…]    to all hosts, from somebody else
 *   used HOST ROUTER | holdable HOST SPAN | advance SPAN | status HOST ROUTER | deadline HOST
 *   cut FROM TO | heal         one way; `*`: everybody
 *   neighbour                  from now on the neighbour `n` answers
 *   evidence                   from now on transitions show theirs
 */
import { GodwitError } from '../../../src/base/error.ts';
import { type Milliseconds, ms } from '../../../src/base/units.ts';
import type { HostRouter } from '../../../src/protocol/vrrp-host.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { type Command, number, parseCommand } from './transcripts.ts';
import { NEIGHBOUR, Segment, type SegmentHost, shown } from './vrrp-segment.ts';

type Arguments = ReadonlyMap<string, string>;
const DELAY = 0.25;

/** A fresh segment for one transcript. */
export function vrrpCommands(): Command {
  const session = new Session();
  return (line) => session.command(line);
}

class Session {
  readonly #cuts = new Set<string>();
  #neighbour = false;
  #lines: string[] = [];
  readonly #segment = new Segment(
    (from, to) => (this.#reaches(from, to) ? DELAY : undefined),
    (line) => this.#lines.push(`${shown(this.#segment.now).padStart(9)} ${line}`),
  );

  #reaches(from: string, to: string): boolean {
    if (!this.#neighbour && to === NEIGHBOUR) return false;
    return ![`${from}>${to}`, `${from}>*`, `*>${to}`].some((cut) => this.#cuts.has(cut));
  }

  command(line: string): string[] {
    this.#lines = [];
    const { verb, words, args } = parseCommand(line);
    this.#run(verb, words, args);
    return this.#lines;
  }

  #run(verb: string, words: readonly string[], args: Arguments): void {
    const [first = '', second = '', third = ''] = words;
    const segment = this.#segment;
    const { now } = segment;
    switch (verb) {
      case 'host': segment.add(first, parseIpAddress(second)); return;
      case 'advance': segment.advance(span(first)); return;
      case 'cut': this.#cuts.add(`${first}>${second}`); return;
      case 'heal': this.#cuts.clear(); return;
      case 'neighbour': this.#neighbour = true; return;
      case 'evidence': segment.evidence = true; return;
      case 'advert': {
        const advert = {
          from: parseIpAddress(args.get('from') ?? ''), priority: number(args.get('prio')), interval: span(args.get('interval') ?? '1s'),
          addresses: addresses(args), at: ms(now - span(args.get('ago') ?? '0ms')),
        };
        for (const host of segment.hosts.values()) segment.hear(host, first, advert);
        return;
      }
      default:
    }
    const host = segment.hosts.get(first);
    if (!host) throw new GodwitError('TEST_TRANSCRIPT', `${verb} ${first}: no such command, or no such host`);
    this.#runOn(host, verb, [second, third], args);
  }

  #runOn(host: SegmentHost, verb: string, [second, third]: readonly [string, string], args: Arguments): void {
    const segment = this.#segment;
    const { now } = segment;
    switch (verb) {
      case 'router': host.plans = [...host.plans.filter(({ name }) => name !== second), plan(second, args)]; return;
      case 'no-router': host.plans = host.plans.filter(({ name }) => name !== second); return;
      case 'start': segment.start(host); return;
      case 'bare': segment.startBare(host); return;
      case 'kill': segment.kill(host); return;
      case 'reload': segment.do(host, (vrrp) => {
        const known = new Set(vrrp.names());
        const fresh = host.plans.filter(({ name }) => !known.has(name));
        return [
          ...vrrp.configure(host.plans, now),
          ...fresh.flatMap(({ name }) => [...vrrp.link(name, true, now), ...vrrp.source(name, host.address, now)]),
        ];
      }); return;
      case 'stop': segment.do(host, (vrrp) => vrrp.configure([], now)); return;
      case 'pause': host.is = 'paused'; return;
      case 'freeze': host.is = 'frozen'; return;
      case 'wake': segment.wake(host); return;
      case 'link': segment.do(host, (vrrp) => vrrp.link(second, third === 'up', now)); return;
      case 'source': segment.do(host, (vrrp) => vrrp.source(second, third === 'none' ? undefined : parseIpAddress(third), now)); return;
      case 'refuse': segment.do(host, (vrrp) => vrrp.refuse(second, third === 'none' ? undefined : third, now)); return;
      case 'track': segment.do(host, (vrrp) => vrrp.track(second, third === 'up', now)); return;
      case 'used': segment.do(host, (vrrp) => vrrp.used(second, now)); return;
      case 'holdable': segment.do(host, (vrrp) => vrrp.holdable(span(second), now)); return;
      case 'deadline': this.#lines.push(`${shown(now).padStart(9)} ${host.name} deadline ${shown(host.vrrp?.deadline() ?? Infinity)}`); return;
      case 'status': this.#lines.push(JSON.stringify(host.vrrp?.status(second)) ?? 'none'); return;
      default: throw new GodwitError('TEST_TRANSCRIPT', `${verb}: no such command; the head of vrrp-commands.ts lists them`);
    }
  }
}

function plan(name: string, args: Arguments): HostRouter {
  const version = args.get('version') === '2' ? 2 : 3;
  const refresh = args.get('refresh');
  return {
    name, identity: args.get('identity') ?? '', group: args.get('group'),
    settings: {
      vrid: 7, version, addresses: addresses(args), priority: number(args.get('prio') ?? '100'), interval: span(args.get('interval') ?? '1s'),
      preempt: args.get('preempt') !== 'no', preemptDelay: span(args.get('delay') ?? '0s'),
      announce: {
        count: number(args.get('announce') ?? '1'), interval: span(args.get('announce-interval') ?? '100ms'),
        ...(refresh === undefined ? {} : { refresh: span(refresh) }),
      },
    },
    track: (args.get('track')?.split(',') ?? []).map((text) => {
      const [, key = '', weight] = /^(\w+:\w+)(?::(-?\d+))?$/.exec(text) ?? [];
      return { key, ...(weight === undefined ? {} : { weight: number(weight) }) };
    }),
  };
}

const addresses = (args: Arguments): ReturnType<typeof parseIpAddress>[] => (args.get('addresses') ?? '192.0.2.254').split(',').map(parseIpAddress);

/** `3s`, `250ms`, `0.5s` */
function span(text: string): Milliseconds {
  const [, digits, unit] = /^([\d.]+)(ms|s)$/.exec(text) ?? [];
  if (unit === undefined) throw new GodwitError('TEST_TRANSCRIPT', `${text}: a span is needed here, like 3s or 250ms`);
  return ms(number(digits) * (unit === 's' ? 1000 : 1));
}
