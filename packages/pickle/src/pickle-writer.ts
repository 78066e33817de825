// Values to opcodes of protocol 2 (see pickle.ts for what may be written), gathered until they are taken.
import type { Picklable, PythonExpression } from './pickle.js';

/** Lists and dicts are written in batches of this many, as Python does. */
export const BATCH = 1000;
/** Nobody nests deeper; a value that contains itself must not end in a stack overflow. */
const MAX_DEPTH = 200;

export class PickleWriter {
  #pieces: Buffer[] = [];
  readonly #maxMemo: number;
  /** Bytes since the last `bytes`. */
  length = 0;

  constructor(maxMemo = Number.POSITIVE_INFINITY) {
    this.#maxMemo = maxMemo;
  }

  /** Names and short texts are written once and then recalled. */
  readonly #memo = new Map<string, number>();

  put(codes: string, ...arguments_: readonly Buffer[]): void {
    this.#pieces.push(Buffer.from(codes, 'latin1'), ...arguments_);
    this.length += codes.length;
    for (const { length } of arguments_) this.length += length;
  }

  /** What was put since the last call. */
  bytes(): Uint8Array {
    const bytes = new Uint8Array(Buffer.concat(this.#pieces));
    this.#pieces = [];
    this.length = 0;
    return bytes;
  }

  value(value: Picklable, depth: number): void {
    if (depth > MAX_DEPTH) throw new RangeError(`a value nested deeper than ${MAX_DEPTH} cannot be written`);
    if (value === null) this.put('N');
    else if (value === true) this.put('\x88');
    else if (value === false) this.put('\x89');
    else if (typeof value === 'number') this.#number(value);
    else if (typeof value === 'bigint') this.#integer(value);
    else if (typeof value === 'string') this.#text(value);
    else if (Array.isArray(value)) this.#list(value, depth + 1);
    else if (value instanceof Map) this.#dict(value, depth + 1);
    else this.#expression(value as PythonExpression, depth + 1);
  }

  #expression(value: PythonExpression, depth: number): void {
    switch (value.kind) {
      case 'tuple':
        this.#tuple(value.items, depth);
        break;
      case 'float':
        this.put('G', float64(value.value));
        break;
      case 'global':
        this.#global(value.module, value.name);
        break;
      case 'call':
        this.value(value.type, depth);
        this.#tuple(value.args, depth);
        this.put('R');
        break;
      case 'object':
        this.value(value.type, depth);
        this.put(')\x81');
        this.value(value.attributes, depth);
        this.put('b');
        break;
      case 'ordered':
        this.#ordered(value.items, value.attributes, depth);
        break;
      case 'persistent':
        this.value(value.id, depth);
        this.put('Q');
        break;
    }
  }

  #ordered(items: ReadonlyMap<Picklable, Picklable>, attributes: Picklable, depth: number): void {
    this.#global('collections', 'OrderedDict');
    this.put(')R');
    this.#items(items, depth);
    if (attributes === null) return;
    this.value(attributes, depth);
    this.put('b');
  }

  #number(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) this.#integer(BigInt(value));
    else this.put('G', float64(value));
  }

  #integer(value: bigint): void {
    if (value >= 0n && value < 256n) this.put('K', Buffer.of(Number(value)));
    else if (value >= 0n && value < 65536n) this.put('M', Buffer.of(Number(value) & 255, Number(value) >> 8));
    else if (value >= -(2n ** 31n) && value < 2n ** 31n) {
      const bytes = Buffer.alloc(4);
      bytes.writeInt32LE(Number(value));
      this.put('J', bytes);
    } else this.#long(value);
  }

  /** Two's complement in as few bytes as hold the sign, little endian. */
  #long(value: bigint): void {
    let length = 1;
    while (value < -(2n ** BigInt(8 * length - 1)) || value >= 2n ** BigInt(8 * length - 1)) length++;
    if (length > 255) throw new RangeError('a whole number of more than 255 bytes cannot be written');
    const hex = BigInt.asUintN(8 * length, value)
      .toString(16)
      .padStart(2 * length, '0');
    this.put('\x8a', Buffer.of(length), Buffer.from(hex, 'hex').reverse());
  }

  #text(text: string): void {
    if (this.#recall(`text ${text}`)) return;
    const bytes = Buffer.from(text, 'utf8');
    this.put('X', uint32(bytes.length), bytes);
    if (text.length <= 64) this.#remember(`text ${text}`);
  }

  #global(module: string, name: string): void {
    const key = `global ${module} ${name}`;
    if (this.#recall(key)) return;
    this.put(`c${module}\n${name}\n`);
    this.#remember(key);
  }

  #recall(key: string): boolean {
    const index = this.#memo.get(key);
    if (index === undefined) return false;
    if (index < 256) this.put('h', Buffer.of(index));
    else this.put('j', uint32(index));
    return true;
  }

  #remember(key: string): void {
    const index = this.#memo.size;
    if (index >= this.#maxMemo) return;
    this.#memo.set(key, index);
    if (index < 256) this.put('q', Buffer.of(index));
    else this.put('r', uint32(index));
  }

  #tuple(items: readonly Picklable[], depth: number): void {
    // Empty and short tuples have opcodes of their own, which need no mark.
    const short = [')', '\x85', '\x86', '\x87'][items.length];
    if (short === undefined) this.put('(');
    for (const item of items) this.value(item, depth);
    this.put(short ?? 't');
  }

  #list(items: readonly Picklable[], depth: number): void {
    this.put(']');
    for (let begin = 0; begin < items.length; begin += BATCH) {
      this.put('(');
      for (const item of items.slice(begin, begin + BATCH)) this.value(item, depth);
      this.put('e');
    }
  }

  #dict(items: ReadonlyMap<Picklable, Picklable>, depth: number): void {
    this.put('}');
    this.#items(items, depth);
  }

  #items(items: ReadonlyMap<Picklable, Picklable>, depth: number): void {
    const pairs = [...items];
    for (let begin = 0; begin < pairs.length; begin += BATCH) {
      this.put('(');
      for (const [key, item] of pairs.slice(begin, begin + BATCH)) {
        this.value(key, depth);
        this.value(item, depth);
      }
      this.put('u');
    }
  }
}

function float64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
