// The thin factors of PowerSGD: orthonormal columns, and new ones for those that have become empty. Pure.
import type { MatrixShape } from '@slip/comms';
import type { RandomStream } from '@slip/core';

/** A column of which less than this is left was in the span of the ones before it, but for rounding. */
const IN_SPAN = 1e-6;

/**
 * Gram-Schmidt (modified, twice, which is as good as QR: Giraud et al. 2005) on the columns of the left factor, in place. A
 * column in the span of those before it becomes zero, and sends nothing.
 * @param left [rank, rows], transposed
 */
export function orthonormalise({ rows, rank }: MatrixShape, left: Float32Array): void {
  const columns = Array.from({ length: rank }, (_, j) => Float64Array.from(left.subarray(j * rows, (j + 1) * rows)));
  for (const [j, column] of columns.entries()) {
    const before = Math.sqrt(dot(column, column));
    for (let pass = 0; pass < 2; pass++) {
      for (const other of columns.slice(0, j)) {
        const share = dot(column, other);
        for (let i = 0; i < rows; i++) column[i] -= share * other[i];
      }
    }
    const norm = Math.sqrt(dot(column, column));
    if (norm > IN_SPAN * before) for (let i = 0; i < rows; i++) column[i] /= norm;
    else column.fill(0);
    left.set(column, j * rows);
  }
}

/** Draws new values for columns of zeros, which would stay zero for ever. @param right [rank, columns], transposed */
export function refillEmpty({ columns, rank }: MatrixShape, right: Float32Array, random: RandomStream): void {
  for (let j = 0; j < rank; j++) {
    const column = right.subarray(j * columns, (j + 1) * columns);
    if (column.some((value) => value !== 0)) continue;
    for (let i = 0; i < columns; i++) column[i] = random.normal();
  }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
