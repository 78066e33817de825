// The memory in which the kernels work. Values that lie elsewhere are copied through blocks that stay in the cache. Memory that was
// mapped can be shown instead: its pages are mapped a second time inside WebAssembly's memory, and nothing is copied.
import { compileWasm, instantiateWasm, SlipError, threadMemory } from '@slip/core';
import { loadNative } from '../shared/native.js';
import { KERNELS_BINARY } from './kernels-binary.js';

interface Exports {
  /** `grow` takes pages of 64 KiB and leaves the old buffer detached. */
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  add(into: number, other: number, bytes: number): void;
  max(into: number, other: number, bytes: number): void;
  sumTree(base: number, count: number, stride: number, bytes: number): void;
  maxTree(base: number, count: number, stride: number, bytes: number): void;
  digest(sums: number, from: number, bytes: number): void;
  addDigested(to: number, own: number, other: number, bytes: number, taken: number, made: number): void;
  toBfloat16(to: number, from: number, bytes: number): void;
  fromBfloat16(to: number, from: number, bytes: number): void;
  toFloat16(to: number, from: number, bytes: number): void;
  fromFloat16(to: number, from: number, bytes: number): void;
}

/** An address in WebAssembly's memory. */
export type Place = number;

/** Elements of a block. Two of them and their sum stay in a first-level cache of 64 KiB, those of 64 ranks in the second. */
export const BLOCK = 4096;
export const BLOCK_BYTES = BLOCK * Float32Array.BYTES_PER_ELEMENT;
/** Not a power of two, so that the blocks of many ranks do not fall into the same lines of the cache. */
export const STRIDE = BLOCK_BYTES + 128;
export const DIGEST_BYTES = 32;
/** What arrives is copied to the start of the memory, in pieces of whole blocks that stay in the second-level cache. */
export const STAGE_BYTES = 4 * BLOCK_BYTES;
/** Beside it the own values, and the digests of both. */
export const OWN_AT = STAGE_BYTES + 128;
export const TAKEN_AT = OWN_AT + STAGE_BYTES;
export const MADE_AT = TAKEN_AT + DIGEST_BYTES;
const BLOCKS_AT = MADE_AT + DIGEST_BYTES;
export const blockAt = (i: number): Place => BLOCKS_AT + i * STRIDE;

const PAGE = 65_536;
/** Windows begin here; before it is room for the blocks of 2000 inputs. */
const WINDOWS_AT = 32 << 20;

/** Memory that may be seen, and where, once it has been looked for. */
interface Shown {
  readonly array: Float32Array;
  place?: Place | 'unseen';
}

export const kernels = instantiateWasm<Exports>(compileWasm(KERNELS_BINARY));
const shown: Shown[] = [];
let windowsEnd = WINDOWS_AT;
/** Blocks of which there are at least two; the second one also as halves. Anew after each growth of the memory, as all views of it. */
export let blocks: readonly Float32Array[] = [];
export let halves: Uint16Array;
/** The whole memory. */
let bytes = new Uint8Array(0);

export const bytesAt = (place: Place, length: number) => bytes.subarray(place, place + length);
export const floatsAt = (place: Place, length: number) =>
  new Float32Array(kernels.memory.buffer, place, length / Float32Array.BYTES_PER_ELEMENT);

/** @throws RangeError beyond 4 GiB */
function growTo(end: number, blockCount: number): void {
  const { memory } = kernels;
  memory.grow(Math.max(0, Math.ceil(end / PAGE) - memory.buffer.byteLength / PAGE));
  bytes = new Uint8Array(memory.buffer);
  blocks = Array.from({ length: blockCount }, (_, i) => new Float32Array(memory.buffer, blockAt(i), BLOCK));
  halves = new Uint16Array(memory.buffer, blockAt(1), BLOCK);
}

/** @throws SlipError `internal` for more than there is room for */
export function ensureBlocks(count: number): void {
  if (blocks.length >= count) return;
  if (blockAt(count) > WINDOWS_AT) throw new SlipError('internal', `a sum of ${count} inputs at once`);
  growTo(blockAt(count), count);
}
ensureBlocks(2);

/** From now on kernels may work on this mapped memory where it is: it must start at a page and stay mapped. */
export function show(array: Float32Array): void {
  shown.push({ array });
}

/** Where kernels see these values; undefined where they must be copied. */
export function placeOf(values: Float32Array | Uint8Array): Place | undefined {
  for (const one of shown) {
    const { array } = one;
    const offset = values.byteOffset - array.byteOffset;
    if (array.buffer !== values.buffer || offset < 0 || offset + values.byteLength > array.byteLength) continue;
    one.place ??= openWindow(array) ?? 'unseen';
    return one.place === 'unseen' ? undefined : one.place + offset;
  }
  return undefined;
}

/** Only when it is needed: pages that are mapped twice count twice as memory of the process. */
function openWindow(array: Float32Array): Place | undefined {
  const native = loadNative();
  const memory = threadMemory();
  if ('missing' in native || !memory) return undefined;
  const place = windowsEnd;
  try {
    const before = memory.placeOf(bytes).address;
    growTo(place + array.byteLength, blocks.length);
    const base = memory.placeOf(bytes).address;
    // It stays where it is unless there is too little address space (`ulimit -v`); windows are not copied along.
    if (base !== before && shown.some((one) => typeof one.place === 'number')) {
      for (const one of shown) one.place = 'unseen';
      return undefined;
    }
    native.mirror(array, base + BigInt(place));
  } catch {
    return undefined;
  }
  windowsEnd = Math.ceil((place + array.byteLength) / PAGE) * PAGE;
  return place;
}
