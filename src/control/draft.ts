/**
 * A change of the cluster in the making: reads see what has been written in it, nothing else does until it is stored whole. What
 * is decided in one is decided from one state of the store.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Transaction } from '../store/store.ts';
import { type Row, type Table, type Tables, keyOf } from './records.ts';

/** A state of the store, parsed. */
export interface View {
  /** The state this is. */
  readonly revision: number;
  get<T extends Table>(table: T, name: string): Tables[T] | undefined;
  /** In the order of their making. */
  rows<T extends Table>(table: T): readonly Row<Tables[T]>[];
}

interface Written {
  readonly table: Table;
  readonly name: string;
  /** Undefined: deleted. */
  readonly record: Tables[Table] | undefined;
}

export interface Source extends View {
  row<T extends Table>(table: T, name: string): Row<Tables[T]> | undefined;
}

export class Draft implements View {
  readonly #base: Source;
  readonly #written = new Map<string, Written>();
  #numbered = 0;
  /** Forgotten at each write. */
  readonly #rows = new Map<Table, readonly Row<Tables[Table]>[]>();

  constructor(base: Source) {
    this.#base = base;
  }

  get revision(): number {
    return this.#base.revision;
  }

  /** 0, 1, 2 …: another at each call. */
  number(): number {
    return this.#numbered++;
  }

  get changed(): boolean {
    return this.#written.size > 0;
  }

  get<T extends Table>(table: T, name: string): Tables[T] | undefined {
    const written = this.#written.get(keyOf(table, name));
    // `put` let only a record of this table in under this key.
    return written ? (written.record as Tables[T] | undefined) : this.#base.get(table, name);
  }

  rows<T extends Table>(table: T): readonly Row<Tables[T]>[] {
    const mine = [...this.#written.values()].filter((w) => w.table === table);
    if (mine.length === 0) return this.#base.rows(table);
    // As in `get`: the rows kept under a table's name are of that table.
    const kept = this.#rows.get(table) as readonly Row<Tables[T]>[] | undefined;
    if (kept) return kept;
    const rows = this.#base.rows(table).flatMap((row) => {
      const record = this.get(table, row.name);
      return record === undefined ? [] : [record === row.record ? row : { ...row, record }];
    });
    for (const { name } of mine) {
      const record = this.get(table, name);
      const before = this.#base.row(table, name);
      if (record !== undefined && !before) rows.push({ name, record, revision: this.revision + 1, created: this.revision + 1 });
    }
    this.#rows.set(table, rows);
    return rows;
  }

  /** What it writes into this table, deletions left out. */
  written<T extends Table>(table: T): readonly Tables[T][] {
    // As in `get`.
    return [...this.#written.values()].flatMap((w) => (w.table === table && w.record ? [w.record as Tables[T]] : []));
  }

  /** Writing what is there already is no change. */
  put<T extends Table>(table: T, name: string, record: Tables[T]): void {
    if (isDeepStrictEqual(this.#base.get(table, name), record)) this.#unwrite(table, name);
    else this.#write(table, name, record);
  }

  delete(table: Table, name: string): void {
    if (this.#base.row(table, name)) this.#write(table, name, undefined);
    else this.#unwrite(table, name);
  }

  #write(table: Table, name: string, record: Tables[Table] | undefined): void {
    this.#written.set(keyOf(table, name), { table, name, record });
    this.#rows.delete(table);
  }

  #unwrite(table: Table, name: string): void {
    this.#written.delete(keyOf(table, name));
    this.#rows.delete(table);
  }

  /** Holds only while each record it writes is still as it was read. */
  transaction(): Transaction {
    const written = [...this.#written.entries()];
    return {
      compare: written.map(([key, { table, name }]) => ({ key, modRevision: this.#base.row(table, name)?.revision ?? 0 })),
      operations: written.map(([key, { record }]) => (record === undefined ? { delete: key } : { put: key, value: JSON.stringify(record) })),
    };
  }
}
