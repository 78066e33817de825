// OpenAI's modified ResNet against PyTorch (test/golden/resnet.json): features, gradients, running statistics and evaluation, eager and
// compiled; the names of the full tower; ranks that share the batch.
import assert from 'node:assert/strict';
import test from 'node:test';
import {
  createEagerExecutor,
  createOnnxExecutor,
  type Recomputation,
  type StepDefinition,
  type StepExecutor,
  tf,
  valueAndGradients,
} from '@slip/engine';
import { type ModelConfig, resolveModel, stateLayout } from '../architecture.js';
import { imageFeatureStep } from '../feature-steps.js';
import { initialiseBuffers } from '../initialise.js';
import { parametersOf } from '../parameters.js';
import { updateRunningStatistics } from '../running-statistics.js';
import { readGolden, relativeError } from '../testing/golden-model.js';
import { localCollectives } from '../testing/local-collectives.js';
import { visionFeatures } from './vision-tower.js';

const golden = readGolden('resnet.json') as {
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

const model: ModelConfig = {
  ...resolveModel('CLIP_RN50', { embedDim: golden.config.out }),
  vision: {
    kind: 'resnet',
    imageSize: golden.config.image,
    width: golden.config.width,
    layers: golden.config.layers,
    heads: golden.config.heads,
  },
};
const tower = stateLayout(model).entries.filter(({ name }) => name.startsWith('visual.'));
const parameters = tower.filter(({ kind }) => kind === 'param');

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
function towerStep(rows: number, firstRow: number): StepDefinition {
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

function feed(executor: StepExecutor, firstRow: number): void {
  for (const [name, values] of Object.entries(parameterValues())) executor.input(name).set(values);
  const image = executor.input('image');
  const width = 3 * golden.config.image ** 2;
  image.set(pixels().subarray(firstRow * width, firstRow * width + image.length));
}

function assertGradients(gradientOf: (name: string) => ArrayLike<number>): void {
  const floor = FLOOR * Math.max(...Object.values(golden.gradients).map((gradient) => Math.hypot(...gradient)));
  for (const [name, expected] of Object.entries(golden.gradients)) {
    const error = relativeError(gradientOf(`visual.${name}`), expected, floor);
    assert.ok(error < TOLERANCE, `${name}: relative error ${error}`);
  }
}

function assertRunning(executor: StepExecutor): Float32Array {
  const buffers = initialiseBuffers(model);
  const read = (name: string) => executor.output(name) as Float32Array;
  assert.equal(updateRunningStatistics(buffers, tower, read, { globalRows: golden.batch, batchesTracked: 0 }), 1);
  for (const [name, expected] of Object.entries(golden.running)) {
    const { offset, size } = tower.find((entry) => entry.name === `visual.${name}`)!;
    // The offsets of the pictures cancel in the first means: a tenth of a unit is the measure where a norm is smaller.
    const error = relativeError(buffers.subarray(offset, offset + size), expected, 0.1);
    assert.ok(error < 1e-5, `${name}: relative error ${error}`);
  }
  return buffers;
}

async function compiled(recomputation: Recomputation): Promise<StepExecutor> {
  const executor = await createOnnxExecutor(towerStep(golden.batch, 0), {
    ...{ rank: 0, worldSize: 1, threads: 1, recomputation },
  });
  feed(executor, 0);
  await executor.run();
  return executor;
}

for (const kind of ['eager', 'onnx'] as const) {
  test(`features, gradients and running statistics equal PyTorch's, ${kind}`, async () => {
    const executor =
      kind === 'onnx' ? await compiled('cheap') : await createEagerExecutor(towerStep(golden.batch, 0), {});
    if (kind === 'eager') {
      feed(executor, 0);
      await executor.run();
    }
    assert.ok(relativeError(executor.output('features'), golden.features) < 1e-5);
    assertGradients((name) => executor.output(`grad/${name}`));
    const buffers = assertRunning(executor);
    await executor.close();

    const step = imageFeatureStep(model, { batchSize: golden.batch });
    const evaluation =
      kind === 'onnx'
        ? await createOnnxExecutor(step, { rank: 0, worldSize: 1, threads: 1 })
        : await createEagerExecutor(step);
    for (const [name, values] of Object.entries(parameterValues())) evaluation.input(`param/${name}`).set(values);
    for (const { name, kind: entry, dtype, offset, size } of tower) {
      if (entry === 'buffer' && dtype === 'float32') {
        evaluation.input(`frozen/${name}`).set(buffers.subarray(offset, offset + size));
      }
    }
    evaluation.input('image').set(pixels());
    await evaluation.run();
    assert.ok(relativeError(evaluation.output('features'), golden.evaluated) < 1e-4);
    await evaluation.close();
  });
}

test('blocks that are computed again give the same bits', async () => {
  const [plain, again] = [await compiled('none'), await compiled('blocks')];
  for (const { name } of parameters) assert.deepEqual(again.output(`grad/${name}`), plain.output(`grad/${name}`));
});

test('ranks with three rows and one have the statistics and gradients of the whole batch', async () => {
  const rows = [3, 1];
  const collectives = localCollectives(rows.length);
  const executors: StepExecutor[] = [];
  for (const [rank, count] of rows.entries()) {
    const place = { rank, worldSize: 2, rows, threads: 1, collectives: collectives[rank] };
    const executor = await createOnnxExecutor(towerStep(count, rank * rows[0]), place);
    feed(executor, rank * rows[0]);
    executors.push(executor);
  }
  await Promise.all(executors.map((executor) => executor.run()));
  for (const executor of executors) assertRunning(executor);
  assertGradients((name) => {
    const [a, b] = executors.map((executor) => executor.output(`grad/${name}`) as Float32Array);
    return a.map((value, i) => value + b[i]);
  });
});

test("the full tower has OpenAI's names, order and shapes", () => {
  const full = stateLayout(resolveModel('CLIP_RN50')).entries.filter(({ name }) => name.startsWith('visual.'));
  const names = full.map(({ name, shape }) => [name.slice('visual.'.length), [...shape]]);
  // The order within a block and of the projections is that of the modules there.
  assert.deepEqual(Object.fromEntries(names as [string, number[]][]), golden.fullTower);
  assert.equal(new Set(full.map(({ name }) => name)).size, names.length);
});
