/** The file of a SqliteStore: its format, reading all of it, and keeping one group of transactions durably. */
import { closeSync, constants, existsSync, fdatasyncSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import { ms } from '../base/units.ts';
import type { Keeper } from './embedded-store.ts';
import type { Draft, State } from './state.ts';
import { StoreError, corruptStore, fullStore, lockedStore, newerStore, unavailableStore } from './store-errors.ts';
import type { Change, Entry } from './store.ts';

/** Raised with every change of the tables. */
const FORMAT = 1;
/** 'GDWT': tells the file from other programs' databases (PRAGMA application_id). */
const APPLICATION = 0x47445754;

const TABLES = `
  CREATE TABLE counter (revision INTEGER NOT NULL, grants INTEGER NOT NULL) STRICT;
  INSERT INTO counter VALUES (0, 0);
  CREATE TABLE entry (key TEXT PRIMARY KEY, value TEXT NOT NULL, modified INTEGER NOT NULL, created INTEGER NOT NULL, lease TEXT) STRICT;
  CREATE TABLE lease (id TEXT PRIMARY KEY, ttl REAL NOT NULL) STRICT;
  CREATE TABLE history (modified INTEGER NOT NULL, position INTEGER NOT NULL, key TEXT NOT NULL, value TEXT, created INTEGER, lease TEXT,
    PRIMARY KEY (modified, position)) STRICT;
  PRAGMA application_id = ${APPLICATION};
  PRAGMA user_version = ${FORMAT};
`;

type Row = Record<string, SQLOutputValue>;

export class SqliteFile implements Keeper {
  readonly #path: string;
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #broken: StoreError | undefined;
  #historyLimit = 0;

  /** Throws StoreError. */
  constructor(path: string) {
    this.#path = path;
    try {
      makeFile(path);
      this.#db = new DatabaseSync(path);
    } catch (error) {
      throw this.#failure(error);
    }
    try {
      this.#prepare();
    } catch (error) {
      this.close();
      throw this.#failure(error);
    }
  }

  /** Fills an empty state with all that is kept. Throws StoreError. */
  load(state: State): void {
    this.#historyLimit = state.historyLimit;
    try {
      const damage = text(this.#row('PRAGMA quick_check(1)'), 'quick_check');
      if (damage !== 'ok') throw corruptStore(this.#path, damage);
      const counter = this.#row('SELECT revision, grants FROM counter');
      state.revision = number(counter, 'revision');
      state.grants = number(counter, 'grants');
      for (const row of this.#rows('SELECT * FROM entry')) state.entries.set(text(row, 'key'), entryOf(row));
      for (const row of this.#rows('SELECT * FROM lease')) state.leases.set(text(row, 'id'), ms(number(row, 'ttl')));
      this.#loadHistory(state);
    } catch (error) {
      throw this.#failure(error);
    }
  }

  commit(draft: Draft): void {
    if (this.#broken) throw this.#broken;
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      this.#write(draft);
      this.#db.exec('COMMIT');
    } catch (error) {
      const failure = this.#failure(error);
      // A full disk refused a write before the commit's own record: it is not there. After anything else nobody knows.
      if (failure.code !== 'STORE_FULL' || !this.#rollBack()) this.#broken = failure;
      throw failure;
    }
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close();
  }

  #prepare(): void {
    // Set before the log is first used, this keeps every other process out and the log's index in memory.
    this.#db.exec('PRAGMA locking_mode = EXCLUSIVE');
    const application = this.#pragma('application_id');
    const format = this.#pragma('user_version');
    const fresh = application === 0 && format === 0 && number(this.#row('SELECT count(*) AS n FROM sqlite_schema'), 'n') === 0;
    if (!fresh && application !== APPLICATION) throw corruptStore(this.#path, 'not a store of Godwit');
    if (format > FORMAT) throw newerStore(this.#path, format, FORMAT);
    const mode = this.#row('PRAGMA journal_mode = WAL')['journal_mode'];
    if (mode !== 'wal') throw unavailableStore(this.#path, `its file system allows no write-ahead log, only '${String(mode)}'`);
    this.#db.exec('PRAGMA synchronous = FULL');
    if (fresh) this.#db.exec(`BEGIN IMMEDIATE; ${TABLES} COMMIT`);
    // A commit whose writer was killed between its write and its sync is there to be read, and may yet be lost: it is acted on only
    // when it is on the disk. The directory: the names of both files.
    if (existsSync(`${this.#path}-wal`)) sync(`${this.#path}-wal`, constants.O_RDWR);
    sync(dirname(this.#path), constants.O_RDONLY);
  }

  #loadHistory(state: State): void {
    let changes: Change[] = [];
    const rows = this.#rows('SELECT * FROM history WHERE modified > ? ORDER BY modified, position', state.revision - state.historyLimit);
    for (const row of rows) {
      const revision = number(row, 'modified');
      if (number(row, 'position') === 0) state.history.push({ revision, changes: (changes = []) });
      const key = text(row, 'key');
      changes.push(row['value'] === null ? { kind: 'delete', key, revision } : { kind: 'put', entry: entryOf(row) });
    }
    const gap = state.history.find((batch, index) => batch.revision !== state.oldest + index);
    if (gap) throw corruptStore(this.#path, `its history has a gap before revision ${gap.revision}`);
  }

  #write(draft: Draft): void {
    this.#run('UPDATE counter SET revision = ?, grants = ?', draft.revision, draft.grants);
    for (const [key, entry] of draft.entries) {
      if (!entry) this.#run('DELETE FROM entry WHERE key = ?', key);
      else {
        const { value, modRevision, createRevision, lease = null } = entry;
        this.#run('INSERT OR REPLACE INTO entry (key, value, modified, created, lease) VALUES (?, ?, ?, ?, ?)',
          key, value, modRevision, createRevision, lease);
      }
    }
    for (const [lease, ttl] of draft.granted) this.#run('INSERT INTO lease (id, ttl) VALUES (?, ?)', lease, ttl);
    for (const lease of draft.ended) this.#run('DELETE FROM lease WHERE id = ?', lease);
    for (const { revision, changes } of draft.batches) {
      for (const [position, change] of changes.entries()) {
        const entry = change.kind === 'put' ? change.entry : undefined;
        const key = change.kind === 'put' ? change.entry.key : change.key;
        this.#run('INSERT INTO history (modified, position, key, value, created, lease) VALUES (?, ?, ?, ?, ?, ?)',
          revision, position, key, entry?.value ?? null, entry?.createRevision ?? null, entry?.lease ?? null);
      }
    }
    this.#run('DELETE FROM history WHERE modified <= ?', draft.revision - this.#historyLimit);
  }

  /** Whether it worked. */
  #rollBack(): boolean {
    try {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      return true;
    } catch {
      return false;
    }
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known) return known;
    const made = this.#db.prepare(sql);
    this.#statements.set(sql, made);
    return made;
  }

  #run(sql: string, ...values: (string | number | null)[]): void {
    this.#statement(sql).run(...values);
  }

  #rows(sql: string, ...values: number[]): NodeJS.Iterator<Row> {
    return this.#db.prepare(sql).iterate(...values);
  }

  #row(sql: string): Row {
    const row = this.#db.prepare(sql).get();
    if (!row) throw corruptStore(this.#path, `nothing answers ${sql}`);
    return row;
  }

  #pragma(name: string): number {
    return number(this.#row(`PRAGMA ${name}`), name);
  }

  /** By SQLite's primary result code (sqlite.org/rescode.html). */
  #failure(error: unknown): StoreError {
    if (error instanceof StoreError) return error;
    const code = error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode & 0xff : undefined;
    switch (code) {
      case 5: // SQLITE_BUSY
        return lockedStore(this.#path, error);
      case 13: // SQLITE_FULL
        return fullStore(this.#path, error);
      case 11: // SQLITE_CORRUPT
        return corruptStore(this.#path, 'see the cause', error);
      case 26: // SQLITE_NOTADB
        return corruptStore(this.#path, 'not a database', error);
      default:
        return unavailableStore(this.#path, error);
    }
  }
}

/**
 * For root's eyes only. A file that exists is not touched: closing any descriptor of it would drop the locks that this process may
 * hold on it (fcntl(2), POSIX locks).
 */
function makeFile(path: string): void {
  if (!existsSync(path)) closeSync(openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_RDWR, 0o600));
}

function sync(path: string, flags: number): void {
  const fd = openSync(path, flags);
  try {
    fdatasyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function entryOf(row: Row): Entry {
  const [key, value] = [text(row, 'key'), text(row, 'value')];
  const entry = { key, value, modRevision: number(row, 'modified'), createRevision: number(row, 'created') };
  return row['lease'] === null ? entry : { ...entry, lease: text(row, 'lease') };
}

// The tables are STRICT: these hold for every file that passed its check.
function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw new TypeError(`${column} is not text`);
  return value;
}

function number(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== 'number') throw new TypeError(`${column} is not a number`);
  return value;
}
