// Pickles made to harm: each ends quickly in an error that names file and byte, or in harmless data.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { SlipError } from '@slip/core';
import fc from 'fast-check';
import {
  type OrderedDict,
  type Picklable,
  PickleInput,
  type PickleValue,
  pickle,
  python,
  torchStorage,
  unpickle,
} from './index.js';

const origin = { file: 'bad.pkl', errorCode: 'checkpoint' } as const;

function read(text: string | Uint8Array): PickleValue {
  const bytes = typeof text === 'string' ? Buffer.from(text, 'latin1') : text;
  return unpickle(PickleInput.fromBytes(bytes, origin), { persistent: torchStorage });
}

const HOSTILE: Readonly<Record<string, [bytes: string, message: RegExp]>> = {
  nothing: ['', /needs 1 more bytes but only 0 are left.*byte 0 /],
  'no pickle': ['\xff\xd8\xff', /0xff, which is no pickle opcode.*byte 0 /],
  'a newer protocol': ['\x80\x09N.', /pickle protocol 9; 0 to 5/],
  'no end': ['\x80\x02]', /needs 1 more bytes/],
  '4 GiB of text': ['X\xff\xff\xff\xff', /needs 4294967295 more bytes but only 0/],
  'exbytes of text': ['\x8d\xff\xff\xff\xff\xff\xff\xff\xff', /length beyond all files/],
  'exbytes of bytes': ['\x8e\0\0\0\0\0\0\x10\0', /more bytes but only 0/],
  'a large frame': ['\x80\x04\x95\0\0\0\0\0\0\x01\0N.', /announces a frame/],
  'a whole number of 16 MiB': ['\x8b\0\0\0\x01', /whole number of 16777216 bytes/],
  'a memo with a gap': ['Nr\xff\xff\xff\x7f.', /memo entry 2147483647 out of order/],
  'an unset memo entry': ['h\x05.', /wants the memo entry 5/],
  'an empty stack': ['.', /empty stack/],
  'a mark that is not there': ['Ne.', /closes a mark/],
  'a call of text': ['X\x01\0\0\0a)R.', /calls something that is not a class/],
  'a call of a class that may only be named': ['cbuiltins\nobject\n)R.', /may only be named/],
  'a function': ['cbuiltins\neval\n(X\x03\0\0\x001+1tR.', /wants builtins\.eval.*byte 0 /],
  'a function by its dotted path': ['\x80\x04\x8c\x03abc\x8c\x0b__class__.x\x93.', /wants abc\.__class__\.x/],
  'our own prototypes': ['cconstructor\nconstructor\n)R.', /wants constructor\.constructor/],
  'a name that disturbs the terminal': ['c\x1b[2J\nx\n.', /wants \\u001b\[2J\.x/],
  'an extension': ['\x82\x01.', /extension registry/],
  'a buffer elsewhere': ['\x80\x05\x97.', /outside the file/],
  'attributes of a list': ['](b.', /closes a mark|has none|empty stack/],
  'a tensor beyond its storage': [
    "ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\ntQI1\n(I4\nt(I1\ntI00\nNtR.",
    /reaches to element 4 of a storage of 4/,
  ],
  'a storage of code': ["(S'storage'\nctorch\nevil\nS'0'\nS'cpu'\nI4\ntQ.", /wants torch\.evil/],
  'another persistent id': ["(S'module'\nI1\ntQ.", /something else than a storage/],
  'an array larger than its bytes': [
    'cnumpy.core.multiarray\n_reconstruct\n)R(I1\n(I1000000\ntcnumpy\ndtype\n(S"f8"\ntRI00\nS"abc"\ntb.',
    /1000000 elements of f8 in 3 bytes/,
  ],
  'a boolean of four bytes': [
    'cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S"b4"\ntRS"abcd"\ntR.',
    /scalar of type b4 that does not fit its bytes/,
  ],
};

for (const [what, [bytes, message]] of Object.entries(HOSTILE)) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => read(bytes),
      (error: unknown) => {
        assert.ok(error instanceof SlipError);
        assert.equal(error.code, 'checkpoint');
        assert.match(error.message, /^bad\.pkl: .*, at byte \d+ of the pickle$/);
        assert.match(error.message, message);
        return true;
      },
    );
  });
}

test('names of our own objects are plain keys', () => {
  const value = read('}(X\x09\0\0\0__proto__X\x01\0\0\0xu.') as Map<PickleValue, PickleValue>;
  assert.deepEqual([...value], [['__proto__', 'x']]);
  assert.equal(({} as Record<string, unknown>).x, undefined);
});

test('a list of itself is read as such', () => {
  const value = read(']q\0h\0a.') as PickleValue[];
  assert.equal(value[0], value);
});

test('ten to the fortieth laughs take no more room than they are written in', () => {
  let text = ']q\0X\x03\0\0\0lola';
  for (let i = 0; i < 40; i++) text += `]q${String.fromCharCode(i + 1)}(${`h${String.fromCharCode(i)}`.repeat(10)}e`;
  const before = process.memoryUsage().heapUsed;
  let value = read(`${text}.`);
  for (let depth = 0; depth < 40; depth++) value = (value as PickleValue[])[9];
  assert.deepEqual(value, ['lol']);
  assert.ok(process.memoryUsage().heapUsed - before < 16e6);
});

test('copies of one large value are counted', () => {
  const megabyte = `X\0\0\x10\0${'x'.repeat(1 << 20)}`;
  const encode = `c_codecs\nencode\nq\0${megabyte}q\x01X\x06\0\0\0latin1q\x02`;
  assert.throws(() => read(`${encode}${'h\0h\x01h\x02\x86R'.repeat(100_000)}.`), /again and again/);
  const list = `cbuiltins\nlist\nq\0](${'N'.repeat(1 << 20)}eq\x01`;
  assert.throws(() => read(`${list}${'h\0h\x01\x85R'.repeat(100_000)}.`), /again and again/);
  const attributes = `cargparse\nNamespace\n)\x81}(${'K\x01N'.repeat(9)}uq\0`;
  assert.throws(() => read(`${attributes}${'h\0b'.repeat(3_000_000)}.`), /again and again|has none/);
  assert.throws(() => read(`\x80\x02c${'x'.repeat(1000)}\ny\n.`), /longer than any in Python/);
});

test('a hundred thousand open marks and nested lists are no recursion', () => {
  assert.throws(() => read('('.repeat(100_000)), /needs 1 more bytes/);
  assert.throws(() => read(']'.repeat(100_000)), /needs 1 more bytes/);
  let value = read(`${']'.repeat(100_000)}${'a'.repeat(99_999)}.`);
  let depth = 0;
  for (; Array.isArray(value) && value.length > 0; value = value[0]) depth++;
  assert.equal(depth, 99_999);
});

const golden = path.resolve(import.meta.dirname, '../../../test/golden/pickles.json');
const samples = (JSON.parse(readFileSync(golden, 'utf8')) as { pickle: string }[]).map((item) =>
  Buffer.from(item.pickle, 'base64'),
);

/** Any outcome is fine but an error that is not ours. */
function mustBeTame(bytes: Uint8Array): void {
  try {
    read(bytes);
  } catch (error) {
    assert.ok(error instanceof SlipError && error.code === 'checkpoint', String((error as Error).stack));
  }
}

test('any cut or changed pickle, and any bytes, end in data or in our error', () => {
  const sample = fc.constantFrom(...samples.filter((bytes) => bytes.length < 2000));
  fc.assert(
    fc.property(sample, fc.nat(), (bytes, cut) => mustBeTame(bytes.subarray(0, cut % bytes.length))),
    { numRuns: 1000 },
  );
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(sample, changes, (bytes, edits) => {
      const changed = Buffer.from(bytes);
      for (const [at, value] of edits) changed[at % changed.length] = value;
      mustBeTame(changed);
    }),
    { numRuns: 4000 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), mustBeTame), { numRuns: 4000 });
});

const plain = fc.letrec<{ value: Picklable }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.double(),
    fc.integer(),
    fc.bigInt({ min: -(2n ** 300n), max: 2n ** 300n }).filter((value) => !Number.isSafeInteger(Number(value))),
    fc.string({ unit: 'binary' }),
    fc.array(tie('value'), { maxLength: 5 }),
    fc
      .array(fc.tuple(fc.string(), tie('value')), { maxLength: 5 })
      .map((pairs): Picklable => new Map<Picklable, Picklable>(pairs)),
  ),
})).value;

test('whatever is written is read again', () => {
  fc.assert(
    fc.property(plain, (value) => assert.deepEqual(read(pickle(value)), value)),
    { numRuns: 1000 },
  );
  const long = Array.from({ length: 2345 }, (_, i) => `text ${i}`);
  assert.deepEqual(read(pickle([...long, ...long])), [...long, ...long]);
  const expression = python.tuple(python.float(1), python.orderedDict(new Map([['a', 1]]), new Map([['v', 2]])));
  const [one, dict] = read(pickle(expression)) as [number, OrderedDict];
  assert.deepEqual([one, [...dict], dict.attributes], [1, [['a', 1]], new Map([['v', 2]])]);
});

test('what cannot be written is said', () => {
  let nested: Picklable = [];
  for (let i = 0; i < 300; i++) nested = [nested];
  assert.throws(() => pickle(nested), RangeError);
  assert.throws(() => pickle(2n ** 3000n), RangeError);
});
