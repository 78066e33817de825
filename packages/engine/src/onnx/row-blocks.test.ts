// Blocks of rows: equal, near the height that a cache holds, and none where no divisor is near it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { rowBlocks } from './row-blocks.js';

test('rows are cut into equal blocks near 400', () => {
  const heights = [24 * 197, 24 * 196, 8 * 77, 32 * 77, 768, 512].map((rows) => rows / rowBlocks(rows));
  assert.deepEqual(heights, [394, 392, 308, 352, 384, 512]);
});

test('few rows, and rows without a divisor of some size, stay one block', () => {
  for (const rows of [1, 24, 197, 4729, 2 * 4729]) assert.ok(rowBlocks(rows) <= 2, `${rows}`);
  assert.equal(rowBlocks(4729), 1);
});
