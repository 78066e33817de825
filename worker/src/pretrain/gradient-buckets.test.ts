// Buckets cover every parameter once, are as large as asked for, and come in the order in which they are complete.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { TensorEntry } from '@slip/model/architecture';
import { planBuckets, shardOf, wholeBucket } from './gradient-buckets.js';

function entriesOf(sizes: readonly number[]): TensorEntry[] {
  let offset = 0;
  return sizes.map((size, i) => {
    const entry = { name: `p${i}`, kind: 'param', shape: [size], size, offset, decay: true };
    offset += size;
    return entry as unknown as TensorEntry;
  });
}

test('contiguous, whole tensors, complete in order', () => {
  const entries = entriesOf([3, 4, 9, 2, 2, 1]);
  // The first tensors are complete last, as in a backward pass; p3 comes before its neighbours.
  const completion = new Map([6, 5, 4, 1, 3, 2].map((place, i) => [`p${i}`, place]));
  const buckets = planBuckets(entries, (name) => completion.get(name)!, 7, 2);
  assert.deepEqual(
    buckets.map(({ start, end, names }) => [start, end, names]),
    [
      [16, 21, ['p3', 'p4', 'p5']],
      [7, 16, ['p2']],
      [0, 7, ['p0', 'p1']],
    ],
  );
});

test('every element has one owner, for any size of bucket', () => {
  const sizes = [5, 3000, 1, 12_000, 800, 70_000, 2];
  const entries = entriesOf(sizes);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  for (const worldSize of [1, 2, 3, 8]) {
    for (const elements of [1, 1000, 20_000, 1e9]) {
      const owners = new Int8Array(total).fill(-1);
      for (const bucket of planBuckets(entries, () => 0, elements, worldSize)) {
        for (let rank = 0; rank < worldSize; rank++) {
          const { start, end } = shardOf(bucket, rank);
          assert.ok(owners.subarray(start, end).every((owner) => owner === -1));
          owners.fill(rank, start, end);
        }
      }
      assert.ok(!owners.includes(-1), `${elements} elements, ${worldSize} ranks`);
    }
    const [one, ...more] = planBuckets(entries, () => 0, Number.POSITIVE_INFINITY, worldSize);
    assert.deepEqual([one, more], [wholeBucket(entries, worldSize), []]);
  }
});
