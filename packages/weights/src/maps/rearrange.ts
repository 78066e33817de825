// The changes that key maps ask for, on tensors that are elsewhere: axes added, matrices transposed, query, key and value
// joined and split, half precision widened. One tensor is in memory at a time.
import { ELEMENT_BYTES, readWhole, type StoredTensor } from '../stored-tensor.js';

export function reshaped(tensor: StoredTensor, shape: readonly number[]): StoredTensor {
  return { ...tensor, shape, chunks: () => tensor.chunks() };
}

/** @param tensor of two axes */
export function transposed(tensor: StoredTensor): StoredTensor {
  const [rows, columns] = tensor.shape;
  const width = ELEMENT_BYTES[tensor.dtype];
  return {
    ...tensor,
    shape: [columns, rows],
    async *chunks() {
      const source = await readWhole(tensor);
      const target = new Uint8Array(source.length);
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          const from = (row * columns + column) * width;
          const to = (column * rows + row) * width;
          for (let i = 0; i < width; i++) target[to + i] = source[from + i];
        }
      }
      yield target;
    },
  };
}

/** Along the first axis; all other axes and the types are equal. */
export function joined(name: string, parts: readonly StoredTensor[]): StoredTensor {
  const [{ dtype, shape }] = parts;
  return {
    name,
    dtype,
    shape: [parts.reduce((sum, part) => sum + part.shape[0], 0), ...shape.slice(1)],
    byteLength: parts.reduce((sum, part) => sum + part.byteLength, 0),
    async *chunks() {
      for (const part of parts) yield* part.chunks();
    },
  };
}

/** Equal parts along the first axis; the inverse of `joined`. */
export function split(tensor: StoredTensor, names: readonly string[]): StoredTensor[] {
  const { shape, byteLength } = tensor;
  const bytes = byteLength / names.length;
  return names.map((name, part) => ({
    ...tensor,
    name,
    shape: [shape[0] / names.length, ...shape.slice(1)],
    byteLength: bytes,
    async *chunks() {
      yield (await readWhole(tensor)).subarray(part * bytes, (part + 1) * bytes);
    },
  }));
}

/** float16 and bfloat16 as float32, exactly; other types as they are. */
export function widened(tensor: StoredTensor): StoredTensor {
  if (tensor.dtype !== 'F16' && tensor.dtype !== 'BF16') return tensor;
  const widen = tensor.dtype === 'F16' ? halfBits : (bits: number) => bits << 16;
  return {
    ...tensor,
    dtype: 'F32',
    byteLength: tensor.byteLength * 2,
    async *chunks() {
      const source = await readWhole(tensor);
      const halves = new Uint16Array(source.buffer);
      yield new Uint8Array(Uint32Array.from(halves, widen).buffer);
    },
  };
}

/** The bits of the float32 that is equal to a float16. */
function halfBits(bits: number): number {
  const sign = (bits & 0x8000) << 16;
  const exponent = (bits >> 10) & 31;
  let fraction = bits & 1023;
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13);
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // A subnormal half is a normal single: shift until its leading one is the hidden one.
  let shift = 0;
  while ((fraction & 1024) === 0) {
    fraction <<= 1;
    shift++;
  }
  return sign | ((113 - shift) << 23) | ((fraction & 1023) << 13);
}
