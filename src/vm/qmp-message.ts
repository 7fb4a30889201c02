/** What QEMU sends, told apart and checked (QEMU: docs/interop/qmp-spec.rst). */
import { QmpProtocolError } from './qmp-errors.ts';

export interface QemuVersion {
  readonly major: number;
  readonly minor: number;
  readonly micro: number;
}

export type QmpMessage =
  | { readonly kind: 'greeting'; readonly version: QemuVersion; readonly capabilities: readonly string[] }
  | { readonly kind: 'return'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly class: string; readonly desc: string }
  | { readonly kind: 'event'; readonly name: string; readonly data: object; readonly at: number };

/** Throws QmpProtocolError for anything that is not one of the four. */
export function readQmpMessage(message: unknown): QmpMessage {
  const fields = object(message);
  if (fields !== undefined) {
    if ('QMP' in fields) return greeting(fields);
    if ('event' in fields) return event(fields);
    if (typeof fields['id'] === 'number' && 'return' in fields) return { kind: 'return', id: fields['id'], value: fields['return'] };
    if ('error' in fields) return refusal(fields);
  }
  throw unknown(message);
}

function greeting(fields: Fields): QmpMessage {
  const qmp = object(fields['QMP']);
  const version = object(object(qmp?.['version'])?.['qemu']);
  const [major, minor, micro] = [version?.['major'], version?.['minor'], version?.['micro']];
  const capabilities = qmp?.['capabilities'];
  if (typeof major !== 'number' || typeof minor !== 'number' || typeof micro !== 'number' || !Array.isArray(capabilities)) {
    throw unknown(fields);
  }
  return { kind: 'greeting', version: { major, minor, micro }, capabilities: capabilities.filter((c) => typeof c === 'string') };
}

function event(fields: Fields): QmpMessage {
  const timestamp = object(fields['timestamp']);
  const [seconds, microseconds] = [timestamp?.['seconds'], timestamp?.['microseconds']];
  const data = fields['data'] === undefined ? {} : object(fields['data']);
  if (typeof fields['event'] !== 'string' || typeof seconds !== 'number' || typeof microseconds !== 'number' || data === undefined) {
    throw unknown(fields);
  }
  return { kind: 'event', name: fields['event'], data, at: seconds * 1000 + microseconds / 1000 };
}

function refusal(fields: Fields): QmpMessage {
  const error = object(fields['error']);
  const [errorClass, desc] = [error?.['class'], error?.['desc']];
  if (typeof errorClass !== 'string' || typeof desc !== 'string') throw unknown(fields);
  // Without an id QEMU could not even read what it was sent.
  if (typeof fields['id'] !== 'number') throw new QmpProtocolError(`QEMU did not understand what it was sent: ${desc} (${errorClass})`);
  return { kind: 'error', id: fields['id'], class: errorClass, desc };
}

type Fields = Readonly<Record<string, unknown>>;

function object(value: unknown): Fields | undefined {
  // An object with unknown members: exactly what was checked.
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

function unknown(message: unknown): QmpProtocolError {
  const text = JSON.stringify(message, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value));
  return new QmpProtocolError(`Not a QMP message: ${text?.slice(0, 200)}`);
}
