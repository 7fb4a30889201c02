/** The filter for the kernel, run as the kernel runs it (net/ipv4/inet_diag.c: inet_diag_bc_audit, inet_diag_bc_run). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type PortRange, portFilter } from '../../../src/host/tcp-info.ts';

interface Operation {
  readonly code: number;
  readonly yes: number;
  readonly no: number;
  /** Of the operation after it, where that is a port. */
  readonly port: number;
}

function at(program: Uint8Array, offset: number): Operation {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  return { code: view.getUint8(offset), yes: view.getUint8(offset + 1), no: view.getUint16(offset + 2, true), port: offset + 8 <= program.length ? view.getUint16(offset + 6, true) : 0 };
}

/** The offsets on the way along `yes`. */
function way(program: Uint8Array): number[] {
  const offsets: number[] = [];
  for (let offset = 0; offset < program.length; offset += at(program, offset).yes) {
    assert.ok(at(program, offset).yes >= 4 && at(program, offset).yes % 4 === 0);
    offsets.push(offset);
  }
  return offsets;
}

function audit(program: Uint8Array): void {
  const offsets = way(program);
  for (const offset of offsets) {
    const { code, yes, no } = at(program, offset);
    const left = program.length - offset;
    const least = code === 1 ? 4 : 8;
    assert.ok(code >= 1 && code <= 5 && left >= least, `code ${code}`);
    assert.ok(no >= least && no <= left + 4 && no % 4 === 0, `no ${no}`);
    if (no < left) assert.ok(offsets.includes(offset + no), 'a jump to between two operations');
    if (code !== 1) assert.ok(yes >= least && yes <= left + 4);
  }
}

function accepts(program: Uint8Array, source: number, destination: number): boolean {
  let offset = 0;
  while (offset < program.length) {
    const { code, yes, no, port } = at(program, offset);
    const holds = [false, false, source >= port, source <= port, destination >= port, destination <= port][code] ?? assert.fail(`code ${code}`);
    offset += holds ? yes : no;
  }
  return offset === program.length;
}

const port = fc.integer({ min: 0, max: 65_535 });
const range = fc.tuple(port, port).map(([a, b]): PortRange => [Math.min(a, b), Math.max(a, b)]);

test('what is in one of the ranges at either end passes, and nothing else; the kernel takes it as a program', () => {
  fc.assert(fc.property(fc.array(range, { minLength: 1, maxLength: 8 }), fc.array(fc.tuple(port, port), { minLength: 1 }), (ranges, pairs) => {
    const program = portFilter(ranges);
    audit(program);
    const edges = ranges.flatMap(([from, to]) => [from, to, Math.max(0, from - 1), Math.min(65_535, to + 1)]);
    for (const [source, destination] of [...pairs, ...edges.map((edge, i) => [edge, edges[edges.length - 1 - i] ?? 0] as const)]) {
      const wanted = ranges.some(([from, to]) => [source, destination].some((port) => port >= from && port <= to));
      assert.equal(accepts(program, source, destination), wanted, `${source} ${destination} ${ranges}`);
    }
  }));
});
