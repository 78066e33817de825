// Accumulation: four micro-batches give the mean of their gradients and one update, as the reference defines it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createSoloGroup } from '@slip/comms';
import { type RunConfig, resolvePretrainConfig } from '@slip/config';
import { RandomStream } from '@slip/core';
import type { TrainBatch, TrainLoader } from '@slip/data';
import { createOnnxExecutor, type StepExecutor } from '@slip/engine';
import { adamW, trainStep } from '@slip/model';
import { resolveModel, stateLayout } from '@slip/model/architecture';
import { createCollectiveClock } from './collective-clock.js';
import { feedViews } from './feed-views.js';
import type { Lane } from './lanes.js';
import { adamWOptimizer } from './optimizer.js';
import { createTrainState, type TrainState, tensorView } from './train-state.js';
import { runTrainStep } from './train-step.js';

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
const BATCH = 4;

const NO_SAVES = { isUnderWay: false, isWriting: false, isDue: false, release: async () => {} };

test('update-freq 4 averages four micro-batches, advances batch norm by each, and updates once', async () => {
  const { config } = await resolvePretrainConfig({
    flags: { 'batch-size': BATCH, 'update-freq': 4 },
    launch: { numNodes: 1, nprocPerNode: 1 },
    cwd: process.cwd(),
  });
  const state = await createTrainState(stateLayout(model), 0, createSoloGroup());
  const batches = [0, 1, 2, 3].map(randomBatch);
  const micro = new Float32Array(state.params.length);
  const executor = await compile(state, micro);

  // Each micro-batch alone, at the same parameters.
  const mean = new Float64Array(state.params.length);
  let lossSum = 0;
  for (const batch of batches) {
    for (const view of ['image', 'aug1', 'aug2', 'tokens'] as const) executor.input(view).set(batch[view]!);
    await executor.run();
    lossSum += executor.output('loss')[0];
    micro.forEach((value, i) => {
      mean[i] += value / 4;
    });
  }
  const expected = await createTrainState(stateLayout(model), 0, createSoloGroup());
  expected.grads.set(mean);
  const hyper = { lr: 1e-3, beta1: 0.9, beta2: 0.98, eps: 1e-8, weightDecay: config.wd, step: 1, gradScale: 1 };
  const { params, grads, moments } = expected;
  adamW({ params, grads, expAvg: moments.exp_avg, expAvgSq: moments.exp_avg_sq }, expected.entries, hyper);

  const outcome = await runTrainStep(
    {
      ...{ config, state, metricNames: ['loss', 'clip_loss', 'ssl_loss'], optimizer: adamWOptimizer(adamWOf(config)) },
      lanes: [laneOf(executor, batches, micro, state.grads)],
      ...{
        group: createSoloGroup(),
        clock: createCollectiveClock(),
        stopRequested: () => false,
        saving: NO_SAVES,
      },
    },
    1e-3,
  );
  assert.ok(
    Math.abs(outcome.metrics.loss - lossSum / 4) < 1e-5,
    'the reported loss is the mean, not divided once more',
  );
  assert.deepEqual([state.step, state.batchesTracked], [1, 8]);
  let worst = 0;
  state.grads.forEach((value, i) => {
    worst = Math.max(worst, Math.abs(value / 4 - mean[i]));
  });
  assert.ok(worst < 1e-5, `gradients differ by ${worst}`);
  // Where a gradient is rounding alone, Adam moves by its sign: parameters are compared where it is more.
  state.params.forEach((value, i) => {
    if (Math.abs(mean[i]) > 1e-4) assert.ok(Math.abs(value - expected.params[i]) < 2e-5, `parameter ${i}`);
  });
  await executor.close();
});

test('a loss that is not finite leaves the parameters as they were and names the step', async () => {
  const { config } = await resolvePretrainConfig({
    flags: { 'batch-size': BATCH },
    launch: { numNodes: 1, nprocPerNode: 1 },
    cwd: process.cwd(),
  });
  const state = await createTrainState(stateLayout(model), 0, createSoloGroup());
  const executor = await compile(state, state.grads);
  const before = state.params.slice();
  const batch = randomBatch(0);
  batch.image![5] = Number.NaN;
  await assert.rejects(
    runTrainStep(
      {
        ...{ config, state, metricNames: ['loss'], optimizer: adamWOptimizer(adamWOf(config)) },
        lanes: [laneOf(executor, [batch], state.grads, state.grads)],
        ...{ group: createSoloGroup(), clock: createCollectiveClock(), stopRequested: () => false, saving: NO_SAVES },
      },
      1e-3,
    ),
    /the loss is not finite at step 1 \(loss NaN on rank 0\)/,
  );
  assert.deepEqual(state.params, before);
  assert.equal(state.step, 0);
  await executor.close();
});

function adamWOf({ betas, eps, wd }: RunConfig) {
  return { betas, eps, weightDecay: wd };
}

function laneOf(
  executor: StepExecutor,
  batches: readonly TrainBatch[],
  microGrads: Float32Array,
  grads: Float32Array,
): Lane {
  return { executor, loader: loaderOf(batches), feed: (batch) => feedViews(executor, batch), microGrads, grads };
}

function compile(state: TrainState, grads: Float32Array) {
  const step = trainStep(model, { rows: [BATCH], rank: 0, gather: 'full', sslScale: 1, sslTemp: 0.1 });
  const inputs: Record<string, Float32Array> = {};
  const outputs: Record<string, Float32Array> = {};
  for (const { name, kind } of state.entries) {
    if (kind !== 'param') continue;
    inputs[`param/${name}`] = tensorView(state, state.params, name);
    outputs[`grad/${name}`] = tensorView(state, grads, name);
  }
  return createOnnxExecutor(step, { rank: 0, worldSize: 1, threads: 1, inputs, outputs });
}

function randomBatch(seed: number): TrainBatch {
  const random = new RandomStream('batch', seed);
  const image = () => Float32Array.from({ length: BATCH * 3 * 16 * 16 }, () => random.normal());
  const tokens = Int32Array.from({ length: BATCH * 6 }, () => random.integer(64));
  return {
    epoch: 0,
    index: 0,
    samples: new Uint32Array(BATCH),
    waitMs: 0,
    image: image(),
    aug1: image(),
    aug2: image(),
    tokens,
  };
}

function loaderOf(batches: readonly TrainBatch[]): TrainLoader {
  let next = 0;
  return {
    ...{ datasetSize: 16, batchesPerEpoch: 4, replacedSamples: 0, replacedBecause: [] },
    seek: () => {},
    next: async () => batches[next++],
    close: async () => {},
  };
}
