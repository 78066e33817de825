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
  toBfloat16(to: number, from: number, bytes: number): void;
  fromBfloat16(to: number, from: number, bytes: number): void;
  toFloat16(to: number, from: number, bytes: number): void;
  fromFloat16(to: number, from: number, bytes: number): void;
}

export type Reduction = 'sum' | 'max';
/** What floats are sent as; sums are always made in float32. */
export type WireType = 'float32' | 'bfloat16' | 'float16';

/** Elements of a block. Two of them and their sum stay in a first-level cache of 64 KiB, those of 64 ranks in the second. */
const BLOCK = 4096;
const BLOCK_BYTES = BLOCK * Float32Array.BYTES_PER_ELEMENT;
/** Not a power of two, so that the blocks of many ranks do not fall into the same lines of the cache. */
const STRIDE = BLOCK_BYTES + 128;
const PAGE = 65_536;
const DIGEST_BYTES = 32;

const exports = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(KERNELS_BINARY, 'base64')))
  .exports as Exports;
let blocks: Float32Array[] = [];
let halves: Uint16Array;
let bytesOfFirst: Uint8Array;
let sums: Uint8Array;

function ensureBlocks(count: number): void {
  if (blocks.length >= count) return;
  const pages = Math.ceil((count * STRIDE) / PAGE);
  exports.memory.grow(Math.max(0, pages - exports.memory.buffer.byteLength / PAGE));
  const { buffer } = exports.memory;
  blocks = Array.from({ length: count }, (_, i) => new Float32Array(buffer, i * STRIDE, BLOCK));
  halves = new Uint16Array(buffer, STRIDE, BLOCK);
  bytesOfFirst = new Uint8Array(buffer, 0, BLOCK_BYTES);
  // The gap behind the first block.
  sums = new Uint8Array(buffer, BLOCK_BYTES, DIGEST_BYTES);
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
    if (inputs.length > 1) kernel(0, inputs.length, STRIDE, 4 * (end - start));
    const result = end - start === BLOCK ? blocks[0] : blocks[0].subarray(0, end - start);
    for (const output of outputs) output.set(result, start);
  }
}

/** The sum as ranks make it (`combineTree`), for values that one process holds. */
export function sumTree(inputs: readonly Float32Array[], outputs: readonly Float32Array[]): void {
  combineTree('sum', inputs, outputs);
}

/** `into[i] = into[i] op other[i]` */
export function combineInto(op: Reduction, into: Float32Array, other: Float32Array): void {
  combineTree(op, [into, other], [into]);
}

/**
 * 32 bytes that stand for any number of bytes: sums of their words in which the order counts. Many times as fast as a CRC over
 * them; for damage, not against forgery.
 */
export function digestOf(bytes: Uint8Array): Uint8Array {
  sums.fill(0);
  for (let start = 0; start < bytes.length; start += BLOCK_BYTES) {
    const piece = bytes.subarray(start, start + BLOCK_BYTES);
    bytesOfFirst.set(piece);
    const whole = Math.ceil(piece.length / 16) * 16;
    bytesOfFirst.fill(0, piece.length, whole);
    exports.digest(BLOCK_BYTES, 0, whole);
  }
  return sums.slice();
}

/** Rounds to the nearest, ties to even. `wire.length = values.length`. */
export function toHalf(type: 'bfloat16' | 'float16', values: Float32Array, wire: Uint16Array): void {
  const kernel = type === 'bfloat16' ? exports.toBfloat16 : exports.toFloat16;
  for (let start = 0; start < values.length; start += BLOCK) {
    const end = Math.min(values.length, start + BLOCK);
    blocks[0].set(values.subarray(start, end));
    kernel(STRIDE, 0, 4 * (end - start));
    wire.set(halves.subarray(0, end - start), start);
  }
}

export function fromHalf(type: 'bfloat16' | 'float16', wire: Uint16Array, values: Float32Array): void {
  const kernel = type === 'bfloat16' ? exports.fromBfloat16 : exports.fromFloat16;
  for (let start = 0; start < wire.length; start += BLOCK) {
    const end = Math.min(wire.length, start + BLOCK);
    halves.set(wire.subarray(start, end));
    kernel(0, STRIDE, 4 * (end - start));
    values.set(blocks[0].subarray(0, end - start), start);
  }
}
