/** AddressesReport (agent-protocol.ts) as a schema. */
import { Type } from 'typebox';
import { Name } from '../model/resource.ts';
import { oneOf } from './one-of.ts';

const Mac = Type.String({ pattern: '^[0-9a-f]{2}(:[0-9a-f]{2}){5}$' });
const Address = Type.String({ pattern: '^[0-9a-f.:]{2,45}$' });
const Word = Type.String({ maxLength: 64 });
const Span = Type.Number();
const Index = Type.Integer({ minimum: 0, maximum: 64 });

const Sighting = Type.Object({
  network: Name, address: Address,
  mac: Type.Optional(Mac),
  place: oneOf(['here', 'outside'] as const),
  port: Type.Optional(Word), vm: Type.Optional(Word), nic: Type.Optional(Index), router: Type.Optional(Word),
  evidence: oneOf(['declared', 'arp', 'nd', 'dhcp'] as const),
  first: Span,
  last: Type.Optional(Span),
});
const End = Type.Object({ mac: Type.Optional(Mac), port: Type.Optional(Word), vm: Type.Optional(Word), nic: Type.Optional(Index), router: Type.Optional(Word) });

export const AddressesReportSchema = Type.Object({
  seen: Type.Array(Sighting, { maxItems: 2000 }),
  conflicts: Type.Array(
    Type.Object({ network: Name, address: Address, by: oneOf(['claim', 'probe'] as const), ends: Type.Tuple([End, End]), first: Span, last: Span }), { maxItems: 512 },
  ),
  guards: Type.Array(Type.Object({ vm: Word, nic: Index, dropped: Type.Record(Word, Type.Integer({ minimum: 0 }), { maxProperties: 32 }) }), { maxItems: 10_000 }),
  untold: Type.Number({ minimum: 0 }),
});
