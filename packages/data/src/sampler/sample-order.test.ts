// Sample orders against PyTorch's, and independence of the number of ranks.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { mersenneTwister, torchRandperm } from './mersenne-twister.js';
import { countBatches, createSampler, distributedSampler } from './sample-order.js';

const vectors = JSON.parse(
  readFileSync(path.resolve(import.meta.dirname, '../../../../test/golden/vectors.json'), 'utf8'),
) as {
  rng: { seed0_raw_u32: number[]; randperm10_seed0: number[]; randperm10_seed1: number[] };
  distributed_sampler: { n: number; world: number; epoch: number; per_rank: number[][] }[];
};

test("PyTorch's generator, randperm and DistributedSampler", () => {
  const random = mersenneTwister(0);
  assert.deepEqual(vectors.rng.seed0_raw_u32.map(random), vectors.rng.seed0_raw_u32);
  assert.deepEqual([...torchRandperm(0, 10)], vectors.rng.randperm10_seed0);
  assert.deepEqual([...torchRandperm(1, 10)], vectors.rng.randperm10_seed1);
  for (const { n, world, epoch, per_rank } of vectors.distributed_sampler) {
    assert.deepEqual(
      per_rank.map((_, rank) => [...distributedSampler(epoch, n, rank, world)]),
      per_rank,
    );
  }
});

test('a global micro-batch has the same samples on any number of ranks', () => {
  const batchOn = (...rows: number[]) =>
    rows.flatMap((_, rank) => [...createSampler({ sampler: 'slip', datasetSize: 103, rows, rank, seed: 5 })(3, 7)]);
  for (const rows of [
    [4, 4],
    [2, 2, 2, 2],
    [3, 3, 2],
    [1, 7],
  ])
    assert.deepEqual(batchOn(...rows), batchOn(8));
});

test('an epoch meets each sample at most once, and epochs differ', () => {
  const sampler = createSampler({ sampler: 'slip', datasetSize: 50, rows: [8], rank: 0, seed: 0 });
  const epoch = (e: number) => Array.from({ length: 6 }, (_, b) => [...sampler(e, b)]).flat();
  assert.equal(new Set(epoch(0)).size, 48);
  assert.notDeepEqual(epoch(0), epoch(1));
});

test('batches per epoch at the size of YFCC15M, and where little is left', () => {
  const yfcc = { datasetSize: 14_689_580, rows: new Array<number>(64).fill(64) };
  assert.equal(countBatches({ sampler: 'slip', ...yfcc }), 3586);
  assert.equal(countBatches({ sampler: 'torch', ...yfcc }), 3586);
  assert.equal(countBatches({ sampler: 'slip', datasetSize: 7, rows: [4, 4] }), 0);
});
