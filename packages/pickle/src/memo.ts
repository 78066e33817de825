// What a pickle remembers for later use: as values, or, where a file may be larger than memory, as places in the file.
import type { Fail } from './allow-list.js';
import { GlobalName, NumpyDtype, type PickleValue } from './values.js';

export interface Memo {
  /** Entries set so far, as picklers number them. */
  readonly length: number;
  /** @param leafOffset where the value was written, for text and bytes */
  set(index: number, value: PickleValue, leafOffset: number | undefined): void;
  get(index: number, fail: Fail): PickleValue;
}

export class ValueMemo implements Memo {
  readonly #values: (PickleValue | undefined)[] = [];

  get length(): number {
    return this.#values.length;
  }

  set(index: number, value: PickleValue): void {
    this.#values[index] = value;
  }

  get(index: number, fail: Fail): PickleValue {
    const value = this.#values[index];
    return value === undefined ? fail(`wants the memo entry ${index}, which is not there`) : value;
  }
}

const CHUNK = 1 << 16;
/** What a file names is few; each is worth more memory than its place. */
const MAX_NAMES = 100_000;
const MAX_RECENT = 2_000_000;
const CACHED_LEAVES = 4096;
const CACHED_LENGTH = 256;
const UNSET = -1;
const ELSEWHERE = -2;

/**
 * Text and bytes are read again where they stand; names and number types stay; lists, tuples, dicts and what was made by a
 * call are forgotten with the item that they belong to.
 */
export class OffsetMemo implements Memo {
  length = 0;
  readonly #readAgain: (offset: number) => PickleValue;
  readonly #offsets: Float64Array[] = [];
  readonly #names = new Map<number, PickleValue>();
  readonly #recent = new Map<number, PickleValue>();
  /** Keys of records come back once for each record. */
  readonly #leaves = new Map<number, string | Uint8Array>();
  /** What may be read again in all; a file made to harm names one long text over and over. */
  #budget: number;

  constructor(readAgain: (offset: number) => PickleValue, budget: number) {
    this.#readAgain = readAgain;
    this.#budget = budget;
  }

  set(index: number, value: PickleValue, leafOffset: number | undefined): void {
    while (index >= this.#offsets.length * CHUNK) this.#offsets.push(new Float64Array(CHUNK).fill(UNSET));
    const isLeaf = leafOffset !== undefined && (typeof value === 'string' || value instanceof Uint8Array);
    this.#offsets[Math.floor(index / CHUNK)][index % CHUNK] = isLeaf ? leafOffset : ELSEWHERE;
    this.length = Math.max(this.length, index + 1);
    if (isLeaf) return;
    const isName = value instanceof GlobalName || value instanceof NumpyDtype;
    if (isName && this.#names.size < MAX_NAMES) this.#names.set(index, value);
    else if (this.#recent.size < MAX_RECENT) this.#recent.set(index, value);
  }

  get(index: number, fail: Fail): PickleValue {
    const offset = this.#offsets[Math.floor(index / CHUNK)]?.[index % CHUNK] ?? UNSET;
    if (offset === UNSET) return fail(`wants the memo entry ${index}, which is not there`);
    if (offset !== ELSEWHERE) return this.#leaf(index, offset, fail);
    const value = this.#names.get(index) ?? this.#recent.get(index);
    if (value !== undefined) return value;
    return fail(
      'has records that share a list, tuple or dict with an earlier record; write it again with a copy in each record',
    );
  }

  forgetContainers(): void {
    this.#recent.clear();
  }

  #leaf(index: number, offset: number, fail: Fail): PickleValue {
    const known = this.#leaves.get(index);
    if (known !== undefined) return known;
    const value = this.#readAgain(offset) as string | Uint8Array;
    this.#budget -= value.length;
    if (this.#budget < 0) fail('uses the same long texts again and again, as only a file made to harm does');
    if (value.length > CACHED_LENGTH) return value;
    if (this.#leaves.size >= CACHED_LEAVES) this.#leaves.clear();
    this.#leaves.set(index, value);
    return value;
  }
}
