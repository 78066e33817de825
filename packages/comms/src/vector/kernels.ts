// Sums, maxima and conversions of float32 on the vector units. WebAssembly works on memory of its own, so values that it does not see
// are copied through blocks that stay in the cache, which costs less than half of what a loop in JavaScript does.
import {
  BLOCK,
  BLOCK_BYTES,
  blockAt,
  blocks,
  bytesAt,
  DIGEST_BYTES,
  ensureBlocks,
  floatsAt,
  halves,
  kernels,
  MADE_AT,
  OWN_AT,
  type Place,
  placeOf,
  STAGE_BYTES,
  STRIDE,
  TAKEN_AT,
} from './kernel-memory.js';

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
  /** The bytes themselves, where they are in memory that may be `show`n to the kernels: sums are made from there. */
  readonly held?: Uint8Array;
  /** Called once all have been read, in order. @throws where they should have had another digest */
  check(digest: Digest): void;
}

/**
 * Combines equally long `inputs` elementwise into every one of `outputs`, which may be the inputs themselves. Neighbours are
 * combined first, then pairs of pairs, a left-over joins on the next level: ((0 + 1) + (2 + 3)) + 4. With a power of two of
 * inputs, sums of aligned halves are therefore sums of the whole's parts, bit for bit.
 */
export function combineTree(op: Reduction, inputs: readonly Float32Array[], outputs: readonly Float32Array[]): void {
  ensureBlocks(inputs.length);
  const kernel = op === 'sum' ? kernels.sumTree : kernels.maxTree;
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

/** Where nothing is copied there is no need for pieces. */
const WHOLE = Number.POSITIVE_INFINITY;

/** What becomes of values that arrive. */
export type Taking = Reduction | 'copy';

/**
 * `target[i] = own[i] op source[i]`, or `source[i]` for `copy`: one pass in which the source is checked too.
 * @param own as long as `target`, which it may be itself
 * @returns the digest of `target`'s bytes
 * @throws what `source.check` throws, when `target` has been written to
 */
export function takeFloats(source: ByteSource, taking: Taking, own: Float32Array, target: Float32Array): Digest {
  const [targetPlace, ownPlace] = [placeOf(target), placeOf(own)];
  const heldPlace = source.held === undefined ? undefined : placeOf(source.held);
  const isThere = heldPlace !== undefined && targetPlace === heldPlace;
  const isSeen = taking === 'sum' && [targetPlace, ownPlace, heldPlace].every((place) => place !== undefined);
  clearDigests();
  forPieces(source.length, isThere || isSeen ? WHOLE : STAGE_BYTES, (at, bytes) => {
    const [start, end] = [at / 4, (at + bytes) / 4];
    const into = inPlace(targetPlace, at, bytes);
    if (taking === 'copy') {
      if (isThere && into !== undefined) kernels.digest(TAKEN_AT, into, bytes);
      else takePiece(source, at, bytes, into ?? 0);
      if (into === undefined) target.set(floatsAt(0, bytes), start);
      return;
    }
    const taken = inPlace(heldPlace, at, bytes) ?? 0;
    if (taken === 0) readPiece(source, at, bytes, 0);
    const values = inPlace(taking === 'sum' ? ownPlace : undefined, at, bytes) ?? OWN_AT;
    // What is rounded up to 16 bytes counts as zeros.
    if (values === OWN_AT) bytesAt(OWN_AT, roundUp(bytes)).fill(0, bytes);
    if (values === OWN_AT) floatsAt(OWN_AT, bytes).set(own.subarray(start, end));
    const result = taking === 'sum' && into !== undefined ? into : OWN_AT;
    if (taking === 'sum') kernels.addDigested(result, values, taken, roundUp(bytes), TAKEN_AT, MADE_AT);
    else {
      kernels.digest(TAKEN_AT, taken, roundUp(bytes));
      kernels.max(OWN_AT, taken, roundUp(bytes));
      kernels.digest(MADE_AT, OWN_AT, roundUp(bytes));
    }
    if (result === OWN_AT) target.set(floatsAt(OWN_AT, bytes), start);
  });
  source.check(bytesAt(TAKEN_AT, DIGEST_BYTES));
  return digestAt(taking === 'copy' ? TAKEN_AT : MADE_AT);
}

/** As `takeFloats`, where halves arrive. */
export function takeHalves(
  type: 'bfloat16' | 'float16',
  source: ByteSource,
  taking: Taking,
  own: Float32Array,
  target: Float32Array,
): void {
  clearDigests();
  const widen = type === 'bfloat16' ? kernels.fromBfloat16 : kernels.fromFloat16;
  forPieces(source.length, STAGE_BYTES, (at, bytes) => {
    takePiece(source, at, bytes, 0);
    for (let from = 0; from < bytes; from += BLOCK_BYTES / 2) {
      const length = Math.min(BLOCK_BYTES / 2, bytes - from) / 2;
      const start = (at + from) / 2;
      widen(blockAt(1), from, 4 * length);
      if (taking !== 'copy') {
        blocks[0].set(own.subarray(start, start + length));
        kernels[taking === 'sum' ? 'add' : 'max'](blockAt(0), blockAt(1), 4 * length);
      }
      target.set(blocks[taking === 'copy' ? 1 : 0].subarray(0, length), start);
    }
  });
  source.check(bytesAt(TAKEN_AT, DIGEST_BYTES));
}

/** The bytes of `source`, checked. */
export function bytesOf(source: ByteSource): Uint8Array {
  const bytes = new Uint8Array(source.length);
  copyBytes(source, bytes);
  return bytes;
}

/** `target` becomes the bytes of `source`, which are as many. @returns their digest */
export function copyBytes(source: ByteSource, target: Uint8Array): Digest {
  const place = placeOf(target);
  const isThere = place !== undefined && source.held !== undefined && place === placeOf(source.held);
  clearDigests();
  forPieces(source.length, isThere ? WHOLE : STAGE_BYTES, (at, bytes) => {
    const into = inPlace(place, at, bytes);
    if (isThere && into !== undefined) kernels.digest(TAKEN_AT, into, bytes);
    else takePiece(source, at, bytes, into ?? 0);
    if (into === undefined) target.set(bytesAt(0, bytes), at);
  });
  source.check(bytesAt(TAKEN_AT, DIGEST_BYTES));
  return digestAt(TAKEN_AT);
}

/**
 * 32 bytes that stand for any number of bytes: sums of their words in which the order counts. Many times as fast as a CRC over
 * them.
 */
export function digestOf(bytes: Uint8Array): Digest {
  const place = placeOf(bytes);
  const source = { read: (at: number, into: Uint8Array) => into.set(bytes.subarray(at, at + into.length)) };
  clearDigests();
  forPieces(bytes.length, place === undefined ? STAGE_BYTES : WHOLE, (at, length) => {
    const there = inPlace(place, at, length);
    if (there === undefined) takePiece(source, at, length, 0);
    else kernels.digest(TAKEN_AT, there, length);
  });
  return digestAt(TAKEN_AT);
}

function clearDigests(): void {
  bytesAt(TAKEN_AT, 2 * DIGEST_BYTES).fill(0);
}

function digestAt(place: Place): Digest {
  return bytesAt(place, DIGEST_BYTES).slice();
}

/** Pieces of at most `longest` bytes, what is left of whole vectors, and what is left of that. */
function forPieces(length: number, longest: number, act: (at: number, bytes: number) => void): void {
  for (let at = 0, bytes = 0; at < length; at += bytes) {
    bytes = Math.min(longest, length - at);
    if (bytes > 16) bytes &= ~15;
    act(at, bytes);
  }
}

/** Where a piece of values that kernels see lies. Less than a vector is copied, so that nothing beside it is touched. */
function inPlace(place: Place | undefined, at: number, bytes: number): Place | undefined {
  return place === undefined || bytes % 16 !== 0 ? undefined : place + at;
}

/** Copies a piece of the source to where kernels see it, with zeros up to the next 16 bytes. */
function readPiece(source: Pick<ByteSource, 'read'>, at: number, bytes: number, to: Place): void {
  source.read(at, bytesAt(to, bytes));
  if (bytes % 16 !== 0) bytesAt(to, roundUp(bytes)).fill(0, bytes);
}

/** As `readPiece`, with its digest. */
function takePiece(source: Pick<ByteSource, 'read'>, at: number, bytes: number, to: Place): void {
  readPiece(source, at, bytes, to);
  kernels.digest(TAKEN_AT, to, roundUp(bytes));
}

function roundUp(bytes: number): number {
  return (bytes + 15) & ~15;
}

/** Rounds to the nearest, ties to even. `wire.length = values.length`. */
export function toHalf(type: 'bfloat16' | 'float16', values: Float32Array, wire: Uint16Array): void {
  const kernel = type === 'bfloat16' ? kernels.toBfloat16 : kernels.toFloat16;
  for (let start = 0; start < values.length; start += BLOCK) {
    const end = Math.min(values.length, start + BLOCK);
    blocks[0].set(values.subarray(start, end));
    kernel(blockAt(1), blockAt(0), 4 * (end - start));
    wire.set(halves.subarray(0, end - start), start);
  }
}

export function fromHalf(type: 'bfloat16' | 'float16', wire: Uint16Array, values: Float32Array): void {
  const kernel = type === 'bfloat16' ? kernels.fromBfloat16 : kernels.fromFloat16;
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
    type === 'bfloat16' ? [kernels.toBfloat16, kernels.fromBfloat16] : [kernels.toFloat16, kernels.fromFloat16];
  for (let start = 0; start < values.length; start += BLOCK) {
    const end = Math.min(values.length, start + BLOCK);
    blocks[0].set(values.subarray(start, end));
    narrow(blockAt(1), blockAt(0), 4 * (end - start));
    widen(blockAt(0), blockAt(1), 4 * (end - start));
    values.set(blocks[0].subarray(0, end - start), start);
  }
}
