// Sums, maxima and conversions of float32 on the vector units. WebAssembly works on memory of its own, so values are copied
// through blocks that stay in the cache, which costs less than half of what a loop in JavaScript does.
import { KERNELS_BINARY } from './kernels-binary.js';

/** What of the global is used here: Node has it, @types/node leaves it to the browser's library. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

interface Exports {
  /** `grow` takes pages of 64 KiB and leaves the old buffer detached. */
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  add(into: number, other: number, bytes: number): void;
  max(into: number, other: number, bytes: number): void;
  sumTree(base: number, count: number, stride: number, bytes: number): void;
  maxTree(base: number, count: number, stride: number, bytes: number): void;
  digest(sums: number, from: number, bytes: number): void;
  addDigested(into: number, other: number, bytes: number, taken: number, made: number): void;
  toBfloat16(to: number, from: number, bytes: number): void;
  fromBfloat16(to: number, from: number, bytes: number): void;
  toFloat16(to: number, from: number, bytes: number): void;
  fromFloat16(to: number, from: number, bytes: number): void;
}

export type Reduction = 'sum' | 'max';
/** What floats are sent as; sums are always made in float32. */
export type WireType = 'float32' | 'bfloat16' | 'float16';

/** Sums of the words of some bytes in which the order counts; for damage, not against forgery. */
export type Digest = Uint8Array;

/** Bytes somewhere, which may be checked while they are read. */
export interface ByteSource {
  readonly length: number;
  /** Copies the bytes from `at` on, as many as `into` has room for. */
  read(at: number, into: Uint8Array): void;
  /** Called once all have been read, in order. @throws where they should have had another digest */
  check(digest: Digest): void;
}

/** Elements of a block. Two of them and their sum stay in a first-level cache of 64 KiB, those of 64 ranks in the second. */
const BLOCK = 4096;
const BLOCK_BYTES = BLOCK * Float32Array.BYTES_PER_ELEMENT;
/** Not a power of two, so that the blocks of many ranks do not fall into the same lines of the cache. */
const STRIDE = BLOCK_BYTES + 128;
const PAGE = 65_536;
const DIGEST_BYTES = 32;
/** What arrives is copied here first, in pieces of whole blocks that stay in the second-level cache. */
const STAGE_BYTES = 4 * BLOCK_BYTES;
/** Beside it the own values, and the result. */
const OWN_AT = STAGE_BYTES + 128;
const TAKEN_AT = OWN_AT + STAGE_BYTES;
const MADE_AT = TAKEN_AT + DIGEST_BYTES;
const BLOCKS_AT = MADE_AT + DIGEST_BYTES;
const blockAt = (i: number) => BLOCKS_AT + i * STRIDE;

const exports = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(KERNELS_BINARY, 'base64')))
  .exports as Exports;
let blocks: Float32Array[] = [];
let halves: Uint16Array;
let stage: Uint8Array;
let stagedFloats: Float32Array;
let owned: Float32Array;
let taken: Uint8Array;
let made: Uint8Array;

function ensureBlocks(count: number): void {
  if (blocks.length >= count) return;
  const pages = Math.ceil(blockAt(count) / PAGE);
  exports.memory.grow(Math.max(0, pages - exports.memory.buffer.byteLength / PAGE));
  const { buffer } = exports.memory;
  blocks = Array.from({ length: count }, (_, i) => new Float32Array(buffer, blockAt(i), BLOCK));
  halves = new Uint16Array(buffer, blockAt(1), BLOCK);
  stage = new Uint8Array(buffer, 0, STAGE_BYTES);
  stagedFloats = new Float32Array(buffer, 0, STAGE_BYTES / 4);
  owned = new Float32Array(buffer, OWN_AT, STAGE_BYTES / 4);
  taken = new Uint8Array(buffer, TAKEN_AT, DIGEST_BYTES);
  made = new Uint8Array(buffer, MADE_AT, DIGEST_BYTES);
}
ensureBlocks(2);

/**
 * Combines equally long `inputs` elementwise into every one of `outputs`, which may be the inputs themselves. Neighbours are
 * combined first, then pairs of pairs, a left-over joins on the next level: ((0 + 1) + (2 + 3)) + 4. With a power of two of
 * inputs, sums of aligned halves are therefore sums of the whole's parts, bit for bit.
 */
export function combineTree(op: Reduction, inputs: readonly Float32Array[], outputs: readonly Float32Array[]): void {
  ensureBlocks(inputs.length);
  const kernel = op === 'sum' ? exports.sumTree : exports.maxTree;
  const { length } = inputs[0];
  for (let start = 0; start < length; start += BLOCK) {
    const end = Math.min(length, start + BLOCK);
    for (let i = 0; i < inputs.length; i++) blocks[i].set(inputs[i].subarray(start, end));
    if (inputs.length > 1) kernel(blockAt(0), inputs.length, STRIDE, 4 * (end - start));
    const result = end - start === BLOCK ? blocks[0] : blocks[0].subarray(0, end - start);
    for (const output of outputs) output.set(result, start);
  }
}

/** The sum as ranks make it (`combineTree`), for values that one process holds. */
export function sumTree(inputs: readonly Float32Array[], outputs: readonly Float32Array[]): void {
  combineTree('sum', inputs, outputs);
}

/** What becomes of values that arrive. */
export type Taking = Reduction | 'copy';

/**
 * `target[i] = own[i] op source[i]`, or `source[i]` for `copy`: one pass in which the source is checked too.
 * @param own as long as `target`, which it may be itself
 * @returns the digest of `target`'s bytes
 * @throws what `source.check` throws, when `target` has been written to
 */
export function takeFloats(source: ByteSource, taking: Taking, own: Float32Array, target: Float32Array): Digest {
  taken.fill(0);
  made.fill(0);
  forStages(source, (at, bytes) => {
    const start = at / 4;
    const whole = bytes === STAGE_BYTES;
    if (taking === 'copy') {
      exports.digest(TAKEN_AT, 0, roundUp(bytes));
      target.set(whole ? stagedFloats : stagedFloats.subarray(0, bytes / 4), start);
      return;
    }
    owned.set(own.subarray(start, start + bytes / 4));
    // What is rounded up to 16 bytes counts as zeros.
    if (!whole) owned.fill(0, bytes / 4, roundUp(bytes) / 4);
    if (taking === 'sum') exports.addDigested(OWN_AT, 0, roundUp(bytes), TAKEN_AT, MADE_AT);
    else {
      exports.digest(TAKEN_AT, 0, roundUp(bytes));
      exports.max(OWN_AT, 0, roundUp(bytes));
      exports.digest(MADE_AT, OWN_AT, roundUp(bytes));
    }
    target.set(whole ? owned : owned.subarray(0, bytes / 4), start);
  });
  source.check(taken);
  return (taking === 'copy' ? taken : made).slice();
}

/** As `takeFloats`, where halves arrive. */
export function takeHalves(
  type: 'bfloat16' | 'float16',
  source: ByteSource,
  taking: Taking,
  own: Float32Array,
  target: Float32Array,
): void {
  taken.fill(0);
  const widen = type === 'bfloat16' ? exports.fromBfloat16 : exports.fromFloat16;
  forStages(source, (at, bytes) => {
    exports.digest(TAKEN_AT, 0, roundUp(bytes));
    for (let from = 0; from < bytes; from += BLOCK_BYTES / 2) {
      const length = Math.min(BLOCK_BYTES / 2, bytes - from) / 2;
      const start = (at + from) / 2;
      widen(blockAt(1), from, 4 * length);
      if (taking !== 'copy') {
        blocks[0].set(own.subarray(start, start + length));
        exports[taking === 'sum' ? 'add' : 'max'](blockAt(0), blockAt(1), 4 * length);
      }
      target.set(blocks[taking === 'copy' ? 1 : 0].subarray(0, length), start);
    }
  });
  source.check(taken);
}

/** The bytes of `source`, checked. */
export function bytesOf(source: ByteSource): Uint8Array {
  const bytes = new Uint8Array(source.length);
  copyBytes(source, bytes);
  return bytes;
}

/** `target` becomes the bytes of `source`, which are as many. @returns their digest */
export function copyBytes(source: ByteSource, target: Uint8Array): Digest {
  taken.fill(0);
  forStages(source, (at, bytes) => {
    exports.digest(TAKEN_AT, 0, roundUp(bytes));
    target.set(bytes === STAGE_BYTES ? stage : stage.subarray(0, bytes), at);
  });
  source.check(taken);
  return taken.slice();
}

/**
 * 32 bytes that stand for any number of bytes: sums of their words in which the order counts. Many times as fast as a CRC over
 * them.
 */
export function digestOf(bytes: Uint8Array): Digest {
  taken.fill(0);
  const read = (at: number, into: Uint8Array) => into.set(bytes.subarray(at, at + into.length));
  forStages({ length: bytes.length, read }, (_, staged) => exports.digest(TAKEN_AT, 0, roundUp(staged)));
  return taken.slice();
}

/** Copies the source into the stage, piece by piece, with zeros up to the next 16 bytes. */
function forStages(source: Pick<ByteSource, 'length' | 'read'>, act: (at: number, bytes: number) => void): void {
  for (let at = 0; at < source.length; at += STAGE_BYTES) {
    const bytes = Math.min(STAGE_BYTES, source.length - at);
    source.read(at, bytes === STAGE_BYTES ? stage : stage.subarray(0, bytes));
    stage.fill(0, bytes, roundUp(bytes));
    act(at, bytes);
  }
}

function roundUp(bytes: number): number {
  return (bytes + 15) & ~15;
}

/** Rounds to the nearest, ties to even. `wire.length = values.length`. */
export function toHalf(type: 'bfloat16' | 'float16', values: Float32Array, wire: Uint16Array): void {
  const kernel = type === 'bfloat16' ? exports.toBfloat16 : exports.toFloat16;
  for (let start = 0; start < values.length; start += BLOCK) {
    const end = Math.min(values.length, start + BLOCK);
    blocks[0].set(values.subarray(start, end));
    kernel(blockAt(1), blockAt(0), 4 * (end - start));
    wire.set(halves.subarray(0, end - start), start);
  }
}

export function fromHalf(type: 'bfloat16' | 'float16', wire: Uint16Array, values: Float32Array): void {
  const kernel = type === 'bfloat16' ? exports.fromBfloat16 : exports.fromFloat16;
  for (let start = 0; start < wire.length; start += BLOCK) {
    const end = Math.min(wire.length, start + BLOCK);
    halves.set(wire.subarray(start, end));
    kernel(blockAt(0), blockAt(1), 4 * (end - start));
    values.set(blocks[0].subarray(0, end - start), start);
  }
}

/** What is left of `values` as halves, in place. */
export function roundToHalf(type: 'bfloat16' | 'float16', values: Float32Array): void {
  const [narrow, widen] =
    type === 'bfloat16' ? [exports.toBfloat16, exports.fromBfloat16] : [exports.toFloat16, exports.fromFloat16];
  for (let start = 0; start < values.length; start += BLOCK) {
    const end = Math.min(values.length, start + BLOCK);
    blocks[0].set(values.subarray(start, end));
    narrow(blockAt(1), blockAt(0), 4 * (end - start));
    widen(blockAt(0), blockAt(1), 4 * (end - start));
    values.set(blocks[0].subarray(0, end - start), start);
  }
}
