// Tensors whose elements are not in row-major order in the file (transposed, sliced or expanded views).
import type { FileHandle } from 'node:fs/promises';
import { countElements, ELEMENT_BYTES, readRange, type StoredTensor } from '../stored-tensor.js';

/** Axes of length 1 may have any stride. */
export function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] === 0) return true;
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis];
  }
  return true;
}

/** Reads the region that the view spans and puts its elements in order; both are in memory then. */
export function gatherStrided(
  file: string,
  handle: FileHandle,
  description: Pick<StoredTensor, 'name' | 'dtype' | 'shape'>,
  begin: number,
  strides: readonly number[],
): StoredTensor {
  const { dtype, shape } = description;
  const width = ELEMENT_BYTES[dtype];
  const span = shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis], 1);
  const byteLength = countElements(shape) * width;
  return {
    ...description,
    byteLength,
    async *chunks() {
      const region = new Uint8Array(span * width);
      let done = 0;
      for await (const piece of readRange(file, handle, begin, begin + region.length)) {
        region.set(piece, done);
        done += piece.length;
      }
      yield reorder(region, shape, strides, width, byteLength);
    },
  };
}

function reorder(
  region: Uint8Array,
  shape: readonly number[],
  strides: readonly number[],
  width: number,
  byteLength: number,
): Uint8Array {
  const ordered = new Uint8Array(byteLength);
  const index = shape.map(() => 0);
  let source = 0;
  for (let target = 0; target < byteLength; target += width) {
    for (let i = 0; i < width; i++) ordered[target + i] = region[source * width + i];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      source += strides[axis];
      if (++index[axis] < shape[axis]) break;
      source -= shape[axis] * strides[axis];
      index[axis] = 0;
    }
  }
  return ordered;
}
