/** What the history and the metrics refuse. */
import { MonitorError } from './errors.ts';

/** A question that makes no sense. */
export class HistoryQueryInvalid extends MonitorError {
  constructor(what: string) {
    super('MONITOR_BAD_QUERY', `This is no question to the history: ${what}`);
  }
}

/** Nothing was ever measured by that name, or not for long. */
export class NoSuchSeries extends MonitorError {
  constructor(name: string, wellNamed: boolean, others: readonly string[]) {
    const known = others.length === 0 ? '' : `; there are ${others.slice(0, 8).join(', ')}${others.length > 8 ? ' …' : ''}`;
    const badlyNamed = `No series has a name like ${JSON.stringify(name)}${known || '; path/PEER/PATH/rtt is one'}`;
    super('MONITOR_NO_SERIES', wellNamed ? `Nothing was measured as ${name}${known}` : badlyNamed);
  }
}

/** The address for /metrics cannot be listened on. */
export class MetricsUnavailable extends MonitorError {
  constructor(address: string, port: number, cause: unknown) {
    const advice = 'give --metrics an address of this host and a port that is free';
    super('MONITOR_METRICS', `/metrics cannot be served on ${address} port ${port}: ${advice}`, { cause });
  }
}
