// Long lists item by item: the same items as at once, whatever the batches; hostile ones end in an error.
import assert from 'node:assert/strict';
import test from 'node:test';
import { SlipError } from '@slip/core';
import fc from 'fast-check';
import {
  ItemList,
  ListPickler,
  NumpyArray,
  type Picklable,
  PickleInput,
  type PickleValue,
  pickle,
  python,
  unpickle,
} from './index.js';
import { unpickleItems } from './unpickle.js';

const origin = { file: 'list.pkl', errorCode: 'data' } as const;

function open(bytes: string | Uint8Array): PickleInput {
  return PickleInput.fromBytes(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, origin);
}

function readItems(bytes: string | Uint8Array): { items: PickleValue[]; batches: number; whole: PickleValue } {
  const items: PickleValue[] = [];
  const reading = unpickleItems(open(bytes));
  for (let batches = 0; ; batches++) {
    const { done, value } = reading.next();
    if (done) return { items, batches, whole: value };
    for (const item of value) items.push(item);
  }
}

const record = fc.oneof(
  fc.tuple(fc.nat(), fc.string({ maxLength: 4 }), fc.string()).map((items) => python.tuple(...items)),
  fc
    .array(fc.tuple(fc.constantFrom('image_id', 'captions', ''), fc.constantFrom('a', 'b', 'a long enough text')))
    .map((pairs): Picklable => new Map<Picklable, Picklable>(pairs)),
);

test('items one by one are the items of the list, texts that are repeated included', () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 30 }), (records) => {
      const bytes = pickle(records);
      const { items, whole } = readItems(bytes);
      assert.deepEqual(items, unpickle(open(bytes)));
      assert.ok(whole instanceof ItemList && whole.length === records.length);
    }),
  );
  const { items, batches } = readItems(pickle(Array.from({ length: 2500 }, (_, i) => [i % 2 === 0 ? 'even' : 'odd'])));
  assert.deepEqual([items.length, batches, items[2499]], [2500, 3, ['odd']]);
});

test('the items of a numpy array of objects, whose number must be right', () => {
  const array = (count: number) =>
    'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0tU\x01btR(K\x01' +
    `(K${String.fromCharCode(count)}tcnumpy\ndtype\n(U\x02O8K\0K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb` +
    '\x89](U\x01aU\x01betb.';
  const { items, whole } = readItems(array(2));
  assert.deepEqual(items, ['a', 'b']);
  assert.ok(whole instanceof NumpyArray && whole.data instanceof ItemList);
  assert.throws(() => readItems(array(3)), /array of 3 objects that holds 2/);
});

test('a record that shares an object with one of an earlier batch is refused', () => {
  assert.deepEqual(readItems(']q\0((K\x01q\x01tq\x02h\x02e.').items, [[1], [1]]);
  assert.throws(
    () => readItems(']q\0((K\x01q\x01tq\x02eh\x02a.'),
    /share a list, tuple or dict with an earlier record/,
  );
});

test('one long text named over and over is refused before it fills memory', () => {
  const long = 'x'.repeat(1 << 20);
  const bytes = `](X\0\0\x10\0${long}q\0e${'(h\0e'.repeat(1000)}.`;
  assert.throws(() => readItems(bytes), /again and again/);
  assert.throws(() => readItems('N.h\x05'.slice(2)), /wants the memo entry 5/);
});

test('any cut or changed list ends in items or in our error', () => {
  const sample = pickle(Array.from({ length: 40 }, (_, i) => python.tuple(i, `title ${i % 7}`, 'x'.repeat(i * 10))));
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(changes, fc.nat(), (edits, cut) => {
      const changed = Buffer.from(sample).subarray(0, 1 + (cut % (2 * sample.length)));
      for (const [at, value] of edits) changed[at % changed.length] = value;
      try {
        readItems(changed);
      } catch (error) {
        assert.ok(error instanceof SlipError && error.code === 'data', String((error as Error).stack));
      }
    }),
    { numRuns: 2000 },
  );
});

test('what is written item by item is read item by item, as a list and as an array', () => {
  fc.assert(
    fc.property(
      fc.array(record, { maxLength: 30 }),
      fc.constantFrom('list' as const, 'array' as const),
      (records, kind) => {
        const pickler = new ListPickler(kind);
        const pieces: Uint8Array[] = [];
        for (const [i, item] of records.entries()) {
          pickler.add(item);
          if (i % 7 === 0) pieces.push(pickler.take());
        }
        const bytes = Buffer.concat([...pieces, pickler.end()]);
        if (kind === 'array') bytes.set(pickler.countPatch().bytes, pickler.countPatch().offset);
        const plain = unpickle(open(pickle(records)));
        assert.deepEqual(readItems(bytes).items, plain);
        assert.equal(pickler.count, records.length);
      },
    ),
  );
  const many = new ListPickler('list');
  for (let i = 0; i < 2500; i++) many.add(new Map<Picklable, Picklable>([['key', `text ${i}`]]));
  assert.deepEqual((readItems(many.end()).items[2499] as Map<string, string>).get('key'), 'text 2499');
});
