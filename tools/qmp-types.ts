/**
 * Writes src/vm/qmp-types.ts: the types of the QMP commands and events Godwit uses, from the introspection of the QEMU
 * installed here (query-qmp-schema; QEMU: qapi/introspect.json). `--check` writes nothing and fails where the file differs.
 *
 * Introspection hides the names of types behind numbers, so a type is named here after the first place that uses it;
 * `names` has better ones for those that people meet.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { GodwitError } from '../src/base/error.ts';
import { connectQmp, type QmpClient } from '../src/vm/qmp.ts';

const file = join(import.meta.dirname, '../src/vm/qmp-types.ts');

const commands = [
  'qmp_capabilities',
  'query-version',
  'query-status',
  'stop',
  'cont',
  'quit',
  'system_powerdown',
  'migrate',
  'migrate-incoming',
  'migrate-continue',
  'migrate_cancel',
  'migrate-set-capabilities',
  'query-migrate-capabilities',
  'migrate-set-parameters',
  'query-migrate-parameters',
  'query-migrate',
  'announce-self',
  'yank',
  'query-yank',
  'query-qmp-schema',
  'query-block',
  'query-named-block-nodes',
  'query-cpus-fast',
  'query-rx-filter',
  'x-query-virtio',
  'x-query-virtio-queue-status',
  'human-monitor-command',
];

const events = ['STOP', 'RESUME', 'SHUTDOWN', 'RESET', 'POWERDOWN', 'GUEST_PANICKED', 'MIGRATION', 'MIGRATION_PASS'];

/** Places, and the name of the type found there: `query-migrate.ram`, `migrate arguments.uri`, `MIGRATION event.status`. */
const names: Readonly<Record<string, string>> = {
  'MIGRATION event.status': 'MigrationStatus',
  'query-migrate.ram': 'MigrationRamStatistics',
  'query-migrate.socket-address': 'SocketAddress',
  'migrate-set-capabilities arguments.capabilities': 'MigrationCapabilityStatus',
  'migrate-set-capabilities arguments.capabilities.capability': 'MigrationCapability',
  'query-status.status': 'RunState',
};

/** Members whose types are large and used by nobody here. */
const opaque = new Set([
  'query-qmp-schema',
  'query-block.inserted.image',
  'migrate arguments.channels',
  'migrate-incoming arguments.channels',
  'migrate-set-parameters arguments.block-bitmap-mapping',
  'query-migrate-parameters.block-bitmap-mapping',
]);

interface Member {
  readonly name: string;
  readonly type: string;
  readonly default?: unknown;
}

/** SchemaInfo of qapi/introspect.json, all variants in one. */
interface Entity {
  readonly name: string;
  readonly 'meta-type': string;
  readonly 'json-type'?: string;
  readonly 'element-type'?: string;
  readonly 'arg-type'?: string;
  readonly 'ret-type'?: string;
  readonly 'allow-oob'?: boolean;
  readonly members?: readonly Member[];
  readonly tag?: string;
  readonly variants?: readonly { readonly case: string; readonly type: string }[];
}

class TypeWriter {
  readonly declarations: string[] = [];
  readonly #schema: ReadonlyMap<string, Entity>;
  readonly #named = new Map<string, string>();

  constructor(schema: ReadonlyMap<string, Entity>) {
    this.#schema = schema;
  }

  entity(name: string): Entity {
    const found = this.#schema.get(name);
    if (found === undefined) throw new GodwitError('TOOL_QMP_SCHEMA', `This QEMU has no '${name}'; take 8.2 or newer`);
    return found;
  }

  /** A type expression for the type `id`, used at `place`; declares what it names. */
  type(id: string | undefined, place: string): string {
    if (id === undefined || opaque.has(place)) return 'unknown';
    const entity = this.entity(id);
    switch (entity['meta-type']) {
      case 'builtin':
        return builtin(entity);
      case 'array': {
        const element = this.type(entity['element-type'], place);
        return `readonly ${/ [|&] /.test(element) ? `(${element})` : element}[]`;
      }
      case 'alternate':
        return (entity.members ?? []).map((m, i) => this.type(m.type, `${place}.${i}`)).join(' | ');
      default:
        return isEmpty(entity) ? '{}' : this.#name(entity, place);
    }
  }

  #name(entity: Entity, place: string): string {
    const known = this.#named.get(entity.name);
    if (known !== undefined) return known;
    const name = names[place] ?? pascal(place);
    this.#named.set(entity.name, name);
    const isEnum = entity['meta-type'] === 'enum';
    const body = isEnum ? (entity.members ?? []).map((m) => quote(m.name)).join(' | ') : this.#object(entity, place);
    const plain = body.startsWith('{') && !body.includes('} & ');
    this.declarations.push(plain ? `export interface ${name} ${body}` : `export type ${name} = ${body};`);
    return name;
  }

  #object(entity: Entity, place: string): string {
    const own = (entity.members ?? []).filter((m) => m.name !== entity.tag);
    const lines = own.map((m) => `${key(m.name)}${'default' in m ? '?' : ''}: ${this.type(m.type, `${place}.${m.name}`)};`);
    const fields = `{\n${lines.map((line) => `  readonly ${line}\n`).join('')}}`;
    if (entity.tag === undefined || entity.variants === undefined) return fields;
    const tag = entity.tag;
    const cases = Map.groupBy(entity.variants, (variant) => variant.type);
    const variants = [...cases].map(([type, group]) => {
      const tagged = `{ readonly ${key(tag)}: ${group.map((v) => quote(v.case)).join(' | ')} }`;
      const more = this.type(type, `${place}.${group[0]?.case}`);
      return more === '{}' ? tagged : `(${tagged} & ${more})`;
    });
    return own.length === 0 ? variants.join(' | ') : `${fields} & (${variants.join(' | ')})`;
  }
}

function builtin(entity: Entity): string {
  switch (entity['json-type']) {
    case 'int':
      return 'QmpInteger';
    case 'string':
    case 'number':
    case 'boolean':
    case 'null':
      return entity['json-type'];
    default:
      return 'unknown';
  }
}

function isEmpty(entity: Entity): boolean {
  return entity['meta-type'] === 'object' && entity.members?.length === 0 && entity.variants === undefined;
}

function pascal(text: string): string {
  const parts = text.split(/[^a-zA-Z0-9]+/).filter((part) => part !== '');
  const words = parts.map((part) => (/^[A-Z0-9]+$/.test(part) ? part.toLowerCase() : part));
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
}

const quote = (text: string): string => `'${text}'`;
const key = (name: string): string => (/^[a-z]\w*$/i.test(name) ? name : quote(name));

/** Breaks unions at 140 columns. */
function wrap(text: string): string {
  return text
    .split('\n')
    .map((line) => {
      if (line.length <= 140) return line;
      let column = 0;
      return line.replace(/ \| /g, (bar, at: number) => {
        const next = line.indexOf(' | ', at + 3);
        if ((next < 0 ? line.length : next) - column < 138) return bar;
        column = at - 4;
        return '\n  | ';
      });
    })
    .join('\n');
}

function render(schema: readonly Entity[], version: string): string {
  const writer = new TypeWriter(new Map(schema.map((entity) => [entity.name, entity])));
  const eventLines = events.map((name) => `  readonly ${name}: ${writer.type(writer.entity(name)['arg-type'], `${name} event`)};\n`);
  const outOfBand = commands.filter((name) => writer.entity(name)['allow-oob'] === true);
  const commandLines = commands.map((name) => {
    const entity = writer.entity(name);
    const [args, returns] = [writer.type(entity['arg-type'], `${name} arguments`), writer.type(entity['ret-type'], name)];
    const line = `  readonly ${key(name)}: { readonly arguments: ${args}; readonly returns: ${returns} };\n`;
    const lines = `  readonly ${key(name)}: {\n    readonly arguments: ${args};\n    readonly returns: ${returns};\n  };\n`;
    return line.length <= 141 ? line : lines;
  });
  return wrap(`/**
 * The QMP commands and events that Godwit uses. Made by tools/qmp-types.ts with QEMU ${version}; do not edit.
 * A member marked optional in an answer may also be missing because the QEMU at hand is older.
 */
import type { QmpInteger } from './qmp-framing.ts';

export interface QmpCommands {
${commandLines.join('')}}

/** Those that QEMU also takes out of band. */
export type QmpOutOfBandCommand = ${outOfBand.map(quote).join(' | ')};

/** What comes with each event. */
export interface QmpEvents {
${eventLines.join('')}}

${writer.declarations.join('\n\n')}
`);
}

/** Runs `use` with a connection to a QEMU without a machine. */
async function withQemu<T>(use: (qmp: QmpClient) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'godwit-qmp-'));
  const socket = join(directory, 'qmp');
  const options = ['-M', 'none', '-nodefaults', '-display', 'none', '-qmp', `unix:${socket},server=on,wait=off`];
  const qemu = spawn('qemu-system-x86_64', options, { stdio: ['ignore', 'ignore', 'inherit'] });
  const exited = new Promise((resolve) => qemu.once('close', resolve).once('error', resolve));
  try {
    const qmp = await connect(socket);
    try {
      const result = await use(qmp);
      await qmp.execute('quit');
      return result;
    } finally {
      qmp.close();
    }
  } finally {
    qemu.kill();
    await exited;
    await rm(directory, { recursive: true });
  }
}

async function connect(socket: string): Promise<QmpClient> {
  for (let left = 100; ; left--) {
    try {
      return await connectQmp(socket);
    } catch (error) {
      if (left === 0) throw error;
      await pause(50);
    }
  }
}

const text = await withQemu(async (qmp) => {
  const { major, minor, micro } = qmp.version;
  // The schema describes itself as it describes the rest; `Entity` is read from qapi/introspect.json.
  const schema = (await qmp.execute('query-qmp-schema')) as readonly Entity[];
  return render(schema, `${major}.${minor}.${micro}`);
});
if (!process.argv.includes('--check')) {
  await writeFile(file, text);
} else if (text !== (await readFile(file, 'utf8'))) {
  console.error('src/vm/qmp-types.ts is not what this QEMU says. Run: node tools/qmp-types.ts');
  process.exitCode = 1;
}
