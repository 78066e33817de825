// Real pickles of every protocol against what Python put in.
import assert from 'node:assert/strict';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import {
  Namespace,
  NumpyArray,
  numpyElements,
  OpaqueObject,
  OrderedDict,
  PickleInput,
  type PickleValue,
  unpickle,
} from './index.js';

const golden = path.resolve(import.meta.dirname, '../../../test/golden/pickles.json');
const cases: { name: string; protocol: number; pickle: string; expected: unknown }[] = JSON.parse(
  readFileSync(golden, 'utf8'),
);
const origin = { file: 'sample.pkl', errorCode: 'data' } as const;

/** What came out in the words of the generator; floats by their hexadecimal spelling there, by value here. */
function spell(value: PickleValue, expected: unknown): unknown {
  const float = (expected as { float?: string } | null)?.float;
  if (float !== undefined) return typeof value === 'number' && Object.is(value, fromHex(float)) ? expected : { value };
  if (typeof value === 'bigint') return { int: String(value) };
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map((item, i) => spell(item, (expected as unknown[])[i]));
  if (value instanceof Set) return { set: [...value].sort() };
  if (value instanceof Map) return { dict: spellPairs(value, (expected as { dict: unknown[][] }).dict) };
  if (value instanceof Namespace) {
    return { namespace: spellPairs(value.attributes, (expected as { namespace: unknown[][] }).namespace) };
  }
  if (value instanceof NumpyArray) {
    return {
      array: value.shape,
      elements: numpyElements(value).map((item, i) => spell(item, (expected as { elements: unknown[] }).elements[i])),
    };
  }
  return value;
}

function spellPairs(map: ReadonlyMap<PickleValue, PickleValue>, expected: unknown[][]): unknown[] {
  return [...map].map(([key, item], i) => [spell(key, expected[i]?.[0]), spell(item, expected[i]?.[1])]);
}

function fromHex(text: string): number {
  const match = /^(-?)0x([01])(?:\.([0-9a-f]+))?p([+-]\d+)$/.exec(text);
  if (match === null) return Number(text.replace('inf', 'Infinity'));
  const fraction = match[3] ?? '';
  const value = Number.parseInt(match[2] + fraction, 16) * 2 ** (-4 * fraction.length) * 2 ** Number(match[4]);
  return match[1] === '-' ? -value : value;
}

for (const { name, protocol, pickle, expected } of cases) {
  test(`${name}, protocol ${protocol}`, () => {
    const bytes = Buffer.from(pickle, 'base64');
    const input = PickleInput.fromBytes(bytes, origin);
    // Paths and Python 2 style text of bytes are told apart by the generator, not by the pickle.
    assert.deepEqual(spell(unpickle(input), expected), expected);
    assert.equal(input.offset, bytes.length);
  });
}

function caseOf(name: string, protocol: number): Buffer {
  return Buffer.from(cases.find((item) => item.name === name && item.protocol === protocol)!.pickle, 'base64');
}

test('shared objects are one object', () => {
  const value = unpickle(PickleInput.fromBytes(caseOf('shared', 4), origin)) as PickleValue[];
  assert.equal(value[0], value[1]);
});

test('a pickle is read from the middle of a file, piece by piece, and so is the next one', (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-pickle-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const one = caseOf('long list', 2);
  const many = Buffer.concat(Array.from({ length: 400 }, () => one));
  const file = path.join(folder, 'many.pkl');
  writeFileSync(file, Buffer.concat([Buffer.from('before'), many, Buffer.from('after')]));
  assert.ok(many.length > 1 << 20, 'longer than one piece');
  const input = PickleInput.fromFile(openSync(file, 'r'), 6, many.length, { ...origin, file });
  for (let i = 0; i < 400; i++) assert.equal((unpickle(input) as unknown[]).length, 1100);
  assert.equal(input.left, 0);
});

test('numpy 2 names its modules otherwise', () => {
  const renamed = Buffer.from(
    caseOf('numpy scalars', 2).toString('latin1').replaceAll('numpy.core.multiarray', 'numpy._core.multiarray'),
    'latin1',
  );
  assert.equal((unpickle(PickleInput.fromBytes(renamed, origin)) as number[])[0], 0.003);
});

test('attributes of an OrderedDict are kept aside', () => {
  // OrderedDict([('a', 1)]) with _metadata = 5
  const bytes = Buffer.from(
    '\x80\x02ccollections\nOrderedDict\n)RX\x01\0\0\0aK\x01s}X\x09\0\0\0_metadataK\x05sb.',
    'latin1',
  );
  const value = unpickle(PickleInput.fromBytes(bytes, origin)) as OrderedDict;
  assert.ok(value instanceof OrderedDict);
  assert.deepEqual([...value], [['a', 1]]);
  assert.equal(value.attributes?.get('_metadata'), 5);
});

test('an unknown class is an error, or a record where the caller wants one', () => {
  const bytes = Buffer.from("cos\nsystem\n(S'rm -rf /'\ntR.", 'latin1');
  assert.throws(() => unpickle(PickleInput.fromBytes(bytes, origin)), {
    code: 'data',
    message:
      'sample.pkl: wants os.system, which is not on the list of names that a data file may use, at byte 0 of the pickle',
  });
  const names: string[] = [];
  const value = unpickle(PickleInput.fromBytes(bytes, origin), { onUnknownGlobal: (name) => names.push(name) });
  assert.ok(value instanceof OpaqueObject);
  assert.deepEqual([`${value.type}`, value.args, names], ['os.system', ['rm -rf /'], ['os.system']]);
});
