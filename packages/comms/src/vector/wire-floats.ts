// Floats as they travel: float32, or half of the bytes. Sums are made in float32 whatever they travel as.
import {
  type ByteSource,
  bytesOf,
  type Digest,
  fromHalf,
  roundToHalf,
  type Taking,
  takeFloats,
  takeHalves,
  toHalf,
  type WireType,
} from './kernels.js';

type Dtype = WireType | 'uint8';

/** Floats on their way out; the fields are those of `Outgoing`. */
export interface OutgoingFloats {
  bytes(): Uint8Array;
  readonly digest?: Digest;
  readonly isLent: boolean;
}

/** Where halves are made, just before they are copied. */
let scratch = new Uint16Array(0);

export function wireBytes(dtype: Dtype, length: number): number {
  return length * (isHalf(dtype) ? Uint16Array.BYTES_PER_ELEMENT : Float32Array.BYTES_PER_ELEMENT);
}

/**
 * @param isLent the values stay as they are until they have arrived
 * @param digest of the bytes of `values`, where it is known
 */
export function packFloats(dtype: Dtype, values: Float32Array, isLent: boolean, digest?: Digest): OutgoingFloats {
  if (isHalf(dtype)) return { bytes: () => halvesOf(dtype, values), isLent: false };
  const bytes = () => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return digest === undefined ? { bytes, isLent } : { bytes, isLent, digest };
}

export function unpackFloats(dtype: Dtype, source: ByteSource): Float32Array {
  const bytes = bytesOf(source);
  if (!isHalf(dtype)) return new Float32Array(bytes.buffer);
  const values = new Float32Array(bytes.length / 2);
  fromHalf(dtype, new Uint16Array(bytes.buffer), values);
  return values;
}

/**
 * `target[i] = own[i] op source[i]`, or what arrived for `copy`.
 * @returns the digest of `target` as it would travel, where it is known
 */
export function takeWire(
  dtype: Dtype,
  source: ByteSource,
  taking: Taking,
  own: Float32Array,
  target: Float32Array,
): Digest | undefined {
  if (!isHalf(dtype)) return takeFloats(source, taking, own, target);
  takeHalves(dtype, source, taking, own, target);
  return undefined;
}

/** What is left of `values` when they have travelled, in place. */
export function roundToWire(dtype: Dtype, values: Float32Array): void {
  if (isHalf(dtype)) roundToHalf(dtype, values);
}

function halvesOf(dtype: 'bfloat16' | 'float16', values: Float32Array): Uint8Array {
  if (scratch.length < values.length) scratch = new Uint16Array(values.length);
  const wire = scratch.subarray(0, values.length);
  toHalf(dtype, values, wire);
  return new Uint8Array(wire.buffer, 0, wire.byteLength);
}

function isHalf(dtype: Dtype): dtype is 'bfloat16' | 'float16' {
  return dtype === 'bfloat16' || dtype === 'float16';
}
