/** What can go wrong with the store, typed. */
import { GodwitError } from '../base/error.ts';

export class StoreError extends GodwitError {}

export const compacted = (from: number, oldest: number): StoreError => new StoreError('STORE_COMPACTED',
  `The changes from revision ${from} on are not all kept any more (the oldest is ${oldest}): list anew and watch from there`);
export const leaseGone = (lease: string): StoreError => new StoreError('STORE_LEASE_GONE', `Lease ${lease} has ended, or never was`);
export const closedStore = (): StoreError => new StoreError('STORE_CLOSED', 'The store has been closed');
export const misuse = (what: string): StoreError => new StoreError('STORE_MISUSE',
  `The store was asked for what can never be right, a bug: ${what}`);

export const lockedStore = (path: string, cause: unknown): StoreError => new StoreError('STORE_LOCKED',
  `The store ${path} is open in another process: is a second server running? (fuser ${path})`, { cause });
export const newerStore = (path: string, found: number, known: number): StoreError => new StoreError('STORE_NEWER',
  `The store ${path} was written by a newer Godwit (format ${found}, this one knows up to ${known}): install that version again`);
export const corruptStore = (path: string, what: string, cause?: unknown): StoreError => new StoreError('STORE_CORRUPT',
  `The store ${path} is damaged (${what}). Stop the server, keep a copy of ${path} and ${path}-wal, then restore a backup`, { cause });
export const fullStore = (path: string, cause: unknown): StoreError => new StoreError('STORE_FULL',
  `The disk of the store ${path} is full. Nothing was changed; make room, then try again`, { cause });
export const unavailableStore = (path: string, cause: unknown): StoreError => new StoreError('STORE_UNAVAILABLE',
  `The store ${path} cannot be read or written: see to the disk and the rights to it, then restart the server`, { cause });
