/**
 * The commands of the transcripts in bfd/: hosts on a wire (`bfd-wire.ts`) in virtual time, one way delay 0.25 ms. Without jitter,
 * unless `jitter` says another chance; discriminators are 1, 2, … on each host.
 *
 *   host NAME ADDRESS
 *   session HOST SESSION peer=ADDRESS [tx=50ms] [rx=50ms] [mult=3] [echo=SPAN] [echo-rx=0ms] [hops=single] [min-ttl=254]
 *                        [auth=KIND:ID:SECRET] [disabled="because"]
 *   no-session HOST SESSION      the plan, like `session`; both only count from `start` or `reload` on
 *   start HOST | reload HOST | kill HOST | pause HOST | freeze HOST | wake HOST | jitter HOST CHANCE
 *   say HOST STATE from=ADDRESS [my=9] [your=1] [flags=PFCDA] [diag=none] [tx=50ms] [rx=50ms] [echo-rx=0ms] [mult=3] [ago=0ms] [ttl=255] [port=3784]
 *       [auth=KIND:ID:SECRET sequence=N]
 *                                a packet, from somebody who is not a host here
 *   cut FROM TO | heal           one way
 *   advance SPAN | status HOST SESSION | deadline HOST | drops HOST
 *   packets all|changed|none     which packets are logged: `changed`, unless said otherwise: those that are not like the session's last
 *   evidence                     from now on transitions show theirs
 */
import { GodwitError } from '../../../src/base/error.ts';
import { type Milliseconds, ms } from '../../../src/base/units.ts';
import type { BfdHostEffect } from '../../../src/protocol/bfd-host.ts';
import type { BfdPlan } from '../../../src/protocol/bfd-plan.ts';
import type { BfdAuthentication, BfdAuthKind } from '../../../src/wire/bfd-auth.ts';
import { type BfdControl, type BfdDiagnostic, bfdDiagnostics, bfdStates, decodeBfd, encodeBfd } from '../../../src/wire/bfd.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { BfdWire, WireHost, sha1, shown } from './bfd-wire.ts';
import { type Command, number, parseCommand } from './transcripts.ts';

type Arguments = ReadonlyMap<string, string>;
const DELAY = 0.25;

/** A fresh wire for one transcript. */
export function bfdCommands(): Command {
  const session = new Session();
  return (line) => session.command(line);
}

class Session {
  readonly #cuts = new Set<string>();
  readonly #jitter = new Map<string, number>();
  readonly #said = new Map<string, string>();
  #packets = 'changed';
  #evidence = false;
  #lines: string[] = [];
  readonly #wire = new BfdWire(
    (from, to) => (this.#cuts.has(`${from}>${to}`) ? undefined : DELAY),
    (host, effect) => this.#log(host, effect),
  );

  command(line: string): string[] {
    this.#lines = [];
    const { verb, words, args } = parseCommand(line);
    this.#run(verb, words, args);
    return this.#lines;
  }

  #line(text: string): void {
    this.#lines.push(`${shown(this.#wire.now).padStart(9)} ${text}`);
  }

  #log(host: WireHost, effect: BfdHostEffect): void {
    const who = `${host.name}/${effect.session}`;
    switch (effect.do) {
      case 'send': {
        const text = describe(effect.bytes, effect.plan);
        const known = this.#said.get(who) === text;
        this.#said.set(who, text);
        if (this.#packets === 'all' || (this.#packets === 'changed' && !known)) this.#line(`${who} send ${text}`);
        return;
      }
      case 'echo':
        if (this.#packets === 'all') this.#line(`${who} echo`);
        return;
      case 'transition': {
        this.#line(`${who} ${effect.from} → ${effect.to}: ${bfdDiagnostics[effect.diagnostic]} [${effect.rule}]`);
        if (this.#evidence && effect.evidence) this.#lines.push(`          ${JSON.stringify(effect.evidence)}`);
        return;
      }
      case 'note': this.#line(`${who} note: ${effect.rule}`); return;
      default: this.#line(`${who} ${effect.do}`);
    }
  }

  #run(verb: string, words: readonly string[], args: Arguments): void {
    const [first = '', second = ''] = words;
    const wire = this.#wire;
    switch (verb) {
      case 'host': wire.add(new WireHost(first, parseIpAddress(second), () => this.#jitter.get(first) ?? 0)); return;
      case 'advance': wire.advance(span(first)); return;
      case 'cut': this.#cuts.add(`${first}>${second}`); return;
      case 'heal': this.#cuts.clear(); return;
      case 'packets': this.#packets = first; return;
      case 'evidence': this.#evidence = true; return;
      default:
    }
    const host = wire.hosts.get(first);
    if (!host) throw new GodwitError('TEST_TRANSCRIPT', `${verb} ${first}: no such command, or no such host`);
    this.#runOn(host, verb, second, args);
  }

  #runOn(host: WireHost, verb: string, second: string, args: Arguments): void {
    const wire = this.#wire;
    const { now } = wire;
    switch (verb) {
      case 'session': host.plans = [...host.plans.filter(({ name }) => name !== second), plan(second, host, args)]; return;
      case 'no-session': host.plans = host.plans.filter(({ name }) => name !== second); return;
      case 'start': wire.start(host); return;
      case 'reload': wire.do(host, (bfd) => bfd.configure(host.plans, now)); return;
      case 'kill': wire.kill(host); return;
      case 'pause': host.is = 'paused'; return;
      case 'freeze': host.is = 'frozen'; return;
      case 'wake': wire.wake(host); return;
      case 'jitter': this.#jitter.set(host.name, number(second)); return;
      case 'say': this.#say(host, second, args); return;
      case 'deadline': this.#line(`${host.name} deadline ${shown(host.bfd?.deadline() ?? Infinity)}`); return;
      case 'drops': this.#line(`${host.name} drops ${JSON.stringify(host.bfd?.drops())}`); return;
      case 'status': this.#lines.push(JSON.stringify(host.bfd?.status(second, now)) ?? 'none'); return;
      default: throw new GodwitError('TEST_TRANSCRIPT', `${verb}: no such command; the head of bfd-commands.ts lists them`);
    }
  }

  #say(host: WireHost, state: string, args: Arguments): void {
    const flags = args.get('flags') ?? '';
    const spanOf = (key: string, otherwise: string): Milliseconds => span(args.get(key) ?? otherwise);
    const control: BfdControl = {
      diagnostic: oneOf<BfdDiagnostic>(['none', 'detection-expired', 'echo-failed', 'neighbor-down', 'admin-down'], args.get('diag') ?? 'none'),
      state: oneOf(bfdStates, state), poll: flags.includes('P'), final: flags.includes('F'),
      controlPlaneIndependent: flags.includes('C'), demand: flags.includes('D'), detectMult: number(args.get('mult') ?? '3'),
      myDiscriminator: number(args.get('my') ?? '9'), yourDiscriminator: number(args.get('your') ?? '1'),
      desiredMinTx: spanOf('tx', '50ms'), requiredMinRx: spanOf('rx', '50ms'), requiredMinEchoRx: spanOf('echo-rx', '0ms'),
    };
    const by = authentication(args);
    const { now } = this.#wire;
    this.#wire.arrive(host, {
      source: parseIpAddress(args.get('from') ?? ''), destination: host.address, interface: 'e0',
      port: number(args.get('port') ?? '3784'), ttl: number(args.get('ttl') ?? '255'),
      payload: encodeBfd(control, by && { by, sequence: number(args.get('sequence')), sha1 }), at: ms(now - spanOf('ago', '0ms')),
    });
  }
}

/** A packet as a session sent it, without what differs each time. */
function describe(bytes: Uint8Array, { path, authentication }: BfdPlan): string {
  const source = path.peer;
  const datagram = { source, destination: source, interface: 'interface' in path ? path.interface : '', port: path.hops === 'single' ? 3784 : 4784, ttl: 255, payload: bytes };
  const decoded = decodeBfd(datagram, () => ({ path, authentication, lastSequence: undefined }), sha1);
  if (decoded.kind === 'drop') return `UNREADABLE ${decoded.reason}`;
  const { control: c } = decoded;
  const flags = `${c.poll ? ' P' : ''}${c.final ? ' F' : ''}${c.demand ? ' D' : ''}`;
  const echo = c.requiredMinEchoRx === 0 ? '' : ` echo-rx=${c.requiredMinEchoRx}`;
  return `${c.state}${flags} diag=${c.diagnostic} mult=${c.detectMult} my=${c.myDiscriminator} your=${c.yourDiscriminator} tx=${c.desiredMinTx} rx=${c.requiredMinRx}${echo}`;
}

function plan(name: string, { address }: WireHost, args: Arguments): BfdPlan {
  const peer = parseIpAddress(args.get('peer') ?? '');
  const echo = args.get('echo');
  const spanOf = (key: string, otherwise: string): Milliseconds => span(args.get(key) ?? otherwise);
  return {
    name, authentication: authentication(args), disabled: args.get('disabled'),
    path: args.get('hops') === 'multi'
      ? { hops: 'multi', peer, local: address, minTtl: number(args.get('min-ttl') ?? '254') }
      : { hops: 'single', peer, interface: 'e0' },
    settings: {
      desiredMinTx: spanOf('tx', '50ms'), requiredMinRx: spanOf('rx', '50ms'), detectMult: number(args.get('mult') ?? '3'),
      requiredMinEchoRx: spanOf('echo-rx', '0ms'), ...(echo === undefined ? {} : { echo: span(echo) }),
    },
  };
}

function authentication(args: Arguments): BfdAuthentication | undefined {
  const text = args.get('auth');
  if (text === undefined) return undefined;
  const [kind = '', id, secret = ''] = text.split(':');
  return { kind: oneOf<BfdAuthKind>(['simple', 'sha1', 'meticulous-sha1'], kind), keys: [{ id: number(id), secret: new TextEncoder().encode(secret) }] };
}

function oneOf<T extends string>(all: readonly T[], text: string): T {
  const found = all.find((one) => one === text);
  if (found === undefined) throw new GodwitError('TEST_TRANSCRIPT', `${text}: give one of ${all.join(', ')}`);
  return found;
}

/** `3s`, `250ms`, `0.5s` */
function span(text: string): Milliseconds {
  const [, digits, unit] = /^([\d.]+)(ms|s)$/.exec(text) ?? [];
  if (unit === undefined) throw new GodwitError('TEST_TRANSCRIPT', `${text}: a span is needed here, like 3s or 250ms`);
  return ms(number(digits) * (unit === 's' ? 1000 : 1));
}
