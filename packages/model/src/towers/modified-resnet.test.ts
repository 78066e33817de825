// OpenAI's modified ResNet against PyTorch (test/golden/resnet.json): features, gradients, running statistics and evaluation, eager and
// compiled; the names of the full tower; ranks that share the batch.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createEagerExecutor, createOnnxExecutor, type Recomputation, type StepExecutor } from '@slip/engine';
import { resolveModel, stateLayout } from '../architecture.js';
import {
  assertEqualsPyTorch,
  assertGradients,
  assertRunning,
  feed,
  golden,
  parameters,
  towerStep,
} from '../testing/golden-resnet.js';
import { localCollectives } from '../testing/local-collectives.js';

async function compiled(recomputation: Recomputation): Promise<StepExecutor> {
  const executor = await createOnnxExecutor(towerStep(golden.batch, 0), {
    ...{ rank: 0, worldSize: 1, threads: 1, recomputation },
  });
  feed(executor, 0);
  await executor.run();
  return executor;
}

test("features, gradients and running statistics equal PyTorch's, eager", () =>
  assertEqualsPyTorch((step) => createEagerExecutor(step, {})));

test("features, gradients and running statistics equal PyTorch's, onnx", () =>
  assertEqualsPyTorch((step) =>
    createOnnxExecutor(step, { rank: 0, worldSize: 1, threads: 1, recomputation: 'cheap' }),
  ));

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
