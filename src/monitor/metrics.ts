/**
 * What /metrics says of this host. Base units: seconds, bytes, shares 0..1. Labels name what there are only so many of: hosts, paths,
 * classes of the policy, links, NICs; never an address or a connection.
 */
import type { CounterReport, Traffic } from '../model/counters.ts';
import type { ClassFigures, PathReport, PathState } from '../model/path.ts';
import type { AlertReport } from '../model/watch-plan.ts';
import type { ProbeAnswer } from './keeping.ts';
import { LatencyHistogram, Metric, labelText } from './metrics-exposition.ts';

const counter = (name: string, help: string): Metric => new Metric('counter', `godwit_${name}_total`, help);
const gauge = (name: string, help: string): Metric => new Metric('gauge', `godwit_${name}`, help);

const states: readonly PathState[] = ['fit', 'unfit', 'down', 'unknown'];
/** Seconds: if more passed between two reports, a clock was set. */
const LONGEST = 10;

/** Of all series. */
export interface HistorySize {
  readonly bytes: number;
  readonly count: number;
}

/** Both ways of a link or NIC. */
interface TrafficMetrics {
  readonly counters: readonly (readonly [rate: keyof Traffic, metric: Metric])[];
}

function trafficMetrics(of: string, what: string): TrafficMetrics {
  const both = (rate: 'Bytes' | 'Packets' | 'Drops' | 'Errors'): (readonly [keyof Traffic, Metric])[] => [
    [`rx${rate}`, counter(`${of}_receive_${rate.toLowerCase()}`, `${rate} received by ${what}.`)],
    [`tx${rate}`, counter(`${of}_transmit_${rate.toLowerCase()}`, `${rate} sent by ${what}.`)],
  ];
  return { counters: (['Bytes', 'Packets', 'Drops', 'Errors'] as const).flatMap(both) };
}

export class Metrics {
  readonly #rtt = new LatencyHistogram('godwit_path_rtt_seconds', 'Round-trip times of the probes of a path.');
  readonly #path = {
    sent: counter('path_probes_sent', 'Probes whose fate is known.'),
    answered: counter('path_probes_answered', 'Probes that came back in time.'),
    lost: counter('path_probes_lost', 'Probes lost, by the direction in which they were.'),
    late: counter('path_probes_late', 'Probes that came back after they had been counted as lost.'),
    duplicates: counter('path_probes_duplicated', 'Probes that came back more than once.'),
    reordered: counter('path_probes_reordered', 'Probes overtaken, by direction.'),
    jitter: gauge('path_jitter_seconds', 'Mean variation of successive round-trip times in the last second (RFC 3393).'),
    oneWay: gauge('path_one_way_delay_seconds', 'Mean delay in one direction, where both clocks are set from outside.'),
    rewritten: gauge('path_dscp_rewritten', '1 where the DSCP is another one at the other end or on return.'),
    loss: gauge('path_loss_ratio', 'Exponential average of the share of probes lost.'),
    state: gauge('path_state', '1 for the state that the path is in.'),
    mtu: gauge('path_mtu_bytes', 'The largest IP packet that came back lately.'),
    blackHole: gauge('path_mtu_black_hole', '1 where larger packets vanish without a word.'),
  };
  readonly #link = trafficMetrics('link', 'a link');
  readonly #nic = trafficMetrics('nic', 'a VM\'s NIC, as the guest sees it');
  readonly #capacity = gauge('link_capacity_bytes_per_second', 'What a link can carry.');
  readonly #utilization = gauge('link_utilization_ratio', 'Of its capacity, the busier direction, in the last second.');
  readonly #queue = {
    bytes: counter('queue_transmit_bytes', 'Bytes that left a queueing discipline or class.'),
    packets: counter('queue_transmit_packets', 'Packets that left a queueing discipline or class.'),
    drops: counter('queue_drops', 'Packets that it dropped.'),
    backlog: gauge('queue_backlog_bytes', 'Bytes that wait in it.'),
  };
  readonly #tcp = {
    connections: gauge('tcp_connections', 'Connections of moves, to and from the server, and between agents.'),
    rtt: gauge('tcp_rtt_seconds', 'The longest smoothed round-trip time of them.'),
    sent: counter('tcp_segments_sent', 'Segments with data that they sent.'),
    retransmitted: counter('tcp_segments_retransmitted', 'Segments that they sent again.'),
  };
  readonly #host = {
    softirq: gauge('host_softirq_ratio', 'Share of all processors\' time in software interrupts, in the last second.'),
    backlogDrops: counter('host_backlog_drops', 'Packets dropped since the backlog of a processor was full.'),
    squeezed: counter('host_squeezed', 'How often a processor stopped with packets left.'),
    lateness: gauge('monitor_lateness_seconds', 'The monitor\'s own worst in the last second.'),
    cpu: counter('monitor_cpu_seconds', 'Processor time that the monitor took.'),
    historyBytes: gauge('history_bytes', 'Of all series in memory, and of their files.'),
    historySeries: gauge('history_series', 'Series that are kept.'),
  };
  readonly #alert = gauge('alert_on', '1 while an alert is on, 0 when it just went off.');
  readonly #build = gauge('build_info', 'Version of this program and of Node.');
  readonly #buildLabels: string;
  #lastAt: number | undefined;

  constructor(version: string, node = process.version) {
    this.#buildLabels = labelText({ version, node });
  }

  answered({ peer, path, dscp, rtt, at }: ProbeAnswer): void {
    this.#rtt.observe(`${peer}/${path}/${dscp}`, () => ({ peer, path, dscp }), rtt, at);
  }

  /** Once a second. @param now ms since the epoch, as in `text` */
  second(paths: readonly PathReport[], counters: CounterReport, alerts: readonly AlertReport[], history: HistorySize, now: number): void {
    const passed = this.#lastAt === undefined ? 1 : (counters.at - this.#lastAt) / 1000;
    this.#lastAt = counters.at;
    const elapsed = passed > 0 && passed <= LONGEST ? passed : 1;
    for (const report of paths) this.#ofPath(report, now);
    this.#ofLinks(counters, elapsed, now);
    for (const nic of counters.nics) addTraffic(this.#nic, labelText({ vm: nic.vm, nic: nic.nic }), nic, elapsed, now);
    this.#ofTcp(counters, elapsed, now);
    const { softirq, backlogDrops, squeezed, lateness, cost } = counters.host;
    this.#host.softirq.set('', softirq, now);
    this.#host.backlogDrops.add('', backlogDrops * elapsed, now);
    this.#host.squeezed.add('', squeezed * elapsed, now);
    this.#host.lateness.set('', lateness / 1000, now);
    this.#host.cpu.add('', cost * elapsed, now);
    this.#host.historyBytes.set('', history.bytes, now);
    this.#host.historySeries.set('', history.count, now);
    for (const { alert, on, severity, state } of alerts) this.#alert.set(labelText({ alert, on, severity }), state === 'on' ? 1 : 0, now);
  }

  /** All of it in the exposition format. */
  text(now: number): string {
    this.#build.set(this.#buildLabels, 1, now);
    const families = [
      this.#build, this.#rtt, ...Object.values(this.#path),
      ...[this.#link, this.#nic].flatMap(({ counters }) => counters.map(([, metric]) => metric)),
      this.#capacity, this.#utilization, ...Object.values(this.#queue), ...Object.values(this.#tcp), ...Object.values(this.#host),
      this.#alert,
    ];
    return `${families.flatMap((family) => family.lines(now)).join('\n')}\n`;
  }

  #ofPath({ peer, path, classes, mtu, quality }: PathReport, now: number): void {
    const { loss, state, mtu: largest, blackHole } = this.#path;
    const labels = labelText({ peer, path });
    for (const figures of classes) this.#ofClass({ peer, path }, figures, now);
    if (quality.state !== 'unknown') loss.set(labels, quality.loss, now);
    for (const each of states) state.set(labelText({ peer, path, state: each }), each === quality.state ? 1 : 0, now);
    if (mtu.passes !== undefined) largest.set(labels, mtu.passes, now);
    blackHole.set(labels, mtu.blackHole ? 1 : 0, now);
  }

  #ofClass(of: { readonly peer: string; readonly path: string }, figures: ClassFigures, now: number): void {
    const { dscp, sent, answered, lost, late, duplicates, reordered, rtt, oneWay, marking } = figures;
    const metrics = this.#path;
    const labels = labelText({ ...of, dscp });
    const direction = (direction: string): string => labelText({ ...of, dscp, direction });
    metrics.sent.add(labels, sent, now);
    metrics.answered.add(labels, answered, now);
    for (const way of ['forward', 'backward', 'unknown'] as const) metrics.lost.add(direction(way), lost[way], now);
    metrics.late.add(labels, late, now);
    metrics.duplicates.add(labels, duplicates, now);
    for (const way of ['forward', 'backward'] as const) {
      metrics.reordered.add(direction(way), reordered[way], now);
      if (oneWay) metrics.oneWay.set(direction(way), oneWay[way] / 1000, now);
    }
    if (rtt) metrics.jitter.set(labels, rtt.jitter / 1000, now);
    if (marking) metrics.rewritten.set(labels, marking.atReflector === dscp && marking.returned === dscp ? 0 : 1, now);
  }

  #ofLinks({ links }: CounterReport, elapsed: number, now: number): void {
    for (const link of links) {
      const labels = labelText({ link: link.name });
      addTraffic(this.#link, labels, link, elapsed, now);
      if (link.capacity !== undefined) this.#capacity.set(labels, link.capacity, now);
      if (link.utilization !== undefined) this.#utilization.set(labels, link.utilization, now);
      for (const queue of link.queues) {
        const labels = labelText({ link: link.name, class: queue.class });
        this.#queue.bytes.add(labels, queue.bytes * elapsed, now);
        this.#queue.packets.add(labels, queue.packets * elapsed, now);
        this.#queue.drops.add(labels, queue.drops * elapsed, now);
        this.#queue.backlog.set(labels, queue.backlog, now);
      }
    }
  }

  #ofTcp({ tcp }: CounterReport, elapsed: number, now: number): void {
    for (const [what, connections] of Map.groupBy(tcp, (connection) => connection.what)) {
      const labels = labelText({ what });
      const sum = (rate: 'sent' | 'retransmitted'): number =>
        connections.reduce((total, connection) => total + connection[rate], 0) * elapsed;
      this.#tcp.connections.set(labels, connections.length, now);
      this.#tcp.rtt.set(labels, Math.max(...connections.map(({ rtt }) => rtt)) / 1000, now);
      this.#tcp.sent.add(labels, sum('sent'), now);
      this.#tcp.retransmitted.add(labels, sum('retransmitted'), now);
    }
  }
}

function addTraffic({ counters }: TrafficMetrics, labels: string, rates: Traffic, elapsed: number, now: number): void {
  for (const [rate, metric] of counters) metric.add(labels, rates[rate] * elapsed, now);
}
