/** Server-sent events as the HTML standard has them (§9.2.6), text to events and back. A byte order mark and `retry` are not used. */
import { GodwitError } from '../base/error.ts';

export interface ServerSentEvent {
  /** `message` where none was named. */
  readonly event: string;
  readonly data: string;
  /** The last id seen on the stream, this event's or an earlier one's. */
  readonly id: string | undefined;
}

/** An event that does not end: whoever sends it is no Godwit server. */
export class SseOverflow extends GodwitError {
  constructor(limit: number) {
    super('API_PROTOCOL', `An event of more than ${limit} characters came from the server: is it a Godwit server's address?`);
  }
}

/** Of one stream: `push` takes text as it comes, cut anywhere, and gives the events that are whole. */
export class SseParser {
  readonly #limit: number;
  #rest = '';
  #size = 0;
  #data: string[] = [];
  #event = '';
  #id: string | undefined;

  /** `limit`: characters of one event at most. */
  constructor(limit = 64 * 1024 * 1024) {
    this.#limit = limit;
  }

  /** Throws SseOverflow. */
  push(text: string): ServerSentEvent[] {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    const events: ServerSentEvent[] = [];
    for (const line of lines) {
      this.#size += line.length;
      this.#check(this.#size);
      if (line === '') this.#dispatch(events);
      else this.#field(line);
    }
    this.#check(this.#size + this.#rest.length);
    return events;
  }

  #check(size: number): void {
    if (size > this.#limit) throw new SseOverflow(this.#limit);
  }

  #field(line: string): void {
    const colon = line.indexOf(':');
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (name === 'data') this.#data.push(value);
    else if (name === 'event') this.#event = value;
    else if (name === 'id' && !value.includes('\0')) this.#id = value;
  }

  #dispatch(events: ServerSentEvent[]): void {
    if (this.#data.length > 0) {
      events.push({ event: this.#event === '' ? 'message' : this.#event, data: this.#data.join('\n'), id: this.#id });
    }
    this.#data = [];
    this.#event = '';
    this.#size = 0;
  }
}

/** `data` is one line (JSON is). */
export const formatSse = (event: string, data: string, id?: string): string =>
  `event: ${event}\n${id === undefined ? '' : `id: ${id}\n`}data: ${data}\n\n`;

/** Keeps a quiet connection known to be alive. */
export const SSE_COMMENT = ': still here\n\n';
