/**
 * What is declared and what is: every noun of the cluster is a resource of this shape, in YAML, over HTTP and in the store alike.
 *
 * `spec` is what an administrator wants and only she changes it; `status` is what Godwit found and only Godwit changes it. A
 * `revision` is the store's (store/store.ts): it rises with every change of anything, and names one state of the whole cluster.
 */
import { Type, type Static, type TSchema } from 'typebox';

export const kinds = ['Host', 'Network', 'Vm', 'VirtualRouter', 'BfdSession', 'Path', 'Address', 'Migration', 'Event', 'Policy'] as const;
export type Kind = (typeof kinds)[number];

/** Kinds that `godwit apply` takes; hosts come by joining, migrations by being asked for, events by themselves. */
export const declarable = ['Host', 'Network', 'Vm', 'VirtualRouter', 'BfdSession', 'Policy'] as const satisfies readonly Kind[];

/** A DNS label: what names a resource, and may become part of a path or a device's alias. */
export const nameRule = { pattern: '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$', description: 'lower-case letters, digits and inner hyphens, at most 40' } as const;
export const Name = Type.String(nameRule);

export const Labels = Type.Record(Type.String({ pattern: '^[A-Za-z0-9._/-]{1,63}$' }), Type.String({ maxLength: 63 }), { additionalProperties: false });

export interface Resource<K extends Kind = Kind, Spec = unknown, Status = unknown> {
  readonly kind: K;
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly spec: Spec;
  readonly status?: Status;
  /** Of the store, at this resource's last change. */
  readonly revision: number;
}

/** The document of a resource as one declares it: unknown keys are refused. */
export const declaration = <S extends TSchema>(kind: Kind, spec: S) =>
  Type.Object(
    {
      kind: Type.Literal(kind), name: Name, labels: Type.Optional(Labels), spec,
      // What `get -o yaml` printed may be applied again: these two are Godwit's and are not read.
      status: Type.Optional(Type.Unknown()), revision: Type.Optional(Type.Number()),
    },
    { additionalProperties: false },
  );

/** `additionalProperties: false`, which a typo in a key must meet everywhere. */
export const closed = { additionalProperties: false } as const;

export type { Static };
