// The loss scale follows PyTorch's GradScaler: growth, backoff and the steps that are left out; overflow is found on any rank.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createSoloGroup } from '@slip/comms';
import { freshLossScale, isOverflow, updateLossScale } from './loss-scale.js';
import type { GradientReduction } from './sharded-optimizer.js';
import type { TrainState } from './train-state.js';

test('the scale begins at 2^16, doubles after 2000 good steps in a row and is halved by a bad one', () => {
  const loss = freshLossScale();
  assert.equal(loss.scale, 65536);
  for (let step = 0; step < 1999; step++) updateLossScale(loss, false);
  updateLossScale(loss, true);
  assert.deepEqual(loss, { scale: 32768, goodSteps: 0, skippedSteps: 1 });
  for (let step = 0; step < 2000; step++) updateLossScale(loss, false);
  assert.deepEqual(loss, { scale: 65536, goodSteps: 0, skippedSteps: 1 });
  updateLossScale(loss, false);
  assert.equal(loss.goodSteps, 1);
});

test('one infinite or missing number anywhere is an overflow', async () => {
  const reduction = { done: async () => 0 } as unknown as GradientReduction;
  const buckets = [
    { names: [], start: 0, end: 3, lengths: [3] },
    { names: [], start: 3, end: 6, lengths: [3] },
  ];
  const found = (grads: number[]) =>
    isOverflow({ buckets, grads: Float32Array.from(grads) } as unknown as TrainState, createSoloGroup(), reduction);
  assert.equal(await found([1, -2, 3e38, 0, -0, 1e-45]), false);
  assert.equal(await found([1, 2, 3, 4, Number.NEGATIVE_INFINITY, 6]), true);
  assert.equal(await found([Number.NaN, 2, 3, 4, 5, 6]), true);
});
