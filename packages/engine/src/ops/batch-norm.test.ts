// Batch norm on one rank: hand-computed values, finite differences, and compiled equal to eager. Ranks: collectives.test.ts.
import test from 'node:test';
import { assertClose, assertSameOnBothBackends, runCompiled, withGradients } from '../testing/compare-backends.js';
import { assertGradientsMatchDifferences } from '../testing/finite-differences.js';
import { batchNormTrain } from './batch-norm.js';

const inputs = (shape: [number, number]) => ({
  x: { shape },
  gamma: { shape: [shape[1]] },
  beta: { shape: [shape[1]] },
});

test('batch norm gives hand-computed values and statistics', async () => {
  const given = {
    x: { shape: [4, 2], values: [1, 10, 2, 10, 3, 10, 6, 10] },
    gamma: { shape: [2], values: [2, 1] },
    beta: { shape: [2], values: [1, -1] },
  };
  const results = await runCompiled(given, ({ x, gamma, beta }) => {
    const { y, mean, varianceBiased } = batchNormTrain(x!, gamma!, beta!, 0.5);
    return { y, mean, varianceBiased };
  });
  assertClose(results.mean!, [3, 10], 1e-7, 'mean');
  assertClose(results.varianceBiased!, [3.5, 0], 1e-7, 'variance');
  assertClose(results.y!, [-1, -1, 0, -1, 1, -1, 4, -1], 1e-6, 'y');
});

test('gradients of batch norm match finite differences', () => {
  assertGradientsMatchDifferences(inputs([5, 3]), (x, gamma, beta) => batchNormTrain(x!, gamma!, beta!, 1e-3).y);
});

test('batch norm and its gradients are the same compiled', async () => {
  for (const shape of [
    [2, 1],
    [7, 5],
    [16, 33],
  ] as Array<[number, number]>) {
    await assertSameOnBothBackends(
      inputs(shape),
      withGradients((x, gamma, beta) => batchNormTrain(x!, gamma!, beta!, 1e-5).y),
      1e-5,
    );
  }
});
