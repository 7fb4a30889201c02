/** A declared BFD session as fields and sections, for `describe`: what was declared, how each host is, and why. */
import type { ResourceOf } from '../api/api.ts';
import { type BfdDown, bfdDefaults } from '../model/bfd-session.ts';
import { parseDuration } from '../model/quantity.ts';
import { type BfdDiagnostic, bfdDiagnostics } from '../wire/bfd.ts';
import { formatAge } from './age.ts';
import { type ShownBfdStatus, bfdState, bfdTerms } from './bfd-state.ts';
import { byReason } from './router-description.ts';
import { type Section, ago, fields, labels, tableOrNone } from './section.ts';
import { left, right } from './table.ts';
import { count, formatFine, formatMs } from './text.ts';

type Session = ResourceOf['BfdSession'];

/** With the RFC's words: `detection-expired (Control Detection Time Expired)`. */
export const diagnosticText = (diagnostic: BfdDiagnostic): string => (diagnostic === 'none' ? 'none'
  : `${diagnostic} (${bfdDiagnostics[diagnostic]})`);

export function bfdSections(session: Session, now: number): Section[] {
  const { spec, status } = session;
  const { word, text, since } = bfdState(session);
  const { hops = bfdDefaults.hops, authentication } = spec;
  const hosts = Object.keys({ ...spec.hosts, ...status?.hosts });
  const over = (host: string): string => spec.hosts[host]?.interface ?? spec.interface ?? spec.hosts[host]?.local ?? '-';
  return [
    {
      lines: fields([
        ['Name', session.name], ['Labels', labels(session)], ['State', `${word}: ${text}`], ['Since', ago(since, now)], ['Peer', spec.peer],
        ['Way', hops === 1 ? 'one hop (RFC 5881)' : `${hops} hops at most (RFC 5883)`], ['Sends', `every ${bfdTerms(session)} missing`],
        ['Is sent', spec.receive && `every ${formatMs(parseDuration(spec.receive))} at most`],
        ['Echo', echoText(session)],
        ['Signed', authentication
          && `${authentication.type}, sent with key ${authentication.keys[0]?.id ?? '?'}, takes `
            + authentication.keys.map(({ id }) => id).join(', ')],
      ]),
    },
    {
      title: 'Hosts',
      lines: tableOrNone(
        [left('HOST'), left('BY'), left('STATE'), left('SINCE'), right('SENDS'), right('IS-SENT'), right('DOWN-AFTER'), left('DIAGNOSTIC')],
        hosts.map((name) => row(name, over(name), status?.hosts[name], now)),
      ),
    },
    ...Object.entries(status?.hosts ?? {}).map(([name,
      s]) => ({ title: `Host ${name}${s.state === 'unknown' ? ', as it was when last heard' : ''}`, lines: host(s, now) })),
  ];
}

function echoText({ spec: { echo, echoReceive = bfdDefaults.echoReceive } }: Session): string {
  const takes = parseDuration(echoReceive);
  return `${echo === undefined ? 'sends none' : `sends every ${formatMs(parseDuration(echo))}`}, `
    + (takes === 0 ? 'takes none' : `loops back every ${formatMs(takes)} at most`);
}

function row(name: string, by: string, s: ShownBfdStatus | undefined, now: number): (string | number)[] {
  if (!s) return [name, by, 'untold', '-', '-', '-', '-', '-'];
  return [name, by, s.state, formatAge(now - s.since), formatMs(s.send), formatMs(s.receive), formatMs(s.detectionTime), s.diagnostic];
}

function host(s: ShownBfdStatus, now: number): string[] {
  const { counters, remote, echo, lastDown } = s;
  const unsent = byReason(counters.unsent, 'could not be sent');
  return fields([
    ['State', s.state], ['Since', ago(s.since, now)], ['Why', s.reason], ['Diagnostic', diagnosticText(s.diagnostic)],
    ['Peer says', remote ? `${remote.state}, diagnostic ${diagnosticText(remote.diagnostic)}` : 'nothing yet'],
    ['Names', `${hex(s.discriminator)} here, ${remote ? hex(remote.discriminator) : '?'} there`],
    ['Packets',
      `${counters.sent} sent${unsent === undefined ? '' : `, ${unsent}`}, ${counters.heard} heard, `
        + (byReason(counters.dropped, 'dropped') ?? 'none dropped')],
    ['Echo', echo
      && `${echo.active ? `every ${formatMs(echo.interval)}` : 'not now'}, ${counters.echoesSent} sent, ${counters.echoesHeard} came `
        + `back${echo.roundTrip === undefined ? '' : ` after ${formatFine(echo.roundTrip)}`}`],
    ['Was', `up ${count(counters.ups, 'time')}, down ${count(counters.downs, 'time')} since its pulse was started`],
    ['Last down', lastDown && `${ago(lastDown.at, now) ?? ''}: ${downText(lastDown)}`],
  ]);
}

const hex = (discriminator: number): string => `0x${discriminator.toString(16).padStart(8, '0')}`;

/** `Detection time expired (RFC 5880 §6.8.4); nothing came for 301.2 ms of 300.0 ms, 3 packets missed; …`. */
export function downText({ rule, silence, detectionTime, missed, ownLateness }: BfdDown): string {
  const of = detectionTime === undefined ? '' : ` of ${formatMs(detectionTime)}`;
  const gone = missed === undefined ? '' : `, ${count(missed, 'packet')} missed`;
  return [
    rule, silence === undefined ? undefined : `nothing came for ${formatMs(silence)}${of}${gone}`,
    ownLateness === undefined ? undefined : `this host was ${formatFine(ownLateness)} late at worst`,
  ].filter((part) => part !== undefined).join('; ');
}
