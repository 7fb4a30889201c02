/** `--watch`: what there is, then a row or a document for every change, until Ctrl-C. */
import type { AnyResource, Api, ResourceOf, WatchEvent } from '../api/api.ts';
import type { Kind } from '../model/resource.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { type Io, print } from './io.ts';
import { reference } from './kinds.ts';
import { type OutputFormat, toYaml } from './output-format.ts';
import { type ResourceTable, resourceTable, sorted } from './resource-table.ts';
import { columnWidths, formatTable } from './table.ts';

export interface WatchOptions {
  readonly format: OutputFormat;
  readonly labels: Readonly<Record<string, string>>;
  readonly name?: string | undefined;
  readonly only?: (resource: AnyResource) => boolean;
  /** Of what there is at the beginning, the newest so many. */
  readonly last?: number;
}

export async function watchResources(api: Api, io: Io, kind: Kind, options: WatchOptions): Promise<ExitCode> {
  const leave = new AbortController();
  const off = io.onInterrupt(() => leave.abort());
  try {
    await follow(api, io, kind, options, leave.signal);
  } catch (error) {
    if (!leave.signal.aborted) throw error;
  } finally {
    off();
  }
  return exitCodes.fine;
}

async function follow(api: Api, io: Io, kind: Kind, options: WatchOptions, signal: AbortSignal): Promise<void> {
  const printer = printerFor(io, kind, options.format);
  /** Names shown and not yet said to be gone: what never matched the selector is not said to be gone either. */
  const shown = new Set<string>();
  const first = new Map<string, AnyResource>();
  let synced = false;
  for await (const event of api.watch(kind, signal)) {
    const change = chosen(event, options, shown);
    if (event.kind === 'synced') {
      // A watch that was resumed may say it again.
      if (!synced) await printer.first(sorted([...first.values()]).slice(Math.max(0, first.size - (options.last ?? first.size))));
      synced = true;
    } else if (change?.kind === 'put') {
      shown.add(change.resource.name);
      if (synced) await printer.put(change.resource);
      else first.set(change.resource.name, change.resource);
    } else if (change?.kind === 'delete') {
      shown.delete(change.name);
      if (synced) printer.gone(change.name);
      else first.delete(change.name);
    }
  }
}

type Change<K extends Kind> =
  | { readonly kind: 'put'; readonly resource: ResourceOf[K] }
  | { readonly kind: 'delete'; readonly name: string };

/** What has lost its label is gone for who asked for that label. */
function chosen<K extends Kind>(event: WatchEvent<K>, { labels, name, only }: WatchOptions,
  shown: ReadonlySet<string>): Change<K> | undefined {
  if (event.kind === 'synced') return undefined;
  if (event.kind === 'delete') return shown.has(event.name) ? event : undefined;
  const { resource } = event;
  const fits = (name === undefined || resource.name === name) && (only?.(resource) ?? true)
    && Object.entries(labels).every(([k, v]) => resource.labels?.[k] === v);
  if (fits) return event;
  return shown.has(resource.name) ? { kind: 'delete', name: resource.name } : undefined;
}

interface Printer<R> {
  first(resources: readonly R[]): Promise<void>;
  put(resource: R): Promise<void>;
  gone(name: string): void;
}

function printerFor<K extends Kind>(io: Io, kind: K, format: OutputFormat): Printer<ResourceOf[K]> {
  switch (format) {
    // One object per line, for programs that read line by line.
    case 'json': {
      const put = async (resource: ResourceOf[K]): Promise<void> => print(io, JSON.stringify({ change: 'put', resource }));
      return {
        put,
        first: async (resources) => resources.forEach((resource) => print(io, JSON.stringify({ change: 'put', resource }))),
        gone: (name) => print(io, JSON.stringify({ change: 'delete', kind, name })),
      };
    }
    case 'yaml': {
      const put = async (resource: ResourceOf[K]): Promise<void> => void io.out.write(`---\n${await toYaml([resource])}`);
      return {
        put,
        first: async (resources) => { for (const resource of resources) await put(resource); },
        gone: (name) => print(io, `---\n# deleted: ${reference(kind, name)}`),
      };
    }
    default:
      return new TablePrinter(io, kind, resourceTable(kind, format === 'wide'));
  }
}

/** Columns only ever get wider: rows that are printed cannot be drawn anew. */
class TablePrinter<K extends Kind> implements Printer<ResourceOf[K]> {
  readonly #io: Io;
  readonly #kind: K;
  readonly #table: ResourceTable<ResourceOf[K]>;
  #widths: number[] = [];
  #titled = false;

  constructor(io: Io, kind: K, table: ResourceTable<ResourceOf[K]>) {
    [this.#io, this.#kind, this.#table] = [io, kind, table];
  }

  async first(resources: readonly ResourceOf[K][]): Promise<void> {
    const now = this.#io.clock.now();
    if (resources.length > 0) this.#print(resources.map((r) => this.#table.row(r, now)));
  }

  async put(resource: ResourceOf[K]): Promise<void> {
    this.#print([this.#table.row(resource, this.#io.clock.now())]);
  }

  /** Old events go by themselves, when there are too many: that is no news. */
  gone(name: string): void {
    if (this.#kind !== 'Event') this.#print([[name, 'deleted']]);
  }

  #print(rows: readonly (readonly string[])[]): void {
    const { columns } = this.#table;
    this.#widths = columnWidths(columns, rows, this.#widths);
    const lines = formatTable(columns, rows, { widths: this.#widths });
    print(this.#io, (this.#titled ? lines.slice(1) : lines).join('\n'));
    this.#titled = true;
  }
}
