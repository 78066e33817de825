// Floats as they travel: float32, or half of the bytes. Sums are made in float32 whatever they travel as.
import { fromHalf, toHalf, type WireType } from './kernels.js';

type Dtype = WireType | 'uint8';

export function wireBytes(dtype: Dtype, length: number): number {
  return length * (isHalf(dtype) ? Uint16Array.BYTES_PER_ELEMENT : Float32Array.BYTES_PER_ELEMENT);
}

/** The bytes to send; those of `values` themselves where nothing has to be converted. */
export function packFloats(dtype: Dtype, values: Float32Array): Uint8Array {
  if (!isHalf(dtype)) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const wire = new Uint16Array(values.length);
  toHalf(dtype, values, wire);
  return new Uint8Array(wire.buffer);
}

export function unpackFloats(dtype: Dtype, bytes: Uint8Array): Float32Array {
  // Frames arrive at any address; numbers need a multiple of their size.
  const aligned = bytes.byteOffset % Float32Array.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  if (!isHalf(dtype)) return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
  const values = new Float32Array(aligned.length / 2);
  fromHalf(dtype, new Uint16Array(aligned.buffer, aligned.byteOffset, values.length), values);
  return values;
}

/** What is left of `values` when they have travelled, in place. */
export function roundToWire(dtype: Dtype, values: Float32Array): void {
  if (!isHalf(dtype)) return;
  const wire = new Uint16Array(values.length);
  toHalf(dtype, values, wire);
  fromHalf(dtype, wire, values);
}

function isHalf(dtype: Dtype): dtype is 'bfloat16' | 'float16' {
  return dtype === 'bfloat16' || dtype === 'float16';
}
