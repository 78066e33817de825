// Attention: against its definition in tfjs ops, finite differences, and compiled equal to eager.
import test from 'node:test';
import { assertClose, assertSameOnBothBackends, runEagerly, withGradients } from '../testing/compare-backends.js';
import { assertGradientsMatchDifferences } from '../testing/finite-differences.js';
import { tf } from '../tfjs.js';
import { attention } from './attention.js';

const inputs = (shape: number[]) => ({ q: { shape }, k: { shape }, v: { shape } });

for (const causal of [false, true]) {
  const kind = causal ? 'causal' : 'full';

  test(`${kind} attention equals its definition`, async () => {
    const [length, width] = [5, 4];
    const given = inputs([2, 3, length, width]);
    const { fused, plain } = await runEagerly(given, ({ q, k, v }) => {
      const scores = tf.mul(tf.matMul(q!, k!, false, true), width ** -0.5);
      const future = tf.tensor2d(
        Array.from({ length }, (_, i) => Array.from({ length }, (_, j) => (j > i ? -1e30 : 0))),
      );
      const weights = tf.softmax(causal ? tf.add(scores, future) : scores);
      return { fused: attention(q!, k!, v!, { causal }), plain: tf.matMul(weights, v!) };
    });
    assertClose(fused!, plain!, 1e-6, 'y');
  });

  test(`gradients of ${kind} attention match finite differences`, () => {
    assertGradientsMatchDifferences(inputs([1, 2, 4, 3]), (q, k, v) => attention(q!, k!, v!, { causal }));
  });

  test(`${kind} attention and its gradients are the same compiled`, async () => {
    for (const shape of [
      [1, 1, 1, 1],
      [2, 3, 7, 5],
      [1, 2, 17, 8],
    ]) {
      await assertSameOnBothBackends(
        inputs(shape),
        withGradients((q, k, v) => attention(q!, k!, v!, { causal })),
        5e-6,
      );
    }
  });
}

test('attention between lengths that differ is the same compiled', async () => {
  const given = { q: { shape: [2, 1, 3, 4] }, k: { shape: [2, 1, 6, 4] }, v: { shape: [2, 1, 6, 4] } };
  await assertSameOnBothBackends(
    given,
    withGradients((q, k, v) => attention(q!, k!, v!, { causal: false })),
    5e-6,
  );
});
