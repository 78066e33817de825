// Linear probing and fine-tuning against PyTorch, RandAugment's sibling values aside (test/golden/classifier.json): losses, gradients,
// several steps of their optimizers, mixing, groups of layers; and mixing over ranks.
import assert from 'node:assert/strict';
import test from 'node:test';
import { RandomStream } from '@slip/core';
import {
  createEagerExecutor,
  createOnnxExecutor,
  type HalfType,
  type StepDefinition,
  type StepExecutor,
} from '@slip/engine';
import { resolveModel, type StateLayout, vitOf } from '../architecture.js';
import { adamW } from '../optimizer/adamw.js';
import { sgd } from '../optimizer/sgd.js';
import { readGolden, relativeError } from '../testing/golden-model.js';
import { type ClassifierConfig, plainClassifier } from './classifier-config.js';
import { finetuneLayout, linearLayout, parameterGroups } from './classifier-layout.js';
import { finetuneStep, linearStep, logitsStep } from './classifier-steps.js';
import { dropPathRates, writeDropPath } from './drop-path.js';
import { boxDraw, drawKey, drawMix, type MixDraw, mixRows, partnerOf, writeMix, writeTargets } from './mixing.js';

interface Finetune {
  readonly options: { pooling: 'cls' | 'mean'; absolute: boolean; relative: boolean; layer_scale: number };
  readonly dropPath: number;
  readonly layerDecay: number;
  readonly lr: number;
  readonly weightDecay: number;
  readonly clipGrad?: number;
  readonly emaDecay?: number;
  readonly losses: number[];
  readonly norms: number[];
  readonly groups: { name: string; lrScale: number; decay: boolean; tensors: string[] }[];
  readonly gradients: Record<string, number[]>;
  readonly parameters: Record<string, [number, number]>;
  readonly average?: Record<string, [number, number]>;
}

const golden = readGolden('classifier.json') as {
  config: { image: number; patch: number; width: number; depth: number; heads: number; classes: number };
  batch: number;
  smoothing: number;
  box: { top: number; bottom: number; left: number; right: number };
  targets: number[][];
  shares: number[];
  pictures: number[][];
  linear: {
    lr: number;
    momentum: number;
    weightDecay: number;
    losses: number[];
    acc1: number[];
    head: Record<string, number[]>;
  }[];
  finetune: Record<'published' | 'beit' | 'both', Finetune>;
};
const { batch, config: sizes, smoothing } = golden;
const size = sizes.image;
const labels = Int32Array.from({ length: batch }, (_, b) => (3 * b + 1) % sizes.classes);
const vision = vitOf(
  resolveModel('SIMCLR_VITS16', {
    ...{ imageSize: size, patchSize: sizes.patch, visionWidth: sizes.width },
    ...{ visionDepth: sizes.depth, visionHeads: sizes.heads },
  }),
);
/** float32 against float64, per tensor, relative to its norm or this share of the largest norm. */
const TOLERANCE = 1e-4;
const NORM_FLOOR = 5e-2;
/** Halves against float64, relative: of the loss, and of all gradients together. */
const HALF_TOLERANCE = { float16: { loss: 1e-3, gradients: 1e-2 }, bfloat16: { loss: 5e-3, gradients: 5e-2 } };
const LOSS_SCALE = 2 ** 10;

const draws = (step: number): MixDraw[] =>
  new Array(batch).fill(step % 2 === 0 ? { share: 0.7 } : boxDraw(golden.box, size));

function pictures(): Float32Array {
  return Float32Array.from({ length: batch * 3 * size ** 2 }, (_, i) => {
    const [x, y] = [i % size, Math.floor(i / size) % size];
    const [c, b] = [Math.floor(i / size ** 2) % 3, Math.floor(i / size ** 2 / 3)];
    return 1.2 * Math.sin(0.3 * (b + 1) * (x + 0.5 * y) + c) + 0.5 * (b - 1.5);
  });
}

/** Arenas of a layout by the generator's formula; its tensors are numbered over parameters and buffers. */
function arenasOf({ entries, parameterCount, bufferCount }: StateLayout) {
  const arenas = { param: new Float32Array(parameterCount), buffer: new Float32Array(bufferCount) };
  for (const [t, { name, kind, shape, offset, size: length }] of entries.entries()) {
    const isNorm = name.includes('norm') && name.endsWith('weight');
    const small = shape.length < 2 || name === 'cls_token' || name === 'pos_embed';
    const [base, amplitude] = isNorm ? [1, 0.1] : [0, small ? 0.1 : 0.4];
    for (let i = 0; i < length; i++) arenas[kind][offset + i] = base + amplitude * Math.sin(0.618034 * (i + 1) + t);
  }
  return arenas;
}

async function compile(
  definition: StepDefinition,
  { entries }: StateLayout,
  arenas: { param: Float32Array; buffer: Float32Array },
  grads: Float32Array,
  kind: 'eager' | 'onnx' | HalfType = 'onnx',
): Promise<StepExecutor> {
  const inputs: Record<string, Float32Array> = {};
  const outputs: Record<string, Float32Array> = {};
  for (const { name, kind, offset, size } of entries) {
    inputs[`${kind === 'param' ? 'param' : 'frozen'}/${name}`] = arenas[kind].subarray(offset, offset + size);
    if (kind === 'param' && grads.length > 0) outputs[`grad/${name}`] = grads.subarray(offset, offset + size);
  }
  const bindings = { inputs, outputs };
  if (kind === 'eager') return createEagerExecutor(definition, bindings);
  const options = { rank: 0, worldSize: 1, threads: 1, ...bindings };
  return createOnnxExecutor(definition, kind === 'onnx' ? options : { ...options, half: kind });
}

for (const expected of golden.linear) {
  test(`linear probing follows PyTorch, weight decay ${expected.weightDecay}`, async () => {
    const config = plainClassifier(vision, sizes.classes);
    const layout = linearLayout(config);
    const arenas = arenasOf(layout);
    const frozen = arenas.buffer.slice();
    const grads = new Float32Array(layout.parameterCount);
    // Two rows more than there are: padding without weight.
    const executor = await compile(linearStep(config, layout, { rows: batch + 2 }), layout, arenas, grads);
    executor.input('image').set(pictures());
    executor.input('labels').set(labels);
    executor.input('weights').fill(1 / batch, 0, batch);
    const momentumBuffer = new Float32Array(grads.length);
    for (const [step, loss] of expected.losses.entries()) {
      await executor.run();
      assert.ok(Math.abs(executor.output('loss')[0] - loss) < 1e-5 * loss, `loss of step ${step}`);
      assert.ok(Math.abs(executor.output('acc1')[0] - expected.acc1[step]) < 1e-4, `accuracy of step ${step}`);
      const { lr, momentum, weightDecay } = expected;
      sgd({ params: arenas.param, grads, momentumBuffer }, layout.entries, { lr, momentum, weightDecay, gradScale: 1 });
    }
    for (const { name, kind, offset, size: length } of layout.entries) {
      if (kind !== 'param') continue;
      const error = relativeError(arenas.param.subarray(offset, offset + length), expected.head[name.slice(5)], 0);
      assert.ok(error < 1e-5, `${name}: relative error ${error}`);
    }
    assert.deepEqual(arenas.buffer, frozen);
    await executor.close();
  });
}

for (const half of ['float16', 'bfloat16'] as const) {
  const tolerance = HALF_TOLERANCE[half];
  test(`linear probing in ${half} is as near to PyTorch's as its digits are`, async () => {
    const [expected] = golden.linear;
    const config = plainClassifier(vision, sizes.classes);
    const layout = linearLayout(config);
    const arenas = arenasOf(layout);
    const grads = new Float32Array(layout.parameterCount);
    const step = linearStep(config, layout, { rows: batch, scaledLoss: true });
    const executor = await compile(step, layout, arenas, grads, half);
    executor.input('image').set(pictures());
    executor.input('labels').set(labels);
    executor.input('weights').fill(1 / batch);
    executor.input('loss_scale')[0] = LOSS_SCALE;
    const momentumBuffer = new Float32Array(grads.length);
    for (const loss of expected.losses) {
      await executor.run();
      assert.ok(Math.abs(executor.output('loss')[0] - loss) < tolerance.loss * loss, `loss ${loss}`);
      const hyper = { ...expected, gradScale: 1 / LOSS_SCALE };
      sgd({ params: arenas.param, grads, momentumBuffer }, layout.entries, hyper);
    }
    await executor.close();
  });

  for (const [title, expected] of Object.entries(golden.finetune)) {
    test(`fine-tuning (${title}) in ${half} has loss and gradients as near to PyTorch's as its digits are`, async () => {
      const run = await prepare(expected, half, true);
      run.feed(0);
      run.executor.input('loss_scale')[0] = LOSS_SCALE;
      await run.executor.run();
      const loss = run.executor.output('loss')[0];
      assert.ok(Math.abs(loss - expected.losses[0]) < tolerance.loss * expected.losses[0], `loss ${loss}`);
      const entries = run.layout.entries.filter(({ kind }) => kind === 'param');
      const found = entries.flatMap(({ offset, size }) => Array.from(run.grads.subarray(offset, offset + size)));
      const error = relativeError(
        found.map((value) => value / LOSS_SCALE),
        entries.flatMap(({ name }) => expected.gradients[name]),
      );
      assert.ok(error < tolerance.gradients, `relative error ${error}`);
      await run.executor.close();
    });
  }
}

for (const [title, expected] of Object.entries(golden.finetune)) {
  for (const kind of ['eager', 'onnx'] as const) {
    test(`fine-tuning (${title}): loss and gradients of the first step equal PyTorch's, ${kind}`, async () => {
      const run = await prepare(expected, kind);
      run.feed(0);
      await run.executor.run();
      assert.ok(Math.abs(run.executor.output('loss')[0] - expected.losses[0]) < 1e-5 * expected.losses[0]);
      const floor = NORM_FLOOR * Math.max(...Object.values(expected.gradients).map((g) => Math.hypot(...g)));
      for (const { name, offset, size: length } of run.layout.entries) {
        const error = relativeError(run.grads.subarray(offset, offset + length), expected.gradients[name], floor);
        assert.ok(error < TOLERANCE, `${name}: relative error ${error}`);
      }
      await run.executor.close();
    });
  }

  test(`fine-tuning (${title}): six steps of AdamW by layers follow PyTorch's`, async () => {
    const run = await prepare(expected, 'onnx');
    const { layout, arenas, grads, executor } = run;
    const length = layout.parameterCount;
    const moments = { expAvg: new Float32Array(length), expAvgSq: new Float32Array(length) };
    const average = arenas.param.slice();
    for (const [step, loss] of expected.losses.entries()) {
      run.feed(step);
      await executor.run();
      assert.ok(Math.abs(executor.output('loss')[0] - loss) < 2e-4 * loss, `loss of step ${step}`);
      const norm = Math.hypot(...grads);
      assert.ok(Math.abs(norm - expected.norms[step]) < 1e-3 * norm, `norm of step ${step}`);
      const gradScale = expected.clipGrad === undefined ? 1 : Math.min(1, expected.clipGrad / (norm + 1e-6));
      const hyper = {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weightDecay: expected.weightDecay,
        step: step + 1,
        gradScale,
      };
      adamW({ params: arenas.param, grads, ...moments }, layout.entries, { ...hyper, lr: expected.lr });
      const decay = expected.emaDecay ?? 0;
      for (let i = 0; i < length; i++) average[i] = decay * average[i] + (1 - decay) * arenas.param[i];
    }
    assertFingerprints(layout, arenas.param, expected.parameters);
    if (expected.average !== undefined) assertFingerprints(layout, average, expected.average);
    await executor.close();
  });

  test(`fine-tuning (${title}): groups have BEiT's names, scales and tensors`, () => {
    const { layout } = layoutOf(expected);
    const groups = parameterGroups(layout, sizes.depth);
    assert.deepEqual(
      groups.map(({ name, decay, tensors }) => ({ name, decay, tensors })),
      expected.groups.map(({ name, decay, tensors }) => ({ name, decay, tensors })),
    );
    for (const [i, { lrScale }] of groups.entries())
      assert.ok(Math.abs(lrScale - expected.groups[i].lrScale) < 1e-12, groups[i].name);
  });
}

function layoutOf({ options, layerDecay }: Finetune) {
  const config: ClassifierConfig = {
    ...{ vision, numClasses: sizes.classes, pooling: options.pooling },
    ...{ absolutePositions: options.absolute, relativePositions: options.relative, layerScale: options.layer_scale },
  };
  return { config, layout: finetuneLayout(config, { layerDecay, decayRelativePositions: true, initScale: 0.001 }) };
}

async function prepare(expected: Finetune, kind: 'eager' | 'onnx' | HalfType, scaledLoss = false) {
  const { config, layout } = layoutOf(expected);
  const arenas = arenasOf(layout);
  const grads = new Float32Array(layout.parameterCount);
  const dropsPaths = expected.dropPath > 0;
  const step = finetuneStep(config, layout, { rows: batch, extraRows: 0, mixes: true, dropsPaths, scaledLoss });
  const executor = await compile(step, layout, arenas, grads, kind);
  const { partners } = mixRows(0, batch, batch);
  executor.input('image').set(pictures());
  executor.input('weights').fill(1 / batch);
  executor.input('mix/partner').set(partners);
  const rates = dropPathRates(sizes.depth, expected.dropPath);
  const feed = (step: number) => {
    const [base, box, rows, columns] = ['base', 'box', 'rows', 'columns'].map(
      (name) => executor.input(`mix/${name}`) as Float32Array,
    );
    writeMix(draws(step), size, { base, box, rows, columns });
    writeTargets(executor.input('targets') as Float32Array, labels, sizes.classes, smoothing, {
      partners,
      draws: draws(step),
    });
    if (!dropsPaths) return;
    const keep = executor.input('drop_path');
    for (let k = 0; k < 2 * sizes.depth; k++) {
      const rate = rates[Math.floor(k / 2)];
      for (let b = 0; b < batch; b++) keep[k * batch + b] = rate > 0 && (3 * k + 5 * b) % 7 === 0 ? 0 : 1 / (1 - rate);
    }
  };
  return { layout, arenas, grads, executor, feed };
}

/** Norm and a weighted sum of each tensor: those that Adam moves by rounding alone, whose gradient is zero, may differ. */
function assertFingerprints({ entries }: StateLayout, arena: Float32Array, expected: Record<string, [number, number]>) {
  for (const { name, offset, size: length } of entries) {
    const values = arena.subarray(offset, offset + length);
    const sum = values.reduce((total, value, i) => total + value * Math.cos(i), 0);
    const [norm, weighted] = expected[name];
    const scale = Math.max(norm, 0.1);
    assert.ok(Math.abs(Math.hypot(...values) - norm) < 1e-3 * scale, `${name}: norm ${Math.hypot(...values)}, ${norm}`);
    assert.ok(Math.abs(sum - weighted) < 3e-3 * scale, `${name}: sum ${sum}, ${weighted}`);
  }
}

test('mixed and smoothed targets are the generator’s, and so is the share of a box', () => {
  const { partners } = mixRows(0, batch, batch);
  for (const step of [0, 1]) {
    const out = new Float32Array(batch * sizes.classes);
    writeTargets(out, labels, sizes.classes, smoothing, { partners, draws: draws(step) });
    for (const [i, value] of golden.targets[step].entries()) assert.ok(Math.abs(out[i] - value) < 1e-6, `${step} ${i}`);
    assert.ok(Math.abs(draws(step)[0].share - golden.shares[step]) < 1e-12);
  }
});

test('rows that are split over ranks are mixed with the same partners', () => {
  for (const [rows, group] of [
    [[8], 8],
    [[3, 3, 2], 8],
    [[4, 4], 4],
    [[5, 3], 4],
  ] as const) {
    let first = 0;
    for (const own of rows) {
      const { extraRows, partners } = mixRows(first, own, group);
      const loaded = [...Array.from({ length: own }, (_, i) => first + i), ...extraRows];
      for (let i = 0; i < own; i++) assert.equal(loaded[partners[i]], partnerOf(first + i, group));
      first += own;
    }
  }
  assert.deepEqual(mixRows(4, 4, 4).extraRows, [], 'a rank with whole groups loads nothing besides');
  const policy = { mixup: 1, cutmix: 0, probability: 1, switchProbability: 0.5, group: 4 } as const;
  const keys = (mode: 'batch' | 'pair' | 'elem') => [4, 5, 6, 7].map((row) => drawKey(row, { ...policy, mode }));
  assert.deepEqual(
    [keys('batch'), keys('pair'), keys('elem')],
    [
      [4, 4, 4, 4],
      [4, 5, 5, 4],
      [4, 5, 6, 7],
    ],
  );
});

test('draws have the distributions of the recipe', () => {
  const policy = { mixup: 0.8, cutmix: 1, probability: 1, switchProbability: 0.5, mode: 'batch', group: 2 } as const;
  const drawn = Array.from({ length: 4000 }, (_, i) => drawMix(new RandomStream('mix', i), policy, 224));
  const boxes = drawn.filter(({ box }) => box !== undefined);
  assert.ok(Math.abs(boxes.length / drawn.length - 0.5) < 0.03, `${boxes.length} boxes`);
  const shares = drawn.filter(({ box }) => box === undefined).map(({ share }) => share);
  const mean = shares.reduce((a, b) => a + b, 0) / shares.length;
  const variance = shares.reduce((sum, share) => sum + (share - mean) ** 2, 0) / shares.length;
  // Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)).
  assert.ok(
    Math.abs(mean - 0.5) < 0.025 && Math.abs(variance - 1 / 10.4) < 0.006,
    `mean ${mean}, variance ${variance}`,
  );
  for (const { box, share } of boxes) {
    const { top, bottom, left, right } = box!;
    assert.ok(0 <= top && top <= bottom && bottom <= 224 && 0 <= left && left <= right && right <= 224);
    assert.equal(share, 1 - ((bottom - top) * (right - left)) / 224 ** 2);
  }
  const sides = Array.from({ length: 200 }, (_, i) =>
    drawMix(new RandomStream(i), { ...policy, mixup: 0, cutmixMinmax: [0.25, 0.5] }, 64),
  );
  for (const { box } of sides) assert.ok(box!.bottom - box!.top >= 16 && box!.bottom - box!.top < 32);
  const never = drawMix(new RandomStream(0), { ...policy, probability: 0 }, 64);
  assert.deepEqual(never, { share: 1 });
});

test('branches are dropped as often as their rates say, and kept ones are larger', () => {
  const rates = dropPathRates(3, 0.4);
  assert.deepEqual(rates, [0, 0.2, 0.4]);
  const rows = 3000;
  const out = new Float32Array(6 * rows);
  for (let row = 0; row < rows; row++) writeDropPath(out, rates, row, rows, new RandomStream('drop', row));
  for (let k = 0; k < 6; k++) {
    const values = out.subarray(k * rows, (k + 1) * rows);
    const rate = rates[Math.floor(k / 2)];
    const dropped = values.filter((value) => value === 0).length / rows;
    assert.ok(Math.abs(dropped - rate) < 0.03, `branch ${k}: ${dropped}`);
    assert.ok(values.every((value) => value === 0 || value === Math.fround(1 / (1 - rate))));
  }
});

test('the scales of layers and the rates of dropping are those of the vectors', () => {
  const vectors = readGolden('vectors.json') as {
    layer_decay: Record<string, number[]>;
    'drop_path_rates_depth12_0.1': number[];
  };
  for (const [key, depth, layerDecay] of [
    ['depth12_0.65', 12, 0.65],
    ['depth24_0.75', 24, 0.75],
  ] as const) {
    const tower = vitOf(resolveModel('SIMCLR_VITS16', { visionWidth: 12, visionDepth: depth }));
    const layout = finetuneLayout(plainClassifier(tower, 2), {
      layerDecay,
      decayRelativePositions: true,
      initScale: 1,
    });
    const scales = [...new Set(layout.entries.map(({ lrScale }) => lrScale!))].sort((a, b) => a - b);
    assert.equal(scales.length, depth + 2);
    for (const [i, scale] of scales.entries()) assert.ok(Math.abs(scale - vectors.layer_decay[key][i]) < 1e-12);
  }
  const rates = dropPathRates(12, 0.1);
  for (const [i, rate] of vectors['drop_path_rates_depth12_0.1'].entries())
    assert.ok(Math.abs(rates[i] - rate) < 1e-12);
});

test('the logits of validation are those of training without draws', async () => {
  const config = plainClassifier(vision, sizes.classes);
  const layout = linearLayout(config);
  const arenas = arenasOf(layout);
  const executor = await compile(logitsStep(config, layout, batch), layout, arenas, new Float32Array(0));
  executor.input('image').set(pictures());
  await executor.run();
  const logits = executor.output('logits') as Float32Array;
  let loss = 0;
  for (let b = 0; b < batch; b++) {
    const row = Array.from(logits.subarray(b * sizes.classes, (b + 1) * sizes.classes));
    loss += (Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[labels[b]]) / batch;
  }
  assert.ok(Math.abs(loss - golden.linear[0].losses[0]) < 1e-5);
  await executor.close();
});
