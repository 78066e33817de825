// Linear layers: hand-computed values, finite differences, and compiled equal to eager.
import assert from 'node:assert/strict';
import test from 'node:test';
import { assertClose, assertSameOnBothBackends, runEagerly, withGradients } from '../testing/compare-backends.js';
import { assertGradientsMatchDifferences } from '../testing/finite-differences.js';
import { tf } from '../tfjs.js';
import { gelu } from './gelu.js';
import { linear } from './linear.js';

const inputs = (shape: number[], outWidth: number) => ({
  x: { shape },
  weight: { shape: [outWidth, shape[shape.length - 1]!] },
  bias: { shape: [outWidth] },
});

test('linear multiplies by the transposed weight', async () => {
  const given = {
    x: { shape: [2, 2], values: [1, 2, 3, 4] },
    weight: { shape: [3, 2], values: [1, 0, 0, 1, 10, 100] },
    bias: { shape: [3], values: [0.5, 0, 0] },
  };
  const { y } = await runEagerly(given, ({ x, weight, bias }) => ({ y: linear(x!, weight!, bias!) }));
  assertClose(y!, [1.5, 2, 210, 3.5, 4, 430], 1e-7, 'y');
});

test('gradients of linear match finite differences, with and without bias', () => {
  assertGradientsMatchDifferences(inputs([2, 3, 4], 5), (x, weight, bias) => linear(x!, weight!, bias!));
  const { x, weight } = inputs([3, 4], 2);
  assertGradientsMatchDifferences({ x, weight }, (x, weight) => linear(x!, weight!));
});

test('linear and its gradients are the same compiled', async () => {
  for (const [shape, outWidth] of [
    [[5], 3],
    [[1, 1], 1],
    [[2, 3, 7], 5],
    [[2, 1, 3, 4], 6],
  ] as const) {
    await assertSameOnBothBackends(
      inputs([...shape], outWidth),
      withGradients((x, weight, bias) => linear(x!, weight!, bias!)),
    );
  }
});

test('sequences of many rows, wider before and behind the layer, are the same compiled', async () => {
  for (const [shape, outWidth] of [
    [[2, 200, 140], 6],
    [[2, 200, 6], 140],
  ] as const) {
    await assertSameOnBothBackends(
      inputs([...shape], outWidth),
      withGradients((x, weight, bias) => linear(x!, weight!, bias!)),
      2e-5,
    );
  }
});

test('the gradient of a weight that is used twice is the sum', async () => {
  const given = { x: { shape: [3, 4] }, weight: { shape: [4, 4] }, bias: { shape: [4] } };
  const twice = (...[x, weight, bias]: tf.Tensor[]) => linear(gelu(linear(x!, weight!, bias)), weight!, bias);
  assertGradientsMatchDifferences(given, twice);
  await assertSameOnBothBackends(given, withGradients(twice), 5e-6);
});

test('a weight that does not fit is refused', () => {
  tf.tidy(() => {
    assert.throws(() => linear(tf.zeros([2, 3]), tf.zeros([4, 5])), { code: 'internal', message: /\[2,3\].*\[4,5\]/ });
  });
});
