// Pickles that are one long list, or a numpy array of objects, written item by item.
import { type Picklable, python } from './pickle.js';
import { BATCH, PickleWriter, uint32 } from './pickle-writer.js';

/** Enough for the keys of records; texts of millions of records must not all be remembered. */
const LIST_MEMO = 1000;

/** A list that is written item by item, for files of any size. The bytes of all calls, in order, are the pickle. */
export class ListPickler {
  readonly #writer = new PickleWriter(LIST_MEMO);
  readonly #isArray: boolean;
  #inBatch = 0;
  #count = 0;

  /** @param kind `list`, or `array` for a numpy array of objects, whose length is filled in at the end by `countPatch` */
  constructor(kind: 'list' | 'array') {
    this.#isArray = kind === 'array';
    this.#writer.put('\x80\x02');
    if (this.#isArray) this.#beginArray();
    this.#writer.put(']');
  }

  get count(): number {
    return this.#count;
  }

  /** What has become of items so far. */
  take(): Uint8Array {
    return this.#writer.bytes();
  }

  add(item: Picklable): void {
    if (this.#inBatch === 0) this.#writer.put('(');
    this.#writer.value(item, 0);
    this.#count += 1;
    this.#inBatch += 1;
    if (this.#inBatch === BATCH) this.#endBatch();
  }

  end(): Uint8Array {
    if (this.#inBatch > 0) this.#endBatch();
    this.#writer.put(this.#isArray ? 'tb.' : '.');
    return this.#writer.bytes();
  }

  /** The array's length, to be written at `offset` of the pickle. */
  countPatch(): { offset: number; bytes: Uint8Array } {
    return { offset: this.#countOffset, bytes: uint32(this.#count) };
  }

  #countOffset = 0;

  #endBatch(): void {
    this.#writer.put('e');
    this.#inBatch = 0;
  }

  /** `_reconstruct(ndarray, (0,), b'b')` with the state (1, (length,), dtype('O'), False, list). */
  #beginArray(): void {
    const multiarray = 'numpy.core.multiarray';
    const bytes = python.call(python.global('_codecs', 'encode'), ['b', 'latin1']);
    const empty = python.call(python.global(multiarray, '_reconstruct'), [
      python.global('numpy', 'ndarray'),
      python.tuple(0),
      bytes,
    ]);
    this.#writer.value(empty, 0);
    this.#writer.put('(K\x01J');
    this.#countOffset = this.#writer.length;
    this.#writer.put('\0\0\0\0\x85');
    this.#writer.value(python.call(python.global('numpy', 'dtype'), ['O8', false, true]), 0);
    this.#writer.value(python.tuple(3, '|', null, null, null, -1, -1, 63), 0);
    this.#writer.put('b\x89');
  }
}
