// Products of a large matrix with thin ones on the vector units, row by row through a block of WebAssembly's memory that stays
// in the cache. What they are for is PowerSGD's; here they are products.
import { compileWasm, instantiateWasm } from '@slip/core';
import { MATRIX_KERNELS_BINARY } from './matrix-kernels-binary.js';

interface Exports {
  /** `grow` takes pages of 64 KiB and leaves the old buffer detached. */
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  dot(a: number, b: number, bytes: number): number;
  addScaled(into: number, x: number, scale: number, bytes: number): void;
}

/** `[rows, columns]` of a matrix stored row after row, and how many columns the thin matrices have. */
export interface MatrixShape {
  readonly rows: number;
  readonly columns: number;
  readonly rank: number;
}

const PAGE = 65_536;
const exports = instantiateWasm<Exports>(compileWasm(MATRIX_KERNELS_BINARY));

/** Blocks of one row each: two for rows of large matrices, then those of the thin one. */
interface Blocks {
  readonly views: readonly Float32Array[];
  readonly at: readonly number[];
  readonly bytes: number;
}

function blocksFor(count: number, columns: number): Blocks {
  const bytes = Math.ceil(columns / 4) * 16;
  const missing = Math.ceil((count * bytes - exports.memory.buffer.byteLength) / PAGE);
  if (missing > 0) exports.memory.grow(missing);
  const { buffer } = exports.memory;
  new Uint8Array(buffer, 0, count * bytes).fill(0);
  const at = Array.from({ length: count }, (_, i) => i * bytes);
  return { views: at.map((start) => new Float32Array(buffer, start, columns)), at, bytes };
}

/**
 * `matrix += addend`, then `left = matrix * right`.
 * @param right [rank, columns], transposed. @param left [rank, rows], transposed
 */
export function addAndProject(
  { rows, columns, rank }: MatrixShape,
  matrix: Float32Array,
  addend: Float32Array,
  right: Float32Array,
  left: Float32Array,
): void {
  const { views, at, bytes } = blocksFor(2 + rank, columns);
  for (let j = 0; j < rank; j++) views[2 + j].set(right.subarray(j * columns, (j + 1) * columns));
  for (let row = 0, start = 0; row < rows; row++, start += columns) {
    const target = matrix.subarray(start, start + columns);
    views[0].set(target);
    views[1].set(addend.subarray(start, start + columns));
    exports.addScaled(at[0], at[1], 1, bytes);
    target.set(views[0]);
    for (let j = 0; j < rank; j++) left[j * rows + row] = exports.dot(at[0], at[2 + j], bytes);
  }
}

/** `right = transpose(matrix) * left`; arguments as those of `addAndProject`. */
export function projectBack(
  { rows, columns, rank }: MatrixShape,
  matrix: Float32Array,
  left: Float32Array,
  right: Float32Array,
): void {
  const { views, at, bytes } = blocksFor(2 + rank, columns);
  for (let row = 0, start = 0; row < rows; row++, start += columns) {
    views[0].set(matrix.subarray(start, start + columns));
    for (let j = 0; j < rank; j++) exports.addScaled(at[2 + j], at[0], left[j * rows + row], bytes);
  }
  for (let j = 0; j < rank; j++) right.set(views[2 + j], j * columns);
}

/** `product = left * transpose(right)`, then `matrix -= share * product`; arguments as those of `addAndProject`. */
export function expandAndSubtract(
  { rows, columns, rank }: MatrixShape,
  matrix: Float32Array,
  left: Float32Array,
  right: Float32Array,
  share: number,
  product: Float32Array,
): void {
  const { views, at, bytes } = blocksFor(2 + rank, columns);
  for (let j = 0; j < rank; j++) views[2 + j].set(right.subarray(j * columns, (j + 1) * columns));
  for (let row = 0, start = 0; row < rows; row++, start += columns) {
    const target = matrix.subarray(start, start + columns);
    views[0].fill(0);
    for (let j = 0; j < rank; j++) exports.addScaled(at[0], at[2 + j], left[j * rows + row], bytes);
    product.set(views[0], start);
    views[1].set(target);
    exports.addScaled(at[1], at[0], -share, bytes);
    target.set(views[1]);
  }
}
