// Layer norm: hand-computed values, finite differences, and compiled equal to eager.
import test from 'node:test';
import { assertClose, assertSameOnBothBackends, runEagerly, withGradients } from '../testing/compare-backends.js';
import { assertGradientsMatchDifferences } from '../testing/finite-differences.js';
import { tf } from '../tfjs.js';
import { layerNorm } from './layer-norm.js';

const inputs = (shape: number[]) => ({
  x: { shape },
  gamma: { shape: [shape[shape.length - 1]!] },
  beta: { shape: [shape[shape.length - 1]!] },
});

test('layerNorm gives hand-computed values', async () => {
  const given = {
    x: { shape: [1, 4], values: [1, 2, 3, 6] },
    gamma: { shape: [4], values: [1, 1, 2, 1] },
    beta: { shape: [4], values: [0, 0, 0, 1] },
  };
  const { y } = await runEagerly(given, ({ x, gamma, beta }) => ({ y: layerNorm(x!, gamma!, beta!, 0.5) }));
  // Mean 3, variance 3.5, so the deviation with eps 0.5 is 2.
  assertClose(y!, [-1, -0.5, 0, 2.5], 1e-7, 'y');
});

test('gradients of layerNorm match finite differences', () => {
  for (const shape of [[5], [2, 3, 5], [3, 8]]) {
    assertGradientsMatchDifferences(inputs(shape), (x, gamma, beta) => layerNorm(x!, gamma!, beta!, 1e-5));
  }
});

test('layerNorm and its gradients are the same compiled', async () => {
  for (const shape of [[7], [1, 3], [4, 2, 17], [2, 3, 1, 64]]) {
    await assertSameOnBothBackends(
      inputs(shape),
      withGradients((x, gamma, beta) => layerNorm(x!, gamma!, beta!, 1e-6)),
      5e-6,
    );
  }
});

test('layerNorm keeps its precision on rows far from zero', async () => {
  const given = { ...inputs([3, 32]), x: { shape: [3, 32], values: (i: number) => 100 + Math.sin(i) } };
  // float32 holds 100 + sin to 4e-6 and the deviation is about 0.7.
  await assertSameOnBothBackends(
    given,
    withGradients((x, gamma, beta) => layerNorm(x!, gamma!, beta!, 1e-6)),
    1e-4,
  );
});

test('layerNorm composes with other ops in one tape', async () => {
  await assertSameOnBothBackends(
    inputs([2, 6]),
    withGradients((x, gamma, beta) => {
      const once = layerNorm(x!, gamma!, beta!, 1e-5);
      return tf.mul(layerNorm(tf.add(once, x!), gamma!, beta!, 1e-5), once);
    }),
    5e-6,
  );
});
