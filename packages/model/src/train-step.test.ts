// Whole models against PyTorch (test/golden/gradients.json): losses, gradients, batch statistics, ten optimizer steps, and
// the same on ranks with equal and unequal rows.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createEagerExecutor, createOnnxExecutor, type StepExecutor } from '@slip/engine';
import { type Family, stateLayout } from './architecture.js';
import { initialiseBuffers } from './initialise.js';
import { adamW } from './optimizer/adamw.js';
import { updateRunningStatistics } from './running-statistics.js';
import {
  bindArenas,
  feedGoldenRows,
  golden,
  goldenModel,
  goldenParameters,
  relativeError,
} from './testing/golden-model.js';
import { localCollectives } from './testing/local-collectives.js';
import { type TrainStepOptions, trainStep } from './train-step.js';

const FAMILIES: readonly Family[] = ['CLIP', 'SIMCLR', 'SLIP'];
/** float32 against PyTorch's float64, per tensor, relative to its norm. */
const GRADIENT_TOLERANCE = 1e-4;
/** Below this share of the largest tensor's norm the norm is no measure: biases before a batch norm have gradient zero. */
const NORM_FLOOR = 5e-2;

const single: TrainStepOptions = {
  rows: [golden.batch],
  rank: 0,
  gather: 'full',
  sslScale: 1,
  sslTemp: 0.1,
};

async function build(kind: 'eager' | 'onnx', family: Family) {
  const model = goldenModel(family);
  const step = trainStep(model, single);
  const params = goldenParameters(model);
  const grads = new Float32Array(params.length);
  const bindings = bindArenas(model, params, grads);
  const executor =
    kind === 'eager'
      ? await createEagerExecutor(step, bindings)
      : await createOnnxExecutor(step, { rank: 0, worldSize: 1, threads: 1, ...bindings });
  feedGoldenRows(step, executor, 0);
  return { model, params, grads, executor };
}

function assertGradients(family: Family, grads: Float32Array, what: string): void {
  const { gradients } = golden.families[family];
  const floor = NORM_FLOOR * Math.max(...Object.values(gradients).map((gradient) => Math.hypot(...gradient)));
  for (const { name, kind, offset, size } of stateLayout(goldenModel(family)).entries) {
    if (kind !== 'param') continue;
    const error = relativeError(grads.subarray(offset, offset + size), gradients[name], floor);
    assert.ok(error < GRADIENT_TOLERANCE, `${what} ${name}: relative error ${error}`);
  }
}

function assertClose(found: number, expected: number, tolerance: number, what: string): void {
  assert.ok(
    Math.abs(found - expected) <= tolerance * Math.max(1, Math.abs(expected)),
    `${what}: ${found}, expected ${expected}`,
  );
}

for (const family of FAMILIES) {
  for (const kind of ['eager', 'onnx'] as const) {
    test(`${family}: losses and gradients equal PyTorch's, ${kind}`, async () => {
      const { grads, executor } = await build(kind, family);
      await executor.run();
      for (const [name, value] of Object.entries(golden.families[family].first)) {
        assertClose(executor.output(name)[0], value, 1e-5, name);
      }
      assertGradients(family, grads, kind);
      await executor.close();
    });
  }

  test(`${family}: ten steps of AdamW follow PyTorch's`, async () => {
    const { model, params, grads, executor } = await build('onnx', family);
    const { entries } = stateLayout(model);
    const arenas = {
      params,
      grads,
      expAvg: new Float32Array(params.length),
      expAvgSq: new Float32Array(params.length),
    };
    const { lr, weightDecay, steps } = golden.optimizer;
    for (let step = 1; step <= steps; step++) {
      await executor.run();
      // Four rows and a temperature of 0.1 make the SSL losses steep: rounding grows by an order of magnitude a few steps.
      const tolerance = family === 'CLIP' ? 1e-4 : 1e-4 * step ** 2;
      assertClose(
        executor.output('loss')[0],
        golden.families[family].losses[step - 1],
        tolerance,
        `loss of step ${step}`,
      );
      adamW(arenas, entries, { lr, beta1: 0.9, beta2: 0.98, eps: 1e-8, weightDecay, step, gradScale: 1 });
    }
    for (const { name, kind, offset, size } of entries) {
      if (kind !== 'param') continue;
      const norm = Math.hypot(...params.subarray(offset, offset + size));
      assertClose(norm, golden.families[family].finalParameterNorms[name], 2e-2, `norm of ${name}`);
    }
    await executor.close();
  });

  for (const rows of [
    [4, 4],
    [5, 3],
    [1, 5, 2],
  ]) {
    test(`${family}: ranks with ${rows.join(' + ')} rows give the same losses, gradients and statistics`, async () => {
      const { executors, grads } = await runOnRanks(family, rows, 'full');
      const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / rows.length;
      const gradient = grads[0].map((_, i) => mean(grads.map((own) => own[i])));
      assertGradients(family, gradient, `ranks of ${rows} rows`);
      for (const [name, value] of Object.entries(golden.families[family].first)) {
        assertClose(mean(executors.map((executor) => executor.output(name)[0])), value, 1e-5, name);
      }
      if (family !== 'CLIP') for (const executor of executors) assertRunningStatistics(executor, family);
    });
  }
}

test('query-only gathering keeps the loss and changes the gradient, as the original does', async () => {
  const full = await runOnRanks('CLIP', [4, 4], 'full');
  const queryOnly = await runOnRanks('CLIP', [4, 4], 'query-only');
  assert.equal(queryOnly.executors[0].output('loss')[0], full.executors[0].output('loss')[0]);
  assert.ok(relativeError(queryOnly.grads[0], full.grads[0]) > 0.1);
});

test('running statistics advance per view, with the unbiased variance', async () => {
  const { executor } = await build('onnx', 'SLIP');
  await executor.run();
  assertRunningStatistics(executor, 'SLIP');
  await executor.close();
});

function assertRunningStatistics(executor: StepExecutor, family: Family): void {
  const model = goldenModel(family);
  const { entries } = stateLayout(model);
  const buffers = initialiseBuffers(model);
  const tracked = updateRunningStatistics(buffers, entries, (name) => executor.output(name) as Float32Array, {
    globalRows: golden.batch,
    batchesTracked: 0,
  });
  assert.equal(tracked, 2);
  for (const [name, expected] of Object.entries(golden.families[family].running!)) {
    const { offset, size } = entries.find((entry) => entry.name === name)!;
    assert.ok(relativeError(buffers.subarray(offset, offset + size), expected) < 1e-5, name);
  }
}

/** Ranks take the rows of the golden batch one after another. */
async function runOnRanks(family: Family, rows: readonly number[], gather: 'full' | 'query-only') {
  const model = goldenModel(family);
  const collectives = localCollectives(rows.length);
  const grads: Float32Array[] = [];
  const executors: StepExecutor[] = [];
  let firstRow = 0;
  for (let rank = 0; rank < rows.length; rank++) {
    const step = trainStep(model, { ...single, rows, rank, gather });
    const params = goldenParameters(model);
    grads.push(new Float32Array(params.length));
    const bindings = bindArenas(model, params, grads[rank]);
    const executor = await createOnnxExecutor(step, {
      ...{ rank, worldSize: rows.length, rows },
      threads: 1,
      collectives: collectives[rank],
      ...bindings,
    });
    feedGoldenRows(step, executor, firstRow);
    firstRow += rows[rank];
    executors.push(executor);
  }
  await Promise.all(executors.map((executor) => executor.run()));
  return { executors, grads };
}
