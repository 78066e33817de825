// The sharded update equals all-reduce and a whole AdamW on every rank, bit for bit, and shards are what they should be.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createMemoryGroups } from '@slip/comms';
import { RandomStream } from '@slip/core';
import { adamW } from '@slip/model';
import { resolveModel, stateLayout } from '@slip/model/architecture';
import { createCollectiveClock } from './collective-clock.js';
import { planBuckets } from './gradient-buckets.js';
import { gatherMoments, updateParameters } from './sharded-optimizer.js';
import { createTrainState, type TrainState } from './train-state.js';

const model = resolveModel('SLIP_VITS16', {
  ...{
    imageSize: 16,
    patchSize: 8,
    visionWidth: 48,
    visionDepth: 2,
    visionHeads: 2,
    textWidth: 16,
    textDepth: 1,
    textHeads: 2,
  },
  ...{ contextLength: 6, vocabSize: 64, embedDim: 16, sslMlpDim: 16, sslEmbDim: 8 },
});

// Elements of a bucket. Buckets change which sums go around the ring and where they begin: there, gradients whose sums are exact.
for (const [worldSize, elements] of [1, 2, 3, 4].flatMap((world) => [
  [world, Number.POSITIVE_INFINITY],
  [world, 5000],
])) {
  test(`three updates on ${worldSize} ranks in buckets of ${elements} equal those of an optimizer that is not sharded`, async () => {
    const groups = createMemoryGroups(worldSize);
    await Promise.all(
      groups.map(async (group) => {
        const sharded = await createTrainState(stateLayout(model), 0, group);
        const whole = await createTrainState(stateLayout(model), 0, group);
        // Not in the order of the arena, as a backward pass would have it.
        sharded.buckets = planBuckets(sharded.entries, (name) => -name.length, elements, worldSize);
        for (let step = 1; step <= 3; step++) {
          const hyper = {
            lr: 1e-2,
            beta1: 0.9,
            beta2: 0.98,
            eps: 1e-8,
            weightDecay: 0.1,
            step,
            gradScale: 1 / worldSize,
          };
          fillGradients(sharded, group.rank, step, elements < Number.POSITIVE_INFINITY);
          fillGradients(whole, group.rank, step, elements < Number.POSITIVE_INFINITY);
          await updateParameters(sharded, group, createCollectiveClock(), (range) =>
            adamW(arenasOf(sharded), sharded.entries, hyper, range),
          );
          await group.allReduce(whole.grads);
          adamW(arenasOf(whole), whole.entries, hyper);
        }
        await gatherMoments(sharded, group);
        assert.deepEqual(sharded.params, whole.params);
        assert.deepEqual(sharded.moments, whole.moments);
      }),
    );
    await Promise.all(groups.map((group) => group.close()));
  });
}

test('the logit scale is clamped by the rank that owns it, for all', async () => {
  const groups = createMemoryGroups(2);
  const { offset } = stateLayout(model).entries.find(({ name }) => name === 'logit_scale')!;
  await Promise.all(
    groups.map(async (group) => {
      const state = await createTrainState(stateLayout(model), 0, group);
      state.params[offset] = 9;
      const hyper = { lr: 0, beta1: 0.9, beta2: 0.98, eps: 1e-8, weightDecay: 0, step: 1, gradScale: 1 };
      await updateParameters(state, group, createCollectiveClock(), (range) =>
        adamW(arenasOf(state), state.entries, hyper, range),
      );
      assert.equal(state.params[offset], Math.fround(4.6052));
    }),
  );
});

function arenasOf({ params, grads, moments }: TrainState) {
  return { params, grads, expAvg: moments.exp_avg, expAvgSq: moments.exp_avg_sq };
}

function fillGradients(state: TrainState, rank: number, step: number, exact: boolean): void {
  const random = new RandomStream('gradients', rank, step);
  for (let i = 0; i < state.grads.length; i++) {
    const value = random.uniform(-1, 1);
    state.grads[i] = exact ? Math.round(value * 1024) / 1024 : value;
  }
}
