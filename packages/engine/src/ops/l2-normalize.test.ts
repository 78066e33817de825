// L2 normalisation: unit length, the small-norm branch, finite differences, and compiled equal to eager.
import test from 'node:test';
import { assertClose, assertSameOnBothBackends, runCompiled, withGradients } from '../testing/compare-backends.js';
import { assertGradientsMatchDifferences } from '../testing/finite-differences.js';
import { l2Normalize } from './l2-normalize.js';

test('rows are scaled to unit length and zero rows stay zero', async () => {
  const given = { x: { shape: [3, 2], values: [3, 4, 0, 0, -5, 12] } };
  const { y } = await runCompiled(given, ({ x }) => ({ y: l2Normalize(x!) }));
  assertClose(y!, [0.6, 0.8, 0, 0, -5 / 13, 12 / 13], 1e-7, 'y');
});

test('gradients of l2Normalize match finite differences', () => {
  assertGradientsMatchDifferences({ x: { shape: [3, 5] } }, (x) => l2Normalize(x!));
});

test('below eps the divisor is constant to the gradient', () => {
  assertGradientsMatchDifferences({ x: { shape: [2, 3] } }, (x) => l2Normalize(x!, 100));
});

test('l2Normalize and its gradient are the same compiled', async () => {
  for (const shape of [[4], [1, 1], [2, 3, 6]]) {
    await assertSameOnBothBackends(
      { x: { shape } },
      withGradients((x) => l2Normalize(x!)),
    );
  }
});
