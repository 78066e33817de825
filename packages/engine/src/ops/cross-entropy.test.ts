// Cross entropy and accuracy: hand-computed values, finite differences, and compiled equal to eager.
import assert from 'node:assert/strict';
import test from 'node:test';
import { assertClose, assertSameOnBothBackends, runCompiled, withGradients } from '../testing/compare-backends.js';
import { assertGradientsMatchDifferences } from '../testing/finite-differences.js';
import { tf } from '../tfjs.js';
import { softmaxCrossEntropy, topOneAccuracy } from './cross-entropy.js';

test('cross entropy of equal logits is the logarithm of the number of classes', async () => {
  const { loss } = await runCompiled({ x: { shape: [3, 7], values: () => 4 } }, ({ x }) => ({
    loss: softmaxCrossEntropy(x!, [0, 3, 6]),
  }));
  assertClose(loss!, [Math.log(7)], 1e-7, 'loss');
});

test('cross entropy stays finite and exact for logits of a thousand', async () => {
  const given = { x: { shape: [2, 3], values: [1000, 0, -1000, -1000, 1000, 999] } };
  const { loss } = await runCompiled(given, ({ x }) => ({ loss: softmaxCrossEntropy(x!, [0, 2]) }));
  assertClose(loss!, [0.5 * (1 + Math.log(1 + Math.exp(-1)))], 1e-6, 'loss');
});

test('gradients of cross entropy match finite differences', () => {
  assertGradientsMatchDifferences({ x: { shape: [4, 5] } }, (x) => softmaxCrossEntropy(x!, [4, 0, 0, 2]));
});

test('cross entropy and its gradient are the same compiled', async () => {
  for (const [shape, labels] of [
    [[1, 1], [0]],
    [[1, 5], [4]],
    [
      [6, 3],
      [0, 1, 2, 2, 1, 0],
    ],
  ] as const) {
    await assertSameOnBothBackends(
      { x: { shape } },
      withGradients((x) => tf.mul(softmaxCrossEntropy(x!, labels), 3)),
    );
  }
});

test('top-one accuracy counts the first of equal logits', async () => {
  const given = { x: { shape: [4, 3], values: [1, 2, 0, 5, 5, 1, 0, 0, 3, 1, 2, 3] } };
  const results = await assertSameOnBothBackends(given, ({ x }) => ({
    half: topOneAccuracy(x!, Int32Array.of(1, 1, 2, 0)),
    all: topOneAccuracy(x!, [1, 0, 2, 2]),
  }));
  assert.deepEqual([results.half![0], results.all![0]], [50, 100]);
});

test('labels that do not fit are refused', () => {
  tf.tidy(() => {
    const logits = tf.zeros([2, 3]);
    assert.throws(() => softmaxCrossEntropy(logits, [0]), { code: 'internal', message: /1 labels/ });
    assert.throws(() => topOneAccuracy(logits, [0, 3]), { code: 'internal', message: /label 3 is not in \[0, 3\)/ });
  });
});
