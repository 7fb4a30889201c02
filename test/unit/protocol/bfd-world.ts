/**
 * Two hosts with a session each on a wire (`bfd-wire.ts`) that loses, delays, cuts and repeats, and what has to hold at every moment
 * whatever happens: nobody sends more often than the other side allowed, as far as it was told.
 */
import assert from 'node:assert/strict';
import { ms } from '../../../src/base/units.ts';
import type { ArrivedBfd, BfdHostEffect } from '../../../src/protocol/bfd-host.ts';
import type { BfdSettings } from '../../../src/protocol/bfd.ts';
import type { BfdSessionStatus } from '../../../src/protocol/bfd-session.ts';
import type { BfdAuthentication } from '../../../src/wire/bfd-auth.ts';
import { type BfdControl, type BfdPath, bfdPort, decodeBfd } from '../../../src/wire/bfd.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { BfdWire, WireHost, sha1, shown } from './bfd-wire.ts';
import { seeded } from './seeded.ts';

export interface Side {
  readonly tx: number;
  readonly rx: number;
  readonly mult: number;
  readonly echo?: number | undefined;
  readonly echoRx: number;
}

export interface Network {
  readonly least: number;
  readonly most: number;
  readonly authentication?: BfdAuthentication | undefined;
  /** Of both hosts at their deadlines, at most. */
  readonly lag?: number;
}

interface Pace {
  control: BfdControl | undefined;
  sent: number;
  echo: number;
  /** As the other side last said, and since when it said so or more. */
  allowed: number;
  echoAllowed: number;
}

const ADDRESSES = { a: '192.0.2.1', b: '192.0.2.2' } as const;
const LOSS = 0.3;

export class BfdWorld {
  readonly a: WireHost;
  readonly b: WireHost;
  readonly wire: BfdWire;
  /** Every time that a session went down from Up. */
  downs: { readonly who: string; readonly at: number; readonly effect: Extract<BfdHostEffect, { do: 'transition' }> }[] = [];
  naps = 0;
  readonly cuts = new Set<string>();
  lossy = false;
  /** Of one stream, one way: how many in a row may be lost; undefined: chance alone. */
  longestRun: number | undefined;
  readonly recorded: { readonly to: WireHost; readonly datagram: ArrivedBfd }[] = [];
  readonly history: string[] = [];
  readonly #network: Network;
  readonly #next: () => number;
  readonly #runs = new Map<string, number>();
  readonly #paces = new Map<string, Pace>();

  constructor(sides: { readonly a: Side; readonly b: Side }, seed: number, network: Network) {
    this.#network = network;
    this.#next = seeded(seed);
    this.wire = new BfdWire((from, to, what) => this.#delay(from, to, what), (host, effect) => this.#watch(host, effect));
    this.wire.heard = (host, datagram) => this.#heard(host, datagram);
    const host = (name: 'a' | 'b'): WireHost => {
      const made = new WireHost(name, parseIpAddress(ADDRESSES[name]), seeded(seed + name.charCodeAt(0)));
      made.lag = () => this.#next() * (network.lag ?? 0);
      this.wire.add(made);
      return made;
    };
    this.a = host('a');
    this.b = host('b');
    this.plan(this.a, sides.a);
    this.plan(this.b, sides.b);
  }

  plan(host: WireHost, { tx, rx, mult, echo, echoRx }: Side): void {
    const settings: BfdSettings = {
      desiredMinTx: ms(tx), requiredMinRx: ms(rx), detectMult: mult, requiredMinEchoRx: ms(echoRx), ...(echo === undefined ? {} : { echo: ms(echo) }),
    };
    host.plans = [{ name: 's', settings, path: pathOf(host), authentication: this.#network.authentication }];
  }

  reload(host: WireHost): void {
    this.note(`reload ${host.name}`);
    if (host.is === 'running') this.wire.do(host, (bfd) => bfd.configure(host.plans, this.wire.now));
  }

  start(...hosts: readonly WireHost[]): void {
    for (const host of hosts) {
      this.#paces.delete(host.name);
      this.wire.start(host);
    }
  }

  advance(span: number): void {
    this.wire.advance(span);
  }

  note(line: string): void {
    this.history.push(`${shown(this.wire.now).padStart(9)} ${line}`);
  }

  /** With what happened, where it fails. */
  attempt(run: () => void): void {
    try {
      run();
    } catch (error) {
      throw new Error([error instanceof Error ? error.message : String(error), ...this.history.slice(-40)].join('\n'), { cause: error });
    }
  }

  /** Everybody runs, and the network is whole. */
  calm(): void {
    this.note('calm');
    this.cuts.clear();
    this.lossy = false;
    for (const host of [this.a, this.b]) {
      if (!host.bfd) this.start(host);
      else if (host.is !== 'running') this.wire.wake(host);
    }
  }

  status(host: WireHost): BfdSessionStatus {
    const status = host.bfd?.status('s', this.wire.now);
    assert.ok(status);
    return status;
  }

  /** Both are Up after so long, and still half a second later. */
  awaitUp(bound: number): void {
    const up = (): boolean => [this.a, this.b].every((host) => this.status(host).state === 'up');
    for (let waited = 0; waited < bound && !up(); waited += 50) this.advance(50);
    this.checkUp();
    this.advance(500);
    this.checkUp();
  }

  checkUp(): void {
    for (const host of [this.a, this.b]) assert.equal(this.status(host).state, 'up', `${host.name} at ${this.wire.now}`);
  }

  #watch(host: WireHost, effect: BfdHostEffect): void {
    const { now } = this.wire;
    const pace = this.#pace(host);
    switch (effect.do) {
      case 'send': {
        const control = read(effect.bytes, pathOf(this.#other(host)), this.#network.authentication);
        const { control: last } = pace;
        if (last && last.state === control.state) {
          if (control.final) return;
          assert.ok(now - pace.sent >= 0.75 * pace.allowed - 1e-6, `${host.name} sends after ${now - pace.sent} ms, allowed ${pace.allowed}`);
          assert.ok(control.state === 'up' || now - pace.sent >= 750 - 1e-6, `${host.name} is ${control.state}, and sends after ${now - pace.sent} ms (§6.8.3)`);
        }
        Object.assign(pace, { control, sent: now });
        return;
      }
      case 'echo':
        assert.ok(pace.echoAllowed > 0, `${host.name} sends echoes to a side that loops none`);
        assert.equal(host.bfd?.status('s', now)?.state, 'up', 'echoes only while Up');
        assert.ok(now - pace.echo >= 0.75 * pace.echoAllowed - 1e-6, `${host.name} echoes after ${now - pace.echo} ms, allowed ${pace.echoAllowed}`);
        pace.echo = now;
        return;
      case 'transition':
        this.note(`${host.name} ${effect.from} → ${effect.to} ${effect.diagnostic} ${JSON.stringify(effect.evidence ?? {})}`);
        if (effect.from === 'up') this.downs.push({ who: host.name, at: now, effect });
        return;
      case 'note':
        this.naps++;
        this.note(`${host.name} ${effect.rule}`);
        return;
      default: this.note(`${host.name} ${effect.do}`);
    }
  }

  #heard(host: WireHost, datagram: ArrivedBfd): void {
    this.recorded.push({ to: host, datagram });
    if (datagram.port !== bfdPort.single || host.is !== 'running' || !host.bfd) return;
    const decoded = decodeBfd(datagram, () => ({ path: pathOf(host), authentication: this.#network.authentication, lastSequence: undefined }), sha1);
    if (decoded.kind === 'drop') return;
    // To know of a packet that its session refuses would be to believe a replay.
    const refused = this.#network.authentication !== undefined;
    if (refused) return;
    Object.assign(this.#pace(host), { allowed: decoded.control.requiredMinRx, echoAllowed: decoded.control.requiredMinEchoRx });
  }

  #pace(host: WireHost): Pace {
    let pace = this.#paces.get(host.name);
    if (!pace) {
      pace = { control: undefined, sent: -Infinity, echo: -Infinity, allowed: 0, echoAllowed: this.#network.authentication ? 1 : 0 };
      this.#paces.set(host.name, pace);
    }
    return pace;
  }

  #other(host: WireHost): WireHost {
    return host === this.a ? this.b : this.a;
  }

  #delay(from: string, to: string, what: string): number | undefined {
    const { least, most } = this.#network;
    const [chance, delay] = [this.#next(), least + this.#next() * (most - least)];
    if (this.cuts.has(`${from}>${to}`)) return undefined;
    if (!this.lossy || chance >= LOSS) {
      // An echo has two ways to be lost on.
      if (what === 'control') this.#runs.set(from, 0);
      return delay;
    }
    if (this.longestRun === undefined) return undefined;
    if (what === 'echo') return delay;
    const run = (this.#runs.get(from) ?? 0) + 1;
    if (run > this.longestRun) {
      this.#runs.set(from, 0);
      return delay;
    }
    this.#runs.set(from, run);
    return undefined;
  }
}

const pathOf = (host: WireHost): BfdPath => ({ hops: 'single', peer: parseIpAddress(host.name === 'a' ? ADDRESSES.b : ADDRESSES.a), interface: 'e0' });

function read(payload: Uint8Array, path: BfdPath, authentication: BfdAuthentication | undefined): BfdControl {
  const datagram = { source: path.peer, destination: path.peer, interface: 'e0', port: bfdPort.single, ttl: 255, payload };
  const decoded = decodeBfd(datagram, () => ({ path, authentication, lastSequence: undefined }), sha1);
  assert.equal(decoded.kind, 'control');
  assert.ok(decoded.kind === 'control');
  return decoded.control;
}
