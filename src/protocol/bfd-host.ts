/**
 * All BFD sessions of one host: RFC 5880 §6.3 and what a `bfd.ts` machine alone cannot know. Pure: time, chance and datagrams come in,
 * effects go out, each with its session's name and its bytes ready; the driver carries them out in their order and decides nothing.
 *
 * - **Whose packet it is**: the session of its Your Discriminator; while the other side does not know that, the one of its way:
 *   peer and interface over one hop, both addresses over several. Whatever is not taken is counted by its reason.
 * - **Reload**: `configure` brings the difference. A session with another path is another session, with a discriminator of its own;
 *   all else is changed while it runs. What was taken away says so for a detection time, and is `gone` then.
 * - A packet or a tick costs O(log n) of n sessions (`deadline-heap.ts`).
 */
import { type Milliseconds, ms } from '../base/units.ts';
import type { Sha1 } from '../wire/bfd-auth.ts';
import type { BfdDrop, BfdDropReason } from '../wire/bfd-drop.ts';
import { BfdEchoCodec } from '../wire/bfd-echo.ts';
import { type BfdDatagram, type BfdLookup, type BfdPhase, bfdPort, bfdSourcePorts, decodeBfd, encodeBfd } from '../wire/bfd.ts';
import { type BfdEffect, type BfdEvent, agreedRx, deadlineOf, initialBfd, isUnderWay, lastSequence, stepBfd } from './bfd.ts';
import { type BfdPlan, checkPlans, pathKey } from './bfd-plan.ts';
import { Member, type BfdSessionStatus } from './bfd-session.ts';
import { DeadlineHeap } from './deadline-heap.ts';

/** 0 ≤ … < 1, each time another. */
export type Chance = () => number;

/** A datagram to one of BFD's ports, as it came in. */
export interface ArrivedBfd extends BfdDatagram {
  readonly at: Milliseconds;
}

export type BfdHostEffect = { readonly session: string } & (
  /** From `sourcePort` to the path's port of BFD, with TTL 255. */
  | { readonly do: 'send'; readonly plan: BfdPlan; readonly sourcePort: number; readonly bytes: Uint8Array }
  /** To port 3785 of one of the host's own addresses, by the peer's MAC: the peer forwards it back (RFC 5881 §4). */
  | { readonly do: 'echo'; readonly plan: BfdPlan; readonly bytes: Uint8Array }
  | Exclude<BfdEffect, { do: 'send' | 'echo' }>
);

/**
 * Told of each packet and each echo that a session took, with what follows from it done. No effect, since nothing is to be carried out.
 * `remote`: what the other side says of its session; `interval`: the next should come within that.
 */
export type TakenListener = (session: string, at: Milliseconds, remote: BfdPhase, interval: Milliseconds) => void;

export type BfdDropCounts = Readonly<Partial<Record<BfdDropReason, number>>>;

export class BfdHost {
  readonly #byName = new Map<string, Member>();
  readonly #byDiscriminator = new Map<number, Member>();
  readonly #byPath = new Map<string, Member>();
  readonly #deadlines = new DeadlineHeap<Member>();
  readonly #ports = new Set<number>();
  readonly #drops = new Map<BfdDropReason, number>();
  readonly #sha1: Sha1;
  readonly #chance: Chance;
  readonly #echoes: BfdEchoCodec;
  readonly #taken: TakenListener | undefined;

  /** @param echoKey see BfdEchoCodec */
  constructor({ sha1, chance, echoKey, taken }: {
    readonly sha1: Sha1; readonly chance: Chance; readonly echoKey: Uint8Array; readonly taken?: TakenListener;
  }) {
    this.#taken = taken;
    this.#sha1 = sha1;
    this.#chance = chance;
    this.#echoes = new BfdEchoCodec(echoKey, sha1);
  }

  /**
   * All that this host is to take part in from now on.
   * @throws BfdPlanError, and then nothing has changed
   */
  configure(plans: readonly BfdPlan[], now: Milliseconds): BfdHostEffect[] {
    checkPlans(plans);
    const out: BfdHostEffect[] = [];
    const wanted = new Map(plans.map((plan) => [plan.name, plan]));
    const paths = new Set(plans.map(({ path }) => pathKey(path)));
    for (const [name, member] of this.#byName) {
      const plan = wanted.get(name);
      const kept = plan !== undefined && pathKey(plan.path) === member.key && member.state.leaves === undefined;
      if (kept) continue;
      this.#step(member, { kind: 'remove' }, now, out);
      // Its name or its way is wanted for another now: once is all that it can say.
      if (plan !== undefined || paths.has(member.key)) this.#forget(member, out);
    }
    for (const plan of plans) {
      const member = this.#byName.get(plan.name) ?? this.#begin(plan, now);
      const resigned = member.plan.authentication?.kind !== plan.authentication?.kind;
      member.plan = plan;
      if (resigned) member.state = { ...member.state, heardSequence: undefined };
      if (member.state.settings !== plan.settings) this.#step(member, { kind: 'settings', settings: plan.settings }, now, out);
      this.#step(member, plan.disabled === undefined ? { kind: 'enable' } : { kind: 'disable', because: plan.disabled }, now, out);
    }
    return out;
  }

  /** Never throws, whatever the bytes. */
  heard(datagram: ArrivedBfd, now: Milliseconds): BfdHostEffect[] {
    const out: BfdHostEffect[] = [];
    if (datagram.port === bfdPort.echo) {
      this.#heardEcho(datagram, now, out);
      return out;
    }
    let asked: Member | undefined;
    const lookup: BfdLookup<Member> = (discriminator) => {
      asked = discriminator === 0 ? this.#byWay(datagram) : this.#byDiscriminator.get(discriminator);
      if (asked) asked.lastSequence = lastSequence(asked.state, datagram.at);
      return asked;
    };
    const decoded = decodeBfd(datagram, lookup, this.#sha1);
    if (decoded.kind === 'drop') {
      this.#drop(decoded, asked);
      return out;
    }
    const { session, control, sequence } = decoded;
    session.heard++;
    this.#step(session, { kind: 'control', heard: { control, sequence, at: datagram.at } }, now, out);
    this.#tell(session, datagram.at);
    return out;
  }

  /** The sockets of all sessions are drained. */
  expire(now: Milliseconds): BfdHostEffect[] {
    const out: BfdHostEffect[] = [];
    const due: Member[] = [];
    for (let { first } = this.#deadlines; first && first.due <= now; { first } = this.#deadlines) {
      this.#deadlines.delete(first);
      due.push(first.item);
    }
    for (const member of due) this.#step(member, { kind: 'expire' }, now, out);
    return out;
  }

  /** When `expire` is wanted. */
  deadline(): Milliseconds | undefined {
    return this.#deadlines.first?.due;
  }

  /** Also those that are leaving. */
  names(): string[] {
    return [...this.#byName.keys()];
  }

  status(session: string, now: Milliseconds): BfdSessionStatus | undefined {
    return this.#byName.get(session)?.status(now);
  }

  /** Of all datagrams that were not acted on, also those of no session. */
  drops(): BfdDropCounts {
    return Object.fromEntries(this.#drops);
  }

  #heardEcho(datagram: ArrivedBfd, now: Milliseconds, out: BfdHostEffect[]): void {
    const decoded = this.#echoes.decode(datagram.payload);
    if (decoded.kind === 'drop') {
      this.#drop(decoded, undefined);
      return;
    }
    const { discriminator, sequence, sent } = decoded;
    const member = this.#byDiscriminator.get(discriminator);
    if (!member) {
      this.#drop({ kind: 'drop', reason: 'no-session', found: `discriminator ${discriminator}` }, undefined);
    } else if (!isUnderWay(member.state, sequence)) {
      this.#drop({ kind: 'drop', reason: 'echo-sequence', found: `echo ${sequence}` }, member);
    } else {
      member.echoesHeard++;
      this.#step(member, { kind: 'echo', heard: { sequence, sent, at: datagram.at } }, now, out);
      this.#tell(member, datagram.at);
    }
  }

  #tell({ plan, state }: Member, at: Milliseconds): void {
    this.#taken?.(plan.name, at, state.remote.state, state.echoing?.silence ? state.echoing.interval : agreedRx(state));
  }

  #byWay({ port, source, destination, interface: device }: BfdDatagram): Member | undefined {
    const way = port === bfdPort.single
      ? { hops: 'single', peer: source, interface: device } as const
      : { hops: 'multi', peer: source, local: destination } as const;
    return this.#byPath.get(pathKey(way));
  }

  #drop({ reason }: BfdDrop, member: Member | undefined): void {
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + 1);
    member?.drops.set(reason, (member.drops.get(reason) ?? 0) + 1);
  }

  #begin(plan: BfdPlan, now: Milliseconds): Member {
    const discriminator = this.#draw(1, 2 ** 32 - 1, this.#byDiscriminator);
    const sourcePort = this.#draw(bfdSourcePorts.first, bfdSourcePorts.last, this.#ports);
    const member = new Member(plan, initialBfd(plan.settings, discriminator, now, this.#chance()), sourcePort, now);
    this.#byName.set(plan.name, member);
    this.#byDiscriminator.set(discriminator, member);
    this.#byPath.set(member.key, member);
    this.#ports.add(sourcePort);
    this.#deadlines.set(member.entry, deadlineOf(member.state));
    return member;
  }

  /** One that is free, from a random place on; where none is, any (RFC 5881 §4 has ports shared then). */
  #draw(first: number, last: number, taken: { has(value: number): boolean; readonly size: number }): number {
    const count = last - first + 1;
    let value = first + Math.floor(this.#chance() * count);
    for (let left = taken.size; left > 0 && taken.has(value); left--) value = value === last ? first : value + 1;
    return value;
  }

  #forget(member: Member, out: BfdHostEffect[]): void {
    const { name } = member.plan;
    this.#byName.delete(name);
    this.#byDiscriminator.delete(member.state.discriminator);
    this.#byPath.delete(member.key);
    this.#ports.delete(member.sourcePort);
    this.#deadlines.delete(member.entry);
    out.push({ session: name, do: 'gone' });
  }

  #step(member: Member, event: BfdEvent, now: Milliseconds, out: BfdHostEffect[]): void {
    const { state, effects } = stepBfd(member.state, event, now, this.#chance());
    member.state = state;
    this.#deadlines.set(member.entry, deadlineOf(state));
    for (const effect of effects) this.#carry(member, effect, now, out);
  }

  #carry(member: Member, effect: BfdEffect, now: Milliseconds, out: BfdHostEffect[]): void {
    const { plan, sourcePort, state } = member;
    const { name, authentication } = plan;
    switch (effect.do) {
      case 'send': {
        member.sent++;
        const signed = authentication && { by: authentication, sequence: effect.sequence, sha1: this.#sha1 };
        out.push({ session: name, do: 'send', plan, sourcePort, bytes: encodeBfd(effect.control, signed) });
        return;
      }
      case 'echo': {
        member.echoesSent++;
        const sent = ms(Math.round(effect.sent * 1000) / 1000);
        const bytes = this.#echoes.encode({ discriminator: state.discriminator, sequence: effect.sequence, sent });
        out.push({ session: name, do: 'echo', plan, bytes });
        return;
      }
      case 'gone': this.#forget(member, out); return;
      case 'transition':
        member.turned(effect, now);
        out.push({ session: name, ...effect });
        return;
      default: out.push({ session: name, ...effect });
    }
  }
}
