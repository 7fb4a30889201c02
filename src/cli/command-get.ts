/** `godwit get`. */
import type { Api, ResourceOf } from '../api/api.ts';
import type { Kind } from '../model/resource.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { type Io, print, say } from './io.ts';
import { type Target, kindWords } from './kinds.ts';
import { type OutputFormat, listJson, toYaml } from './output-format.ts';
import { resourceTable, sorted } from './resource-table.ts';
import { formatTable } from './table.ts';
import { watchResources } from './watch-resources.ts';

const WHY_NONE: Partial<Record<Kind, string>> = {
  Host: ' yet: godwit token create says how one joins',
  Path: ': it takes two hosts whose monitors run and policy.monitor.probes',
};

export interface GetOptions {
  readonly format: OutputFormat;
  readonly labels: Readonly<Record<string, string>>;
  readonly watch: boolean;
}

export async function get(api: Api, io: Io, target: Target, options: GetOptions): Promise<ExitCode> {
  if (options.watch) return await watchResources(api, io, target.kind, { ...options, name: target.name });
  return await getOnce(api, io, target, options);
}

async function getOnce<K extends Kind>(api: Api, io: Io, { kind, name }: Target<K>, options: GetOptions): Promise<ExitCode> {
  const { format, labels } = options;
  if (name !== undefined) {
    const resource = await api.get(kind, name);
    await printResources(io, kind, [resource], format, JSON.stringify(resource, undefined, 2));
    return exitCodes.fine;
  }
  const resources = sorted(await api.list(kind, Object.keys(labels).length === 0 ? {} : { labels }));
  await printResources(io, kind, resources, format, listJson(resources));
  return exitCodes.fine;
}

export async function printResources<K extends Kind>(
  io: Io, kind: K, resources: readonly ResourceOf[K][], format: OutputFormat, json: string,
): Promise<void> {
  if (format === 'json') print(io, json);
  else if (format === 'yaml') io.out.write(await toYaml(resources));
  else if (resources.length === 0) {
    say(io, `There are no ${kindWords[kind].plural}${WHY_NONE[kind] ?? ''}.`);
  } else {
    const table = resourceTable(kind, format === 'wide');
    const now = io.clock.now();
    print(io, formatTable(table.columns, resources.map((r) => table.row(r, now))).join('\n'));
  }
}
