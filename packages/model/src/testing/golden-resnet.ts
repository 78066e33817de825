// For tests: the small modified ResNet of test/golden/resnet.json, and what PyTorch makes of it.
import assert from 'node:assert/strict';
import { type StepDefinition, type StepExecutor, tf, valueAndGradients } from '@slip/engine';
import { type ModelConfig, resolveModel, stateLayout } from '../architecture.js';
import { imageFeatureStep } from '../feature-steps.js';
import { initialiseBuffers } from '../initialise.js';
import { parametersOf } from '../parameters.js';
import { updateRunningStatistics } from '../running-statistics.js';
import { visionFeatures } from '../towers/vision-tower.js';
import { readGolden, relativeError } from './golden-model.js';

export const golden = readGolden('resnet.json') as {
  readonly config: { image: number; width: number; layers: number[]; heads: number; out: number };
  readonly batch: number;
  readonly loss: number;
  readonly features: readonly number[];
  readonly gradients: Readonly<Record<string, readonly number[]>>;
  readonly running: Readonly<Record<string, readonly number[]>>;
  readonly evaluated: readonly number[];
  readonly fullTower: Readonly<Record<string, readonly number[]>>;
};
const TOLERANCE = 1e-4;
/** Below this share of the largest norm, a tensor's own norm is no measure. */
const FLOOR = 1e-2;

export const model: ModelConfig = {
  ...resolveModel('CLIP_RN50', { embedDim: golden.config.out }),
  vision: {
    kind: 'resnet',
    imageSize: golden.config.image,
    width: golden.config.width,
    layers: golden.config.layers,
    heads: golden.config.heads,
  },
};
export const tower = stateLayout(model).entries.filter(({ name }) => name.startsWith('visual.'));
export const parameters = tower.filter(({ kind }) => kind === 'param');

function parameterValues(): Record<string, Float32Array> {
  const entries = parameters.map(({ name, shape, size }, t): [string, Float32Array] => {
    const isNorm = shape.length === 1 && name.endsWith('weight');
    const fanIn = size / shape[0];
    const [base, amplitude] = isNorm ? [1, 0.1] : [0, shape.length < 2 ? 0.1 : Math.sqrt(2 / fanIn)];
    return [name, Float32Array.from({ length: size }, (_, i) => base + amplitude * Math.sin(0.618034 * (i + 1) + t))];
  });
  return Object.fromEntries(entries);
}

function pixels(): Float32Array {
  const { image } = golden.config;
  return Float32Array.from({ length: golden.batch * 3 * image ** 2 }, (_, i) => {
    const [x, y] = [i % image, Math.floor(i / image) % image];
    const [c, b] = [Math.floor(i / image ** 2) % 3, Math.floor(i / image ** 2 / 3)];
    return Math.sin(0.3 * (b + 1) * (x + 0.5 * y) + c) + 0.5 * (b - 1.5);
  });
}

/** Features, gradients of the generator's loss, statistics; for some rows of the batch. */
export function towerStep(rows: number, firstRow: number): StepDefinition {
  const { image, out } = golden.config;
  const weights = Float32Array.from({ length: rows * out }, (_, i) => Math.cos(0.9 * (i + firstRow * out)));
  return {
    name: 'tower',
    inputs: [
      ...parameters.map(({ name, shape }) => ({ name, shape, dtype: 'float32' as const })),
      { name: 'image', shape: [rows, 3, image, image], dtype: 'float32' },
    ],
    fn({ image, ...params }) {
      const statistics: Record<string, tf.Tensor> = {};
      const { results, gradients } = valueAndGradients(params, (variables) => {
        const features = visionFeatures(image, parametersOf(variables), model.vision, {
          record(module, mean, variance) {
            statistics[`bn/visual.${module}/image/mean`] = mean;
            statistics[`bn/visual.${module}/image/unbiased`] = variance;
          },
        });
        return { ...statistics, features, loss: tf.sum(tf.mul(features, tf.tensor(weights, [rows, out]))) };
      });
      return { ...results, ...Object.fromEntries(Object.entries(gradients).map(([n, value]) => [`grad/${n}`, value])) };
    },
  };
}

export function feed(executor: StepExecutor, firstRow: number): void {
  for (const [name, values] of Object.entries(parameterValues())) executor.input(name).set(values);
  const image = executor.input('image');
  const width = 3 * golden.config.image ** 2;
  image.set(pixels().subarray(firstRow * width, firstRow * width + image.length));
}

export function assertGradients(gradientOf: (name: string) => ArrayLike<number>, slack = 1): void {
  const floor = FLOOR * Math.max(...Object.values(golden.gradients).map((gradient) => Math.hypot(...gradient)));
  for (const [name, expected] of Object.entries(golden.gradients)) {
    const error = relativeError(gradientOf(`visual.${name}`), expected, floor);
    assert.ok(error < slack * TOLERANCE, `${name}: relative error ${error}`);
  }
}

export function assertRunning(executor: StepExecutor, slack = 1): Float32Array {
  const buffers = initialiseBuffers(model);
  const read = (name: string) => executor.output(name) as Float32Array;
  assert.equal(updateRunningStatistics(buffers, tower, read, { globalRows: golden.batch, batchesTracked: 0 }), 1);
  for (const [name, expected] of Object.entries(golden.running)) {
    const { offset, size } = tower.find((entry) => entry.name === `visual.${name}`)!;
    // The offsets of the pictures cancel in the first means: a tenth of a unit is the measure where a norm is smaller.
    const error = relativeError(buffers.subarray(offset, offset + size), expected, 0.1);
    assert.ok(error < slack * 1e-5, `${name}: relative error ${error}`);
  }
  return buffers;
}

/**
 * Features, gradients and running statistics of a training step, and features in evaluation, are PyTorch's.
 * @param slack of a device that sums in other orders: multiplies all tolerances
 */
export async function assertEqualsPyTorch(
  createExecutor: (step: StepDefinition) => Promise<StepExecutor>,
  slack = 1,
): Promise<void> {
  const executor = await createExecutor(towerStep(golden.batch, 0));
  feed(executor, 0);
  await executor.run();
  assert.ok(relativeError(executor.output('features'), golden.features) < slack * 1e-5);
  assertGradients((name) => executor.output(`grad/${name}`), slack);
  const buffers = assertRunning(executor, slack);
  await executor.close();

  const evaluation = await createExecutor(imageFeatureStep(model, { batchSize: golden.batch }));
  for (const [name, values] of Object.entries(parameterValues())) evaluation.input(`param/${name}`).set(values);
  for (const { name, kind: entry, dtype, offset, size } of tower) {
    if (entry === 'buffer' && dtype === 'float32') {
      evaluation.input(`frozen/${name}`).set(buffers.subarray(offset, offset + size));
    }
  }
  evaluation.input('image').set(pixels());
  await evaluation.run();
  assert.ok(relativeError(evaluation.output('features'), golden.evaluated) < slack * 1e-4);
  await evaluation.close();
}
