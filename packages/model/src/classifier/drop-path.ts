// Stochastic depth (reference 1.6): how often each block is skipped, and the factors of its branches for a row. Pure.
import type { RandomStream } from '@slip/core';

/** For each block: from 0 to `rate`, evenly. */
export function dropPathRates(depth: number, rate: number): number[] {
  return Array.from({ length: depth }, (_, i) => (depth === 1 ? 0 : (rate * i) / (depth - 1)));
}

/**
 * Draws the two branches of every block for one row.
 * @param out [2 * depth, rows]: 0 where the branch is dropped, else 1 / (1 - rate)
 */
export function writeDropPath(
  out: Float32Array,
  rates: readonly number[],
  row: number,
  rows: number,
  stream: RandomStream,
): void {
  for (const [block, rate] of rates.entries()) {
    for (const branch of [2 * block, 2 * block + 1]) {
      out[branch * rows + row] = rate > 0 && stream.uniform() < rate ? 0 : 1 / (1 - rate);
    }
  }
}
