// Fine-tuning and linear probing in float16 with the loss scale of pre-training: what overflows changes nothing but the scale and the
// place in the schedule, and the scale is gone from gradients before they are clipped.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createSoloGroup } from '@slip/comms';
import { resolveFinetuneConfig } from '@slip/config';
import type { TrainLoader } from '@slip/data';
import { createOnnxExecutor, type StepDefinition } from '@slip/engine';
import { finetuneStep, linearStep } from '@slip/model';
import {
  type ClassifierConfig,
  finetuneLayout,
  linearLayout,
  plainClassifier,
  resolveModel,
  type StateLayout,
  vitOf,
} from '@slip/model/architecture';
import { createCollectiveClock } from '../pretrain/collective-clock.js';
import { adamWOptimizer, type Optimizer, sgdOptimizer, withAverage } from '../pretrain/optimizer.js';
import { stateInputs } from '../pretrain/state-inputs.js';
import { createTrainState, tensorView } from '../pretrain/train-state.js';
import { runTrainStep } from '../pretrain/train-step.js';

const [ROWS, CLASSES, SIZE] = [4, 5, 16];
const vision = vitOf(
  resolveModel('SIMCLR_VITS16', {
    ...{ imageSize: SIZE, patchSize: 8, visionWidth: 32, visionDepth: 2, visionHeads: 2 },
  }),
);
const plain = plainClassifier(vision, CLASSES);
const beit: ClassifierConfig = {
  ...plain,
  ...{ pooling: 'mean', relativePositions: true, layerScale: 0.1 },
};
const adamW = adamWOptimizer({ betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.05 });

interface Task {
  readonly layout: StateLayout;
  readonly optimizer: Optimizer;
  readonly step: (scaledLoss: boolean) => StepDefinition;
}

const finetuned = finetuneLayout(beit, { layerDecay: 0.75, decayRelativePositions: true, initScale: 1 });
const probed = linearLayout(plain);
const TASKS: Readonly<Record<string, Task>> = {
  linear: {
    layout: probed,
    optimizer: sgdOptimizer({ momentum: 0.9, weightDecay: 1e-3 }),
    step: (scaledLoss) => linearStep(plain, probed, { rows: ROWS, scaledLoss }),
  },
  finetune: {
    layout: finetuned,
    optimizer: withAverage(adamW, 0.9),
    step: (scaledLoss) =>
      finetuneStep(beit, finetuned, { rows: ROWS, extraRows: 0, mixes: false, dropsPaths: false, scaledLoss }),
  },
};

/** Below the norm of the gradients: were these still scaled, the step would be as much smaller. */
const CLIP = 0.05;
const LR = 1e-2;

for (const [name, task] of Object.entries(TASKS)) {
  test(`${name}: a step that overflows takes its place, changes nothing else and halves the scale`, async () => {
    const { state, step, close } = await trainer(task, 2 ** 40);
    const before = structuredClone([state.params, state.moments]);
    const { metrics, lossScale } = await step();
    assert.ok(Number.isFinite(metrics.loss));
    assert.deepEqual(lossScale, { scale: 2 ** 40, skippedSteps: 1 });
    assert.deepEqual([state.params, state.moments], before);
    assert.deepEqual([state.step, state.lossScale], [1, { scale: 2 ** 39, goodSteps: 0, skippedSteps: 1 }]);
    await close();
  });

  test(`${name}: three clipped steps in float16 move parameters as float32 does, within 3 %`, async () => {
    const runs = [await trainer(task), await trainer(task, 2 ** 8), await trainer(task, 2 ** 4)];
    const start = runs[0].state.params.slice();
    for (const { step, close } of runs) {
      for (let i = 0; i < 3; i++) await step();
      await close();
    }
    const [full, ...scaled] = runs.map(({ state }) => state.params.map((value, i) => value - start[i]));
    for (const moved of scaled) {
      const error = Math.hypot(...moved.map((value, i) => value - full[i])) / Math.hypot(...full);
      assert.ok(error < 0.03, `relative error ${error}`);
    }
    for (const { state } of runs.slice(1)) assert.equal(state.lossScale?.skippedSteps, 0);
  });
}

/** Training of a fresh state on one batch. @param scale of the loss, in float16; float32 without it */
async function trainer({ layout, optimizer, step: definitionOf }: Task, scale?: number) {
  const { config } = await resolveFinetuneConfig({
    flags: { 'data-path': 'pictures', 'batch-size': ROWS },
    launch: { numNodes: 1, nprocPerNode: 1 },
    cwd: process.cwd(),
  });
  const group = createSoloGroup();
  const state = await createTrainState(layout, 0, group, optimizer.moments);
  if (scale !== undefined) state.lossScale = { scale, goodSteps: 7, skippedSteps: 0 };
  const definition = definitionOf(scale !== undefined);
  const outputs = layout.entries
    .filter(({ kind }) => kind === 'param')
    .map(({ name }) => [`grad/${name}`, tensorView(state, state.grads, name)] as const);
  const executor = await createOnnxExecutor(definition, {
    ...{ rank: 0, worldSize: 1, threads: 1, inputs: stateInputs(state, definition) },
    ...{ outputs: Object.fromEntries(outputs), ...(scale === undefined ? {} : { half: 'float16' as const }) },
  });
  executor.input('image').forEach((_, i, image) => {
    image[i] = Math.sin(0.3 * i + Math.floor(i / (3 * SIZE ** 2)));
  });
  executor.input('weights').fill(1 / ROWS);
  for (let row = 0; row < ROWS; row++) {
    if (definition.name === 'linear probe') executor.input('labels')[row] = row;
    else executor.input('targets')[row * CLASSES + row] = 1;
  }
  const loader = { next: async () => ({ waitMs: 0 }) } as unknown as TrainLoader;
  const { grads } = state;
  const parts = {
    ...{ config, state, optimizer, group, clock: createCollectiveClock(), metricNames: ['loss'], clipGrad: CLIP },
    lanes: [{ executor, loader, feed: () => {}, microGrads: grads, grads }],
    stopRequested: () => false,
    saving: { isUnderWay: false, isWriting: false, isDue: false, release: async () => {} },
  };
  return { state, step: () => runTrainStep(parts, LR), close: () => executor.close() };
}
